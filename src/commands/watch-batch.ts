/** `watch-batch`: a run's batches, watched, collected and finished. It reads as the story of a watch. */

import { Interrupted } from '../batches/calls.js';
import { isHandRun } from '../batches/hand-run.js';
import { OFFLINE } from '../batches/offline.js';
import type { Watched } from '../batches/watch.js';
import { answerRules } from '../models/answer-rules.js';
import { EXIT, messageOf, UsageError, UserError } from '../lib/errors.js';
import { distinctChanges, mostTokensOf } from '../requests/parameters.js';
import { priceFor } from '../run/budget.js';
import { findRunFolder } from '../run/folder.js';
import { requireOwnRun } from '../run/own-run.js';
import { plural } from '../lib/text.js';
import type { WatchOptions } from '../session/watch-options.js';
import { placeOf, type RunPolicy } from '../run/settings.js';
import { openBatchClient } from '../session/batch-tools.js';
import { reservedForBatches } from '../session/batch-cost.js';
import { describeOutstanding, holdRows, permitted } from '../session/before-paying.js';
import { cancelBatches } from '../session/cancel-batches.js';
import { checkFallback } from '../session/check-fallback.js';
import { assembleResults, finish, publisherOf } from '../session/finish.js';
import type { FinishedRun, NextCommands, Publisher } from '../session/finished-run.js';
import { inFolder } from '../session/in-folder.js';
import { mayFollow, sendFurtherRounds } from '../session/further-rounds.js';
import { sendOnline, nothingSent, type OnlineResult, type OnlineWork } from '../session/online.js';
import {
  adoptSiblings,
  openWatchedRun,
  readObjects,
  requireRecord,
  type WatchedRun,
} from '../session/open-watched-run.js';
import { subjectOf, withNotice } from '../session/notice.js';
import { stopError } from '../session/stops.js';
import { RetryRounds } from '../session/retry-rounds.js';
import { describing } from '../session/submit-batches.js';
import type { CommandContext } from '../session/command-context.js';
import { requireBatches } from '../session/watch-command.js';
import { takeResults } from '../session/take-results.js';
import { collectParts, indexJobs, RawResults, watchOnce } from '../session/watch-once.js';

/**
 * Runs `watch-batch`.
 * @returns the exit code
 * @throws UserError if it cannot continue
 */
export async function watchBatch(watching: WatchOptions, context: CommandContext): Promise<number> {
  const { run } = watching;
  return withNotice(subjectOf(run, 'watch-batch'), context, () => watchRun(watching, context));
}

async function watchRun(watching: WatchOptions, context: CommandContext): Promise<number> {
  const { selection, call, policy, push, environment } = watching.run;
  const { console, interruption } = context;
  if (watching.results === null) requireBatches(call);
  if (watching.cancel && !watching.yes && !process.stdin.isTTY) {
    throw new UsageError('--cancel asks for confirmation, but there is no terminal to ask on; add --yes.');
  }
  const place = placeOf(watching.run);
  const folder = findRunFolder(place);
  requireOwnRun(folder);
  const price = await priceFor(call, policy);
  const account = { call, dataset: selection.dataset };
  const client = watching.results === null ? openBatchClient(account, console, interruption.soft) : OFFLINE;
  try {
    const fromFile = watching.batchObjectsFile === null ? null : readObjects(watching.batchObjectsFile);
    const isNamed = watching.batchIds !== null || fromFile !== null || watching.recover;
    if (!isNamed && watching.results === null) requireRecord(folder, place);
    const publisher = await publisherOf(push, environment, context);
    const use = { folder, command: 'watch-batch', settings: watching.run };
    return await inFolder(use, context, () =>
      describing(call, async () => {
        const watched = await openWatchedRun({ watching, fromFile, folder, client, price }, context);
        if (watching.results !== null) return takeGiven(watching.results, watched, publisher, context);
        if (watching.cancel && !(await cancelBatches(watched, context))) return EXIT.done;
        return follow(watched, publisher, context);
      }),
    );
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    console.warning(`Stopped; the batches continue to run. Resume watching with: ${context.resumeCommand}`);
    return interruption.exitCode;
  } finally {
    await client.close();
  }
}

/** `--results`: takes files in, and ends the run as far as it goes. */
async function takeGiven(
  paths: readonly string[],
  watched: WatchedRun,
  publisher: Publisher | null,
  context: CommandContext,
): Promise<number> {
  const { console } = context;
  const { call, totals, ledger, watchCommand } = watched;
  const started = performance.now();
  const raw = new RawResults(watched, console);
  const jobs = await indexJobs(watched);
  let answered: number;
  try {
    const parts = collectParts(watched, jobs, await answerRules(call), console);
    answered = await takeResults(paths, watched, parts, context);
    await raw.update();
  } finally {
    jobs.close();
    totals.setBatches(ledger.totals());
    totals.save();
  }
  const resume = watchCommand([], ['--resume']).replace(/^npx watch-batch/, 'npx reannotate');
  const finished = {
    ...watched,
    ...{ mode: 'batch' as const, stop: null, publisher, commands: nextCommands(watched) },
    tryAgain: `Send rows that are in no batch with: ${resume} — or write new files with: ${resume} --batch_file_only`,
    session: { answered, milliseconds: performance.now() - started, bound: null },
  };
  const assembled = await assembleResults(finished, console);
  return finish(finished, assembled, console);
}

/** Watches, and does what was asked about the rows that have no answer then. */
async function follow(
  watched: WatchedRun,
  publisher: Publisher | null,
  context: CommandContext,
): Promise<number> {
  const { watching, ledger } = watched;
  const { console, interruption, resumeCommand } = context;
  const started = performance.now();
  const rounds = new RetryRounds(watched, context);
  let answered = 0;
  let isOurAccount = false;
  for (;;) {
    const outcome = await watchOnce(watched, context);
    isOurAccount ||= outcome.isOurAccount;
    answered += outcome.answers;
    const isGoingOn = !outcome.interrupted && (await goOn(watched, outcome, rounds, context));
    // Ctrl-C may also come while a round is submitted.
    if (outcome.interrupted || interruption.soft.aborted) {
      console.warning(`Stopped; the batches continue to run. Resume watching with: ${resumeCommand}`);
      return interruption.exitCode;
    }
    if (!isGoingOn) break;
  }
  const session = { answered, milliseconds: performance.now() - started, bound: null };
  const finished = {
    ...watched,
    ...{ mode: 'batch' as const, tryAgain: '', stop: rounds.stop, publisher },
    commands: nextCommands(watched),
  };
  const isFinishing = watching.then === 'finish_online';
  if (isFinishing) {
    // What was never submitted is sent online like the rest.
    ledger.forget(ledger.unsubmitted);
    await ledger.save();
  }
  await holdRows(watched);
  await watched.shared.settle();
  const asked = await finishOnline(watched, isFinishing, isOurAccount, context);
  if (asked.stop?.reason === 'interrupted') {
    console.warning(`Stopped; everything received is saved. Resume with: ${resumeCommand}`);
    return interruption.exitCode;
  }
  if (asked.stop?.reason === 'error') {
    throw await stopError(asked.stop, asked.call, `Then resume with: ${resumeCommand}`);
  }
  session.answered += asked.answered;
  session.milliseconds = performance.now() - started;
  const stop = asked.stop ?? finished.stop;
  return end({ ...finished, session, stop, needed: asked.needed }, watched, context);
}

/** Whether there is more to watch: batches of this run that others submitted, or a round of `--retry_failed`. */
async function goOn(
  watched: WatchedRun,
  outcome: Watched,
  rounds: RetryRounds,
  context: CommandContext,
): Promise<boolean> {
  const { watching, run } = watched;
  if (watching.then === 'stop') return false;
  await holdRows(watched);
  await watched.shared.settle();
  if (run.index.countWanted(watched.policy.retry) === 0) return false;
  if (await adoptSiblings(watched, outcome.isOurAccount, context)) return true;
  return watching.then === 'retry_failed' && rounds.next(outcome);
}

async function end(finished: FinishedRun, watched: WatchedRun, context: CommandContext): Promise<number> {
  const { config } = finished;
  const changes = distinctChanges([...(config.parameter_changes ?? []), ...watched.ledger.learnt]);
  if (changes.length > 0) config.parameter_changes = changes;
  if (watched.watching.graph) await saveGraphs(watched, context);
  await watched.shared.settle();
  const assembled = await assembleResults({ ...finished, run: watched.run }, context.console);
  return finish({ ...finished, tryAgain: await tryAgain(watched) }, assembled, context.console);
}

/** What brings the rows that are still missing. */
async function tryAgain(watched: WatchedRun): Promise<string> {
  const { policy, ledger, run, watchCommand } = watched;
  await holdRows(watched);
  const waiting = ledger.open.filter(isHandRun).map(({ file }) => file ?? '');
  if (waiting.length > 0) {
    return (
      `Results are missing for ${waiting.slice(0, 3).join(', ')}; import them with: ` +
      watchCommand([], ['--results', 'FILE'])
    );
  }
  const outstanding = describeOutstanding(ledger, watchCommand);
  const left = ledger.unsubmitted.filter(({ state }) => state !== 'creating').length;
  if (outstanding !== null && left === 0 && run.index.countWanted(policy.retry) === 0) return outstanding;
  return `${submitAgain(watched, left)}${outstanding === null ? '' : ` ${outstanding}`}`;
}

function submitAgain({ policy, watchCommand }: WatchedRun, left: number): string {
  const never = left === 0 ? '' : `${plural(left, 'batch file')} never submitted. `;
  const command = (how: string): string => watchCommand([], [how, ...costFlag(policy.maxCost)]);
  return `${never}Submit them as a new batch with: ${command('--retry_failed')} — or send them online with: ${command('--finish_online')}`;
}

function nextCommands({ policy, watching, watchCommand }: WatchedRun): NextCommands {
  const how = watching.then === 'finish_online' ? '--finish_online' : '--retry_failed';
  return {
    retry: (states) => watchCommand([], [how, '--retry', states.join(','), ...costFlag(policy.maxCost)]),
    raise: (maxCost) => watchCommand([], [how, ...costFlag(maxCost)]),
    sendAgain: (flag, value) => watchCommand([], [`--${flag}`, value, ...costFlag(policy.maxCost)]),
  };
}

/** What spends again keeps to the limit that it had. */
function costFlag(maxCost: number | null): string[] {
  return maxCost === null ? [] : ['--max_cost', String(maxCost)];
}

/**
 * Sends the rest online after the batches: with `--finish_online` the rows without an answer, and in any case
 * what the answers call for.
 */
async function finishOnline(
  watched: WatchedRun,
  isFinishing: boolean,
  isOurAccount: boolean,
  context: CommandContext,
): Promise<OnlineResult> {
  const { watching, call, policy, folder, run, ledger, totals, price, config, shared } = watched;
  if (!isFinishing && !mayFollow(watched)) return nothingSent(call);
  const paying = { ...watched, waiting: watched.submission.waiting, reporter: context.console };
  const permit = await permitted(paying, isOurAccount, context);
  const known = config.parameter_changes ?? [];
  const onChanges: OnlineWork['onChanges'] = (learnt) => {
    config.parameter_changes = distinctChanges([...known, ...learnt]);
  };
  const { serviceTier } = watching;
  const reserved = reservedForBatches(ledger, call.generation, price);
  const mostTokens = mostTokensOf(known);
  const work = {
    ...{ call, policy, folder, run, totals, price, mostTokens },
    ...{ onChanges, serviceTier, reserved, permit },
  };
  try {
    const asked = isFinishing ? await sendOnline(work, context) : nothingSent(call);
    const further = { ...work, policy: await withCheckedFallback(watched, context.console) };
    return await sendFurtherRounds(further, asked, shared, context);
  } finally {
    await permit?.release();
  }
}

/** The answers of the batches are taken in whatever becomes of the refused rows. */
async function withCheckedFallback(
  { call, policy, run: { index } }: WatchedRun,
  console: CommandContext['console'],
): Promise<RunPolicy> {
  const hasRefused = index.count('refused') + index.count('filtered') > 0;
  try {
    if (hasRefused) await checkFallback(call, policy);
    return policy;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    console.warning(`${error.message} Refused rows are not sent to it.`);
    return { ...policy, fallback: 'none' };
  }
}

/** `--graph`: how long the batches took. */
async function saveGraphs({ folder, ledger }: WatchedRun, { console }: CommandContext): Promise<void> {
  const { saveBatchGraphs } = await import('../batches/graph.js');
  const times = ledger.batches.map(({ createdAt, endedAt, counts }) => ({
    createdAt,
    endedAt,
    completed: counts.completed,
  }));
  try {
    const paths = await saveBatchGraphs(folder.save, times, folder.name);
    console.info(`Graphs: ${paths.join(', ')}`);
  } catch (error) {
    // The results are worth more than a picture of how they came.
    console.warning(`The graphs could not be saved: ${messageOf(error)}`);
  }
}
