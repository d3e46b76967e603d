/** The main command: a dataset's rows in, their new answers out. It reads as the story of a run. */

import { findPrice, type Price } from '../annotators/prices.js';
import { EXIT, UserError, messageOf } from '../errors.js';
import { lockFolder, makeFolder, removeTemporaryFiles } from '../files.js';
import { LogFile } from '../log.js';
import { findEndpoint, type RunOptions } from '../options.js';
import type { Console } from '../progress.js';
import type { Stop } from '../requests/processor.js';
import { assemble, type Assembled } from '../run/assemble.js';
import {
  creationDate,
  effectiveParameters,
  startConfig,
  writeConfig,
  type ConfigFile,
} from '../run/config.js';
import { earlierFiles, existsAlready, moveAside, runFolder, runName, type RunFolder } from '../run/folder.js';
import { findDataset, prepareRun, requestShape, type PreparedRun } from '../run/prepare.js';
import { describeSummary, summarise, writeSummary, type SessionFigures } from '../run/summary.js';
import { Totals } from '../run/totals.js';
import { count, inert, plural } from '../text.js';
import { askOnline } from './online.js';
import { describeStop } from './stops.js';
import type { Surroundings } from './surroundings.js';

/**
 * Runs `reannotate`.
 * @returns the exit code
 * @throws UserError where the run can't go on
 */
export async function reannotate(options: RunOptions, surroundings: Surroundings): Promise<number> {
  if (options.batch) {
    throw new UserError(
      '--batch is not there yet in this version; run the command without it to annotate online.',
    );
  }
  if (options.dryRun) {
    const { dryRun } = await import('./dry-run.js');
    return dryRun(options, surroundings);
  }
  const folder = runFolder(
    options.saveDir,
    options.tempDir,
    runName(options.dataset, options.annotator.name),
  );
  const price = await priceFor(options);
  const isResumed = options.earlier === 'resume' || options.earlier === 'resume_no_retry';
  const leftBehind = earlierFiles(folder);
  if (leftBehind.length > 0 && options.earlier === 'refuse') throw existsAlready(leftBehind);
  // A new run that lacks a key or its dataset fails before it leaves anything behind.
  if (!isResumed || leftBehind.length === 0) findEndpoint(options);
  const found =
    leftBehind.length === 0 || options.earlier === 'overwrite'
      ? await findDataset(options, surroundings.console, surroundings.interruption.soft)
      : null;
  return inFolder(folder, options, surroundings, async () => {
    const now = new Date();
    const totals = new Totals(folder.counters, price, now);
    const started = await startConfig(folder.config, now);
    const config: ConfigFile = { ...started, params: effectiveParameters(options, shownBaseUrl(options)) };
    await writeConfig(folder.config, config);
    const run = await prepareRun(
      options,
      folder,
      { uuid: started.uuid, created: started.creation_date },
      found,
      surroundings.console,
      surroundings.interruption.soft,
      (entry) => {
        if (entry.kind === 'answer') totals.addAnswer(entry.completion);
        else if (entry.usage !== null) totals.addWasted(entry.usage);
      },
    );
    config.dataset = { ...run.identity.found, rows: run.rows };
    const changes = [...requestShape(options).changes];
    const asked = await askOnline(options, folder, run, totals, price, surroundings, (learnt) => {
      config.parameter_changes = [...changes, ...learnt];
    });
    if (config.parameter_changes === undefined && changes.length > 0) config.parameter_changes = changes;
    if (asked.stop !== null && asked.stop.reason !== 'budget') {
      await writeConfig(folder.config, config);
      return endEarly(asked.stop, options, run, surroundings);
    }
    return finish(options, folder, run, totals, config, asked, surroundings);
  });
}

/** Takes the run's folders for this process, with their log, and gives them back whatever happens. */
async function inFolder(
  folder: RunFolder,
  options: RunOptions,
  { console }: Surroundings,
  work: () => Promise<number>,
): Promise<number> {
  makeFolder(folder.save);
  makeFolder(folder.temp);
  let unlock = lockFolder(folder.temp);
  try {
    if (options.earlier === 'overwrite' && earlierFiles(folder).length > 0) {
      unlock();
      const moved = moveAside(folder, new Date());
      unlock = lockFolder(folder.temp);
      console.info(`Moved the earlier run aside: ${moved.join(', ')}.`);
    }
    removeTemporaryFiles(folder.save);
    removeTemporaryFiles(folder.temp);
    const log = new LogFile(folder.log, options.loggingLevel, options.environment.redactor);
    console.attachLog(log);
    console.record('info', `reannotate ${options.annotator.name} on ${inert(options.dataset, 200)}`);
    try {
      return await work();
    } catch (error) {
      console.record('error', messageOf(error));
      throw error;
    } finally {
      log.close();
    }
  } finally {
    unlock();
  }
}

async function priceFor(options: RunOptions): Promise<Price | null> {
  const { provider, model, name } = options.annotator;
  const price = await findPrice(provider, model);
  if (price === null && options.maxCost !== null) {
    throw new UserError(
      `--max_cost can't be kept: no price is known for ${inert(name, 80)}. Leave the flag out.`,
    );
  }
  return price;
}

/** The address that requests go to, for the record; a missing key is no matter here. */
function shownBaseUrl(options: RunOptions): string {
  const { provider } = options.annotator;
  const variable =
    provider.baseUrlVariable === null ? undefined : options.environment.variables[provider.baseUrlVariable];
  return options.baseUrl ?? variable ?? provider.baseUrl;
}

/** A run that did not come to its end: everything is saved, nothing is assembled. */
async function endEarly(
  stop: Exclude<Stop, { reason: 'budget' }>,
  options: RunOptions,
  run: PreparedRun,
  { console, interruption, resumeCommand }: Surroundings,
): Promise<number> {
  const left = run.index.count('pending');
  const saved = `${plural(run.rows - left, 'row')} of ${count(run.rows)} saved`;
  if (stop.reason === 'interrupted') {
    console.warning(`Stopped; ${saved}. Go on with: ${resumeCommand}`);
    return interruption.exitCode;
  }
  throw new UserError(`${await describeStop(stop, options)} (${saved}.) Then go on with: ${resumeCommand}`);
}

/** Assembles the results and tells how it went. */
async function finish(
  options: RunOptions,
  folder: RunFolder,
  run: PreparedRun,
  totals: Totals,
  config: ConfigFile,
  asked: SessionFigures & { stop: Stop | null },
  { console, resumeCommand }: Surroundings,
): Promise<number> {
  let done = 0;
  const endProgress = await console.showProgress(
    () => `Writing results: ${count(done)} of ${plural(run.rows, 'row')}`,
  );
  let assembled: Assembled;
  try {
    assembled = await assemble(folder, run.index, {
      includeMetadata: options.includeMetadata,
      several: options.generation.n > 1,
      onProgress: (rows) => {
        done = rows;
      },
    });
  } finally {
    endProgress();
  }
  const finished = new Date();
  const summary = summarise(assembled.rows, totals, 'online', finished);
  await writeSummary(folder.summary, summary);
  await writeConfig(folder.config, { ...config, finished_at: creationDate(finished) });
  const table = describeSummary(summary, asked, folder.reannotated);
  console.print(table);
  for (const line of table.split('\n')) console.record('info', line);
  if (assembled.rows.truncated > 0) {
    console.warning(
      `${plural(assembled.rows.truncated, 'answer')} ended at --max_tokens ${options.generation.max_tokens}; ` +
        'a larger value needs a new run (--overwrite).',
    );
  }
  if (assembled.missing === 0) return EXIT.done;
  tellMissing(assembled, options, folder, asked.stop, console, resumeCommand);
  return EXIT.incomplete;
}

function tellMissing(
  assembled: Assembled,
  options: RunOptions,
  folder: RunFolder,
  stop: Stop | null,
  console: Console,
  resumeCommand: string,
): void {
  const why = assembled.reasons.map(({ error, rows }) => `${count(rows)} × ${inert(error, 160)}`).join('; ');
  if (why !== '') console.warning(`Why: ${why}`);
  if (stop?.reason === 'budget') {
    console.warning(
      `Stopped before --max_cost ${options.maxCost ?? 0} would be exceeded; raise it to go on.`,
    );
  }
  const retriable = assembled.rows.failed + assembled.rows.pending - assembled.unusable;
  const again =
    retriable > 0 || assembled.rows.filtered > 0
      ? `Try them again with: ${resumeCommand}`
      : 'Another try would change nothing: mend the rows in the dataset, or the parameters.';
  console.error(
    `${plural(assembled.missing, 'row')} without an annotation (listed in ${folder.failedRows}). ${again}`,
  );
}
