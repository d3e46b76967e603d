/** The main command: a dataset's rows in, their new answers out. It reads as the story of a run. */

import { existsSync, readFileSync } from 'node:fs';
import { Ledger } from '../batches/ledger.js';
import { messageOf, UserError } from '../lib/errors.js';
import { answerRules } from '../models/answer-rules.js';
import { findEndpoint, shownBaseUrl } from '../models/endpoint.js';
import { placeOf, type RunSettings } from '../run/settings.js';
import type { ParameterChange } from '../requests/parameters.js';
import type { Stop } from '../requests/processor.js';
import { priceFor } from '../run/budget.js';
import {
  configDataset,
  effectiveParameters,
  readConfig,
  withOutputsOf,
  writeConfig,
  type ConfigFile,
} from '../run/config.js';
import { findRunFolder, type RunFolder } from '../run/folder.js';
import { readIdentity } from '../run/identity.js';
import { requireOwnRun } from '../run/own-run.js';
import { findDataset, prepareRun, requestShape, type PreparedRun } from '../run/prepare.js';
import { Totals } from '../run/totals.js';
import { count, plural } from '../lib/text.js';
import { reservedForBatches } from '../session/batch-cost.js';
import { checkEarlierRun } from '../session/earlier-run.js';
import { assembleResults, finish, publisherOf } from '../session/finish.js';
import { escalateTruncated } from '../session/escalate.js';
import { inFolder } from '../session/in-folder.js';
import type { NextCommands } from '../session/finished-run.js';
import { commandLine, nextStep, retryCommandLine } from '../session/next-command.js';
import { askOnline } from '../session/online.js';
import { subjectOf, withNotice } from '../session/notice.js';
import { answerSources, reusingMoved, SharedAnswers } from '../session/share-answers.js';
import { stopError } from '../session/stops.js';
import type { BatchRun } from '../session/submit-batches.js';
import type { Surroundings } from '../session/surroundings.js';
import { requireBatches, watchCommandLine } from '../session/watch-command.js';

/**
 * Runs `reannotate`.
 * @returns the exit code
 * @throws UserError where the run can't go on
 */
export async function reannotate(options: RunSettings, surroundings: Surroundings): Promise<number> {
  // What is only submitted is not over: watch-batch says when it is.
  const subject = { ...subjectOf(options, 'reannotate'), endsRun: !options.policy.batch };
  return withNotice(subject, surroundings, () => run(options, surroundings));
}

async function run(options: RunSettings, surroundings: Surroundings): Promise<number> {
  // A schema that cannot be used ends the run here, before anything is written.
  await answerRules(options.call);
  if (options.policy.batch && !options.policy.batchFileOnly) requireBatches(options.call);
  const folder = findRunFolder(placeOf(options));
  requireOwnRun(folder);
  // Where money bounds nothing, the price is looked up once the first request is out.
  const price = options.policy.batch || options.policy.maxCost !== null ? await priceFor(options) : null;
  const isResumed = options.policy.earlier === 'resume' || options.policy.earlier === 'resume_no_retry';
  // Before anything is written: the batches know whose they are, and this run is to take that over.
  if (isResumed) refuseUnknownBatches(folder, options);
  const leftBehind = checkEarlierRun(folder, options);
  // A new run that lacks a key or its dataset fails before it leaves anything behind.
  if (!options.policy.batchFileOnly && (!isResumed || leftBehind.length === 0)) findEndpoint(options.call);
  await answerSources(options);
  const publisher = await publisherOf(options, surroundings);
  const found =
    leftBehind.length === 0 || options.policy.earlier === 'overwrite'
      ? await findDataset(options, surroundings.console, surroundings.interruption.soft)
      : null;
  if (options.policy.earlier === 'overwrite') warnOfBatches(folder, options, surroundings);
  return inFolder(folder, 'reannotate', options, surroundings, async (aside) => {
    const now = new Date();
    const totals = new Totals(folder.counters, price, now);
    const identity = readIdentity(folder.run);
    const started = await readConfig(folder.config, now, identity);
    const writing = withOutputsOf(started.params, reusingMoved(options, folder, aside));
    const config: ConfigFile = {
      uuid: started.uuid,
      creation_date: started.creation_date,
      params: effectiveParameters(writing, shownBaseUrl(options.call)),
    };
    // The config of a run that exists changes only once it is certain that the command line fits it.
    if (identity === null) await writeConfig(folder.config, config);
    const preparation = {
      folder,
      fresh: { uuid: started.uuid, created: started.creation_date },
      found,
      console: surroundings.console,
      signal: surroundings.interruption.soft,
    };
    const run = await prepareRun(writing, preparation, (entry) => {
      totals.addEntry(entry);
    });
    config.dataset = configDataset(run.identity, run.rows);
    if (identity !== null) await writeConfig(folder.config, config);
    const changes = distinct([...requestShape(options.call).changes, ...(started.parameter_changes ?? [])]);
    if (changes.length > 0) config.parameter_changes = changes;
    const ledger = Ledger.open(folder);
    // What was learnt online holds for batches as well.
    ledger.learn(changes);
    totals.setBatches(ledger.totals());
    const shared = await SharedAnswers.open({ options: writing, folder, run, totals }, surroundings.console);
    const commands = nextCommands(surroundings);
    const tryAgain = `Retry them with: ${commands.retry(['failed'])}`;
    const finished = { options: writing, folder, run, totals, config, tryAgain, publisher, commands };
    if (options.policy.batch) {
      const batchRun = { options: writing, folder, run, ledger, totals, price };
      const exitCode = await intoBatches(batchRun, surroundings, async (ids) => {
        await writeConfig(folder.config, { ...config, batch_ids: ids });
      });
      if (exitCode !== null) return exitCode;
      const session = { answered: 0, milliseconds: 0, bound: null };
      const assembled = await assembleResults({ ...finished, run }, surroundings.console);
      return finish({ ...finished, mode: 'batch', session, stop: null }, assembled, surroundings.console);
    }
    if (ledger.chunks.length > 0) {
      const { leaveBatches } = await import('../session/leave-batches.js');
      const outstanding = await leaveBatches(ledger, folder, run, options, surroundings);
      if (outstanding !== null) finished.tryAgain = `${tryAgain} ${outstanding}`;
    } else if (isResumed && identity !== null) {
      const { refuseCopiesBatches } = await import('../session/leave-batches.js');
      const hadBatches = started.params?.['batch'] === true || (started.batch_ids ?? []).length > 0;
      await refuseCopiesBatches({ ledger, folder, run, options, hadBatches }, surroundings);
    }
    const session = { answered: 0, milliseconds: 0, bound: null as string | null };
    for (let round = 0; ; round++) {
      await shared.settle();
      const onChanges = (learnt: readonly ParameterChange[]): void => {
        config.parameter_changes = distinct([...changes, ...learnt]);
      };
      const reserved = reservedForBatches(ledger, writing.call.generation, price);
      const work = { options: writing, folder, run, totals, price, onChanges, serviceTier: null, reserved };
      const asked = await escalateTruncated(work, await askOnline(work, surroundings), shared, surroundings);
      session.answered += asked.answered;
      session.milliseconds += asked.milliseconds;
      session.bound ??= asked.bound;
      if (asked.stop !== null && asked.stop.reason !== 'budget') {
        if (existsSync(folder.save)) await writeConfig(folder.config, config);
        return endEarly(asked.stop, options, run, surroundings);
      }
      await shared.settle();
      const assembled = await assembleResults({ ...finished, run }, surroundings.console);
      // Rows whose answers can't be read are asked again at once. If that happens to the new ones as well, the disk is
      // not to be paid for.
      if (assembled.damaged.length > 0 && asked.stop === null && round === 0) continue;
      await totals.findPrice(options.call);
      return finish(
        { ...finished, mode: 'online', session, stop: asked.stop, needed: asked.needed },
        assembled,
        surroundings.console,
      );
    }
  });
}

/** Submits what is to be asked, or writes it for the user to run. Null where there is nothing. */
async function intoBatches(
  batchRun: BatchRun,
  surroundings: Surroundings,
  onBatches: (ids: string[]) => Promise<void>,
): Promise<number | null> {
  if (batchRun.options.policy.escalateTruncated !== null)
    surroundings.console.warning(
      'Truncated rows are not sent again in batches: once these are collected, resume without --batch.',
    );
  if (batchRun.options.policy.batchFileOnly) {
    const { writeBatchFiles } = await import('../session/batch-files.js');
    return writeBatchFiles(batchRun, surroundings);
  }
  const { submitBatches } = await import('../session/submit-batches.js');
  return submitBatches(batchRun, surroundings, onBatches);
}

function nextCommands({ words, resumeCommand }: Surroundings): NextCommands {
  // `demo` has one command that does everything.
  if (words === undefined) return { retry: () => resumeCommand, raise: () => resumeCommand };
  return {
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

/** Batches go on, and are billed, although their run's folders are moved aside. */
function warnOfBatches(folder: RunFolder, options: RunSettings, { console }: Surroundings): void {
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
    `The earlier run has ${plural(under.length, 'batch', 'batches')} in progress, which go on and are billed. ` +
      `Stop them with: ${watchCommandLine({ ...options, output: { ...options.output, saveDir: 'cancelled', tempDir: 'cancelled/temp' }, push: null }, under, ['--cancel'])}`,
  );
}

/** Batches that only `batch_objects.json` tells of (the Python tool made them) are collected before anything is asked. */
function refuseUnknownBatches(folder: RunFolder, options: RunSettings): void {
  if (existsSync(folder.batches) || !existsSync(folder.batchObjects)) return;
  if (!readFileSync(folder.batchObjects).includes('"id"')) return;
  throw new UserError(
    `${folder.batchObjects} names batches that were submitted before; asking their rows again would pay twice. ` +
      `Collect them with: ${watchCommandLine(options, [])}`,
  );
}

/** Changes of parameters by their names; the first of a name counts. */
function distinct(changes: readonly ParameterChange[]): ParameterChange[] {
  return [...new Map([...changes].reverse().map((change) => [change.parameter, change])).values()].reverse();
}

/** A run that did not come to its end: everything is saved, nothing is assembled. */
async function endEarly(
  stop: Exclude<Stop, { reason: 'budget' }>,
  options: RunSettings,
  run: PreparedRun,
  { console, interruption, resumeCommand, words }: Surroundings,
): Promise<number> {
  const left = run.index.count('pending');
  const saved = `${plural(run.rows - left, 'row')} of ${count(run.rows)} saved`;
  if (stop.reason === 'interrupted') {
    console.warning(`Stopped; ${saved}. Resume with: ${resumeCommand}`);
    return interruption.exitCode;
  }
  const hasAnswers = run.index.count('ok') + run.index.count('truncated') > 0;
  const { baseUrl } = findEndpoint(options.call);
  throw await stopError(stop, options.call, (nearest) => {
    const situation = { words, hasAnswers, nearest, baseUrl };
    return `(${saved}.) ${words === undefined ? `Then resume with: ${resumeCommand}` : nextStep(stop, options, { ...situation, words })}`;
  });
}
