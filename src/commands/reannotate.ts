/** The main command: a dataset's rows in, their new answers out. It reads as the story of a run. */

import { existsSync } from 'node:fs';
import { Ledger } from '../batches/ledger.js';
import { messageOf, UserError } from '../lib/errors.js';
import { readOwnText } from '../lib/files.js';
import { answerRules } from '../models/answer-rules.js';
import { checkEndpoints, shownBaseUrl } from '../models/endpoint.js';
import type { Price } from '../models/prices.js';
import { isResuming, placeOf, type RunSettings } from '../run/settings.js';
import { distinctChanges } from '../requests/parameters.js';
import {
  configDataset,
  effectiveParameters,
  readConfig,
  withOutputsOf,
  writeConfig,
  type ConfigFile,
} from '../run/config.js';
import { fallbackOf } from '../run/fallback.js';
import { findRunFolder, type RunFolder } from '../run/folder.js';
import { readIdentity } from '../run/identity.js';
import { requireOwnRun } from '../run/own-run.js';
import { findDataset, type FoundDataset } from '../run/find-dataset.js';
import { prepareRun, requestShape } from '../run/prepare.js';
import { Totals } from '../run/totals.js';
import { plural } from '../lib/text.js';
import { checkEarlierRun } from '../session/earlier-run.js';
import { checkFallback } from '../session/check-fallback.js';
import { assembleResults, finish, publisherOf } from '../session/finish.js';
import { priceAtStart } from '../session/off-peak.js';
import { checkFilters } from '../session/filters.js';
import { inFolder } from '../session/in-folder.js';
import type { NextCommands, Publisher } from '../session/finished-run.js';
import { commandLine, retryCommandLine } from '../session/next-command.js';
import { subjectOf, withNotice } from '../session/notice.js';
import { runOnline, type OpenRun } from '../session/online-run.js';
import { checkAnswerSources, reusingMoved, SharedAnswers } from '../session/share-answers.js';
import type { BatchRun } from '../session/submit-batches.js';
import type { CommandContext } from '../session/command-context.js';
import { requireBatches, watchCommandFor, type WatchCommand } from '../session/watch-command.js';

/**
 * Runs `reannotate`.
 * @param find opens the dataset of a run that has no rows yet
 * @returns the exit code
 * @throws UserError if the run cannot continue
 */
export async function reannotate(
  settings: RunSettings,
  context: CommandContext,
  find: typeof findDataset = findDataset,
): Promise<number> {
  // What is only submitted is not over: watch-batch says when it is.
  const subject = { ...subjectOf(settings, 'reannotate'), endsRun: !settings.policy.batch };
  return withNotice(subject, context, () => run(settings, context, find));
}

async function run(
  settings: RunSettings,
  context: CommandContext,
  find: typeof findDataset,
): Promise<number> {
  const start = await checkStart(settings, context, find);
  return inFolder({ folder: start.folder, command: 'reannotate', settings }, context, async (aside) => {
    const open = await openRun(settings, start, aside, context);
    return settings.policy.batch ? runInBatches(open, context) : runOnline(open, context);
  });
}

/** What is known before anything is written. */
interface Start {
  folder: RunFolder;
  /** Null where it is not known, or not looked up yet. */
  price: Price | null;
  publisher: Publisher | null;
  /** Null where the run has its rows already. */
  found: FoundDataset | null;
}

/** @throws UserError where the run could not begin: nothing is left behind then */
async function checkStart(
  settings: RunSettings,
  context: CommandContext,
  find: typeof findDataset,
): Promise<Start> {
  const { call, output, policy, push, environment } = settings;
  // A schema that cannot be used ends the run here, before anything is written.
  await answerRules(call);
  if (policy.batch && !policy.batchFileOnly) requireBatches(call);
  const place = placeOf(settings);
  const folder = findRunFolder(place);
  requireOwnRun(folder);
  // Where neither money nor the hour matters, the price is looked up once the first request is out.
  const price = await priceAtStart(call, policy);
  const isResumed = isResuming(policy);
  // Before anything is written: the batches know whose they are, and this run is to take that over.
  if (isResumed) refuseUnknownBatches(folder, watchCommandFor(settings));
  const leftBehind = checkEarlierRun(folder, place, policy.earlier);
  // A new run that lacks a key or its dataset fails before it leaves anything behind.
  if (!policy.batchFileOnly && (!isResumed || leftBehind.length === 0)) checkEndpoints(call);
  await checkAnswerSources(policy.reuse, output.tempDir);
  // What the record of a resumed run adds counts as well.
  const recorded = isResumed ? (await readConfig(folder.config, new Date())).params : undefined;
  const continued = withOutputsOf(recorded, settings);
  await checkFallback(call, continued.policy);
  await checkFilters(continued.output);
  if (output.select === 'judge') {
    const { requireJudge } = await import('../session/choose-by-judge.js');
    await requireJudge(call, output.judge, policy);
  }
  const publisher = await publisherOf(push, environment, context);
  const found =
    leftBehind.length === 0 || policy.earlier === 'overwrite'
      ? await find(settings, context.console, context.interruption.soft)
      : null;
  if (policy.earlier === 'overwrite') warnOfBatches(folder, watchElsewhere(settings), context);
  return { folder, price, publisher, found };
}

/**
 * Makes or finds the run in its folder, with what it has so far.
 * @param aside where the folders of an overwritten run were moved
 */
async function openRun(
  given: RunSettings,
  { folder, price, publisher, found }: Start,
  aside: readonly string[],
  context: CommandContext,
): Promise<OpenRun> {
  const { console, interruption } = context;
  const now = new Date();
  const totals = new Totals(folder.counters, price, now);
  const identity = readIdentity(folder.run);
  const started = await readConfig(folder.config, now, identity);
  const reuse = reusingMoved(given.policy.reuse, folder, aside);
  const settings = withOutputsOf(started.params, { ...given, policy: { ...given.policy, reuse } });
  const { selection, call, output, policy } = settings;
  const config: ConfigFile = {
    uuid: started.uuid,
    creation_date: started.creation_date,
    params: effectiveParameters(settings, shownBaseUrl(call)),
  };
  // The config of a run that exists changes only once it is certain that the command line fits it.
  if (identity === null) await writeConfig(folder.config, config);
  const fresh = { uuid: started.uuid, created: started.creation_date };
  const preparation = { folder, fresh, found, console, signal: interruption.soft };
  const run = await prepareRun(settings, preparation, (entry) => {
    totals.addEntry(entry);
  });
  if (policy.maxCost !== null) await totals.findOtherPrices();
  config.dataset = configDataset(run.identity, run.rows);
  if (identity !== null) await writeConfig(folder.config, config);
  const changes = distinctChanges([...requestShape(call).changes, ...(started.parameter_changes ?? [])]);
  if (changes.length > 0) config.parameter_changes = changes;
  const ledger = Ledger.open(folder);
  // What was learnt online holds for batches as well.
  ledger.learn(changes);
  totals.setBatches(ledger.totals());
  const shared = await SharedAnswers.open(
    { call, policy, tempDir: output.tempDir, folder, run, totals },
    console,
  );
  const commands = nextCommands(context);
  return {
    ...{ call, output, policy, dataset: selection.dataset, watchCommand: watchCommandFor(settings) },
    ...{ folder, run, ledger, totals, price, config, shared },
    ...{ publisher, commands, tryAgain: `Retry them with: ${commands.retry(['failed'])}` },
    isResumed: isResuming(policy) && identity !== null,
    hadBatches: started.params?.['batch'] === true || (started.batch_ids ?? []).length > 0,
  };
}

/** Submits what has no answer; where there is nothing to submit or to watch, the results are written. */
async function runInBatches(open: OpenRun, context: CommandContext): Promise<number> {
  const { folder, config } = open;
  const exitCode = await intoBatches(open, context, async (ids) => {
    await writeConfig(folder.config, { ...config, batch_ids: ids });
  });
  if (exitCode !== null) return exitCode;
  const session = { answered: 0, milliseconds: 0, bound: null };
  const assembled = await assembleResults(open, context.console);
  return finish({ ...open, mode: 'batch', session, stop: null }, assembled, context.console);
}

/** Submits the remaining rows, or writes their files for the user to run. Null if there is nothing to send. */
async function intoBatches(
  batchRun: BatchRun,
  context: CommandContext,
  onBatches: (ids: string[]) => Promise<void>,
): Promise<number | null> {
  const { policy } = batchRun;
  const hasFurtherRounds = policy.escalateTruncated !== null || fallbackOf(policy) !== null;
  if (policy.batchFileOnly) {
    if (hasFurtherRounds)
      context.console.warning(
        'Truncated and refused rows are not sent again until the results are imported: resume online then.',
      );
    const { writeBatchFiles } = await import('../session/batch-files.js');
    return writeBatchFiles(batchRun, context);
  }
  if (hasFurtherRounds)
    context.console.info(
      'Once the batches are collected, watch-batch sends truncated and refused rows again online, at the online price.',
    );
  const { submitBatches } = await import('../session/submit-batches.js');
  return submitBatches(batchRun, context, onBatches);
}

function nextCommands({ words, resumeCommand }: CommandContext): NextCommands {
  // `demo` has one command that does everything.
  if (words === undefined)
    return { retry: () => resumeCommand, raise: () => resumeCommand, sendAgain: () => null };
  return {
    // Rows are sent again online, even if a batch sent them first.
    sendAgain: (flag, value) =>
      commandLine(words, {
        ...{ batch: null, resume_no_retry: null, overwrite: null, retry: null },
        ...{ resume: true, [flag]: value },
      }),
    retry: (states) => retryCommandLine(words, states),
    raise: (maxCost) =>
      commandLine(words, {
        resume_no_retry: null,
        overwrite: null,
        max_cost: String(maxCost),
        resume: true,
      }),
  };
}

/** The command for batches whose run's folders are moved aside: its own files are kept out of the new run's. */
function watchElsewhere(settings: RunSettings): WatchCommand {
  const output = { ...settings.output, saveDir: 'cancelled', tempDir: 'cancelled/temp' };
  return watchCommandFor({ ...settings, output, push: null });
}

/** Batches continue, and are billed, although their run's folders are moved aside. */
function warnOfBatches(folder: RunFolder, watchCommand: WatchCommand, { console }: CommandContext): void {
  let ledger: Ledger;
  try {
    ledger = Ledger.open(folder);
  } catch (error) {
    console.warning(messageOf(error));
    return;
  }
  const under = ledger.open.flatMap(({ batch }) => (batch === null ? [] : [batch.id]));
  if (under.length === 0) return;
  console.warning(
    `The earlier run has ${plural(under.length, 'batch', 'batches')} in progress, which continue and are billed. ` +
      `Stop them with: ${watchCommand(under, ['--cancel'])}`,
  );
}

/** Batches that only `batch_objects.json` lists (the Python tool created them) are collected before any request. */
function refuseUnknownBatches(folder: RunFolder, watchCommand: WatchCommand): void {
  if (existsSync(folder.batches) || !existsSync(folder.batchObjects)) return;
  if (!readOwnText(folder.batchObjects).includes('"id"')) return;
  throw new UserError(
    `${folder.batchObjects} lists batches that were already submitted; sending their rows again would pay twice. ` +
      `Collect them with: ${watchCommand()}`,
  );
}
