/** Finds the run that a report is about, by its flags or by either of its folders. */

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { UsageError, UserError } from '../lib/errors.js';
import { lastLine, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import { readSummary } from '../judge/figures.js';
import { resolveAnnotator } from '../models/annotators.js';
import { findPrice, type Price } from '../models/prices.js';
import type { JournalPart, Pricing } from '../report/answer-figures.js';
import type { ReportedRun } from '../report/collect.js';
import { readConfig } from '../run/config.js';
import { findRunFolder, runFolder, type RunFolder } from '../run/folder.js';
import { readJob } from '../run/jobs.js';
import { DEFAULT_OUTPUT } from '../run/settings.js';
import { findSaveDir, findTempDir } from '../run/working-folder.js';
import { shardFolder } from '../shards/folders.js';
import { readPlan } from '../shards/plan.js';

const LARGEST_IDENTITY = 16 << 20;

/** What names a run. */
export interface RunName {
  /** A folder of the run; null where the other values name it. */
  path: string | null;
  /** Null where `path` names the run. */
  dataset: string | null;
  annotator: string;
  saveDir: string;
  /** Null where the run's record says, or it is the usual one. */
  tempDir: string | null;
  runName: string | null;
}

/** @throws UserError where there is no such run */
export async function findReportedRun(name: RunName): Promise<ReportedRun> {
  const folder = name.path === null ? folderByName(name) : await folderByPath(name.path, name.tempDir);
  const config = await readConfig(folder.config, new Date());
  const known = { ...identityIn(folder), ...config.params };
  const dataset = name.dataset ?? textIn(known, 'dataset') ?? folder.name;
  const annotator = textIn(known, 'annotator') ?? (name.path === null ? name.annotator : 'unknown annotator');
  return {
    folder,
    dataset,
    annotator,
    config,
    parts: partsOf(folder),
    pricing: await pricingOf(folder, annotator, known['fallback_annotator']),
  };
}

function folderByName({ dataset, annotator, saveDir, tempDir, runName }: RunName): RunFolder {
  if (dataset === null) {
    throw new UsageError(
      'Which run? Give the folder of its results, or its --dataset and --annotator (and --save_dir, --temp_dir). ' +
        'reannotate list shows the runs.',
    );
  }
  const { name } = resolveAnnotator(annotator, true);
  return findRunFolder({
    ...{ saveDir, dataset, runName },
    tempDir: tempDir ?? DEFAULT_OUTPUT.tempDir,
    annotator: name,
  });
}

async function folderByPath(path: string, tempDir: string | null): Promise<RunFolder> {
  const given = resolve(path);
  if (statSync(given, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UserError(
      `${sanitize(path, 300)} is not a folder. Give the folder of a run’s results, or of its working files; reannotate list shows the runs.`,
    );
  if (isWorkingFolder(given)) {
    const identity = identityIn({ run: join(given, 'run.json'), plan: join(given, 'plan.json') });
    return runFolder(findSaveDir(given, textIn(identity, 'save_dir')), dirname(given), basename(given));
  }
  const config = await readConfig(join(given, 'config.yaml'), new Date());
  return runFolder(dirname(given), findTempDir(given, config, tempDir), basename(given));
}

function isWorkingFolder(folder: string): boolean {
  return ['run.json', 'plan.json', 'rows.jsonl'].some((name) => existsSync(join(folder, name)));
}

/** What `run.json`, or else the plan, says was asked for. */
function identityIn({ run, plan }: Pick<RunFolder, 'run' | 'plan'>): Record<string, unknown> {
  for (const path of [run, plan]) {
    if (!existsSync(path) || statSync(path).size > LARGEST_IDENTITY) continue;
    const value = parseJson(readOwnText(path));
    if (!isObject(value)) continue;
    const { asked, save_dir: saveDir, flags } = value;
    return {
      ...(isObject(flags) ? { save_dir: flags['save_dir'] } : {}),
      ...(saveDir === undefined ? {} : { save_dir: saveDir }),
      ...(isObject(asked) ? { dataset: asked['dataset'], annotator: asked['annotator'] } : {}),
    };
  }
  return {};
}

function textIn(values: Record<string, unknown>, name: string): string | null {
  const value = values[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Where the answers are: in one journal, or in those of all shards. */
function partsOf(folder: RunFolder): JournalPart[] {
  if (existsSync(folder.plan)) {
    const { shards } = readPlan(folder.temp);
    const first = shards[0]?.start ?? 0;
    return shards.map(({ start, rows }, shard) => {
      const { temp, rows: path } = shardFolder(folder.temp, shard);
      return { start: start - first, rows, folder: temp, rowsPath: path, isSegmented: true };
    });
  }
  if (!existsSync(folder.temp)) return [];
  return [{ start: 0, rows: rowsOf(folder), folder: folder.temp, rowsPath: folder.rows, isSegmented: false }];
}

/** Jobs are in the order of their rows; unusable rows have none, and no answer either. */
function rowsOf({ jobs }: RunFolder): number {
  return existsSync(jobs) ? (readJob(lastLine(jobs))?.requestIdx ?? -1) + 1 : Infinity;
}

/** What answers cost; nothing where the run's own cost is not known. */
async function pricingOf(
  { summary, batches }: RunFolder,
  annotator: string,
  fallback: unknown,
): Promise<Pricing> {
  const { cost_usd: cost, mode } = readSummary(summary);
  const isBatch = mode === 'batch' || (mode === undefined && existsSync(batches));
  if (cost === null) return { price: null, isBatch };
  const others = new Map<string, Price | null>();
  if (typeof fallback === 'string') others.set(fallback, await priceOf(fallback));
  return { price: await priceOf(annotator), others, isBatch };
}

async function priceOf(annotator: string): Promise<Price | null> {
  try {
    const { provider, model } = resolveAnnotator(annotator, true);
    return await findPrice(provider, model);
  } catch {
    // The record may have been edited, or name a provider of another version.
    return null;
  }
}
