/** `reannotate plan`: cuts a dataset into shards, once, for any number of workers on any number of machines. */

import { resolve } from 'node:path';
import type { DatasetSelection } from '../datasets/selection.js';
import { placeOf, type RunSettings } from '../run/settings.js';
import { isLocalName } from '../datasets/local-files.js';
import { cutLines } from '../datasets/line-ranges.js';
import { EXIT, UsageError } from '../lib/errors.js';
import { count, plural, shellWord } from '../lib/text.js';
import { shownBaseUrl } from '../models/endpoint.js';
import { writeOutput } from '../terminal/output.js';
import { configDataset, effectiveParameters, readConfig, writeConfig } from '../run/config.js';
import { findRunFolder, type RunFolder } from '../run/folder.js';
import { identityFlags, refuseChanges } from '../run/identity.js';
import { requireOwnRun } from '../run/own-run.js';
import { findDataset, writeRowsWithProgress, type FoundDataset } from '../run/find-dataset.js';
import { checkEarlierRun, refusePlanned } from '../session/earlier-run.js';
import { inFolder } from '../session/in-folder.js';
import type { CommandContext } from '../session/command-context.js';
import { requireBatches } from '../session/watch-command.js';
import { cutRows, shardsFor, type RowRange } from '../shards/cut.js';
import { plannedFlags, type PlannedFlags } from '../shards/planned-flags.js';
import { planPath, writePlan, type PlannedFile, type PlannedShard } from '../shards/plan.js';
import { planFile } from '../shards/rows.js';

/** What to plan. */
export interface PlanRequest {
  settings: RunSettings;
  /** Names of the flags that were given. */
  given: ReadonlySet<string>;
  /** Null to decide by the number of rows. */
  shards: number | null;
  /** Workers that will share them; null where nobody says. */
  workers: number | null;
  /** Makes settings of the flags that the plan keeps, as workers will. */
  settingsOf: (flags: PlannedFlags) => RunSettings;
}

/** Where the shards of a dataset are. */
interface Cut {
  shards: PlannedShard[];
  files: PlannedFile[];
}

/**
 * Runs `reannotate plan`. The folder of the run, which the other commands take, goes to stdout.
 * @returns the exit code
 */
export async function plan(request: PlanRequest, context: CommandContext): Promise<number> {
  const { settings, given } = request;
  const { selection, call, output, policy } = settings;
  const { console, interruption } = context;
  if (output.select === 'judge')
    throw new UsageError(
      '--select judge runs in one process after all answers are in: plan the run without it, or use reannotate instead of plan.',
    );
  if (policy.batch) requireBatches(call);
  const place = placeOf(settings);
  const folder = findRunFolder(place);
  requireOwnRun(folder);
  checkEarlierRun(folder, place, policy.earlier);
  const flags = plannedFlags(settings, given, isLocalName(selection.dataset));
  // What a worker would refuse is refused here.
  const asked = identityFlags(settings);
  refuseChanges(asked, identityFlags(request.settingsOf(flags)), call.given);
  const found = await findDataset(settings, console, interruption.soft);
  return inFolder({ folder, command: 'plan', settings }, context, async () => {
    refusePlanned(folder);
    const started = await readConfig(folder.config, new Date());
    const { dataset, format } = found;
    const { shards, files } = await cutDataset(request, folder, found, context);
    const rows = shards.reduce((sum, shard) => sum + shard.rows, 0);
    const { revision, subset, split } = dataset;
    const content = {
      version: 1 as const,
      uuid: started.uuid,
      created: started.creation_date,
      flags,
      asked,
      found: { revision, subset, split, format: format.name, columns: format.columns },
      columns: dataset.columns,
      files,
      rows,
      shards,
    };
    await writeConfig(folder.config, {
      uuid: started.uuid,
      creation_date: started.creation_date,
      params: effectiveParameters(settings, shownBaseUrl(call)),
      dataset: configDataset({ found: content.found }, rows),
    });
    await writePlan(folder.temp, content);
    const each = Math.round(rows / shards.length);
    console.info(
      `Cut ${plural(rows, 'row')} into ${plural(shards.length, 'shard')} of about ${count(each)}: ${planPath(folder.temp)}. Start ` +
        `any number of workers with: npx reannotate work ${shellWord(folder.temp)}`,
    );
    writeOutput(`${folder.temp}\n`);
    return EXIT.done;
  });
}

/** Cuts where reading can start without what is before; where it can't, the rows are read once, here. */
async function cutDataset(
  { settings: { selection, policy }, shards: wanted, workers }: PlanRequest,
  folder: RunFolder,
  found: FoundDataset,
  { console, interruption }: CommandContext,
): Promise<Cut> {
  const { dataset } = found;
  const range = rangeOf(selection, dataset.totalRows);
  const shardsOf = (rows: number): number => wanted ?? shardsFor(rows, workers, policy.batch);
  const starts = range === null ? null : ((await dataset.groupStarts?.()) ?? null);
  if (range !== null && starts !== null) {
    const ranges = cutRows(range, shardsOf(range.rows), starts);
    const files: PlannedFile[] = [];
    for (const path of dataset.files ?? []) files.push(await planFile(path));
    return { shards: ranges.map((one) => ({ ...one, place: { kind: 'rows' } })), files };
  }
  if (range !== null && dataset.lineFile !== undefined) {
    const path = resolve(dataset.lineFile);
    const ranges = cutRows(range, shardsOf(range.rows));
    const lines = await withProgress(console, (onProgress) =>
      cutLines(path, range.start, sizesOf(ranges), onProgress),
    );
    const shards = lines.map((line, index) => ({
      ...rangeAt(ranges, index),
      place: { kind: 'lines' as const, path, ...line },
    }));
    return { shards, files: [] };
  }
  const { offset, limit } = selection;
  const { total } = await writeRowsWithProgress(found, { offset, limit, keep: false }, folder.rows, {
    console,
    signal: interruption.soft,
  });
  const ranges = cutRows({ start: offset, rows: total }, shardsOf(total));
  const lines = await cutLines(folder.rows, 0, sizesOf(ranges));
  return {
    shards: lines.map((line, index) => ({ ...rangeAt(ranges, index), place: { kind: 'prompts', ...line } })),
    files: [],
  };
}

/** The number of rows of the run; null if only reading all of them shows it. */
function rangeOf({ offset, limit }: DatasetSelection, total: number | null): RowRange | null {
  if (total === null) return null;
  return { start: offset, rows: Math.min(total - offset, limit ?? Infinity) };
}

function sizesOf(ranges: readonly RowRange[]): number[] {
  return ranges.map(({ rows }) => rows);
}

function rangeAt(ranges: readonly RowRange[], index: number): RowRange {
  return ranges[index] ?? { start: 0, rows: 0 };
}

async function withProgress<T>(
  console: CommandContext['console'],
  work: (onProgress: (rows: number) => void) => Promise<T>,
): Promise<T> {
  let done = 0;
  const endProgress = console.showProgress(() => `Cutting: ${count(done)} rows`);
  try {
    return await work((rows) => {
      done = rows;
    });
  } finally {
    endProgress();
  }
}
