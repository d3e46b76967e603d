/** `reannotate --batch`: a run's pending rows as batches. */

import { existsSync } from 'node:fs';
import type { Price } from '../models/prices.js';
import { CallFailed } from '../batches/calls.js';
import type { BatchApi } from '../batches/apis/batch-api.js';
import { planChunks, type ChunkLimits } from '../batches/chunks.js';
import { isHandRun } from '../batches/hand-run.js';
import { REQUEST_URL, RESPONSES_URL } from '../batches/request-line.js';
import type { Ledger } from '../batches/ledger.js';
import { resolveCreation, submitChunks, type Submitted, type SubmitParts } from '../batches/submit.js';
import { EXIT, UserError } from '../lib/errors.js';
import { batchesOnResponses, batchTermsOf, findEndpoint } from '../models/endpoint.js';
import type { ModelCall } from '../models/call.js';
import { isResuming, type Output, type RunPolicy } from '../run/settings.js';
import type { RunFolder } from '../run/folder.js';
import { printResult } from '../terminal/output.js';
import { JournalWriter, type JournalIndex } from '../run/journal.js';
import type { PreparedRun } from '../run/prepare.js';
import type { Totals } from '../run/totals.js';
import { count, plural } from '../lib/text.js';
import type { RetriableState } from '../types.js';
import { costOfAll } from './batch-cost.js';
import { modelRefusal, openBatchClient, submitParts, type BatchAccount } from './batch-tools.js';
import { describeOutstanding, holdRows, refuseUnknownBatches } from './before-paying.js';
import { addressStep, commandLine, nextStep, roundedUp } from './next-command.js';
import { refuseOnlineElsewhere } from './online-permit.js';
import { failureError, stopError } from './stops.js';
import type { CommandContext } from './command-context.js';
import type { WatchCommand } from './watch-command.js';

/** A run whose rows are to go into batches. */
export interface BatchRun extends BatchAccount {
  policy: RunPolicy;
  output: Pick<Output, 'runName'>;
  watchCommand: WatchCommand;
  folder: RunFolder;
  run: PreparedRun;
  ledger: Ledger;
  totals: Totals;
  price: Price | null;
}

/**
 * Submits what is not submitted yet, and prints the command that watches it.
 * @param onBatches called with the batches' ids once they are known
 * @returns the exit code; null where nothing is left to be submitted or watched
 */
export async function submitBatches(
  batchRun: BatchRun,
  context: CommandContext,
  onBatches: (ids: string[]) => Promise<void>,
): Promise<number | null> {
  const { call, run, ledger } = batchRun;
  const { console, interruption } = context;
  const client = openBatchClient(batchRun, console, interruption.hard);
  const parts = submitParts({
    ...batchRun,
    client,
    identity: run.identity,
    reporter: console,
    signal: interruption.soft,
    giveUpCommand: batchRun.watchCommand([], ['--give_up']),
    collectCommand: batchRun.watchCommand([], ['--batch_ids']),
  });
  try {
    if (ledger.chunks.length === 0) await requireModel(batchRun, client, context);
    await preparePlan(batchRun, parts, context);
    const waiting = ledger.chunks.filter(({ state }) => state === 'waiting');
    const others = ledger.unsubmitted.filter(({ state }) => state !== 'waiting');
    // Those that wait for the queue are the watcher's, unless nothing is there to be watched.
    const chunks = others.length > 0 || ledger.open.length > 0 ? others : waiting;
    if (chunks.length === 0 && ledger.open.length === 0) return null;
    if (chunks.length > 0) tellSearch(call, console);
    const submitted = await submitWithProgress(
      chunks.length,
      () => submitChunks(chunks, parts),
      batchRun,
      context,
    );
    const ids = ledger.open.flatMap((chunk) =>
      chunk.batch === null || isHandRun(chunk) ? [] : [chunk.batch.id],
    );
    await onBatches(ids);
    return await report(submitted, ids, batchRun, context);
  } finally {
    await client.close();
  }
}

/** Where a batch keeps nothing that says whose it is, the user should know what a crash would cost in time. */
function tellSearch(call: ModelCall, console: CommandContext['console']): void {
  if (batchTermsOf(call)?.searchedBy !== 'requests') return;
  console.info(
    `${call.annotator.provider.title} stores no metadata with a batch. If the answer to its creation is ever lost, the batch ` +
      'can only be recognised by the ids of its requests once it has ended, and nothing is sent again before that.',
  );
}

/** @throws UserError where the key or the model is certainly wrong */
async function requireModel(
  { call, output }: BatchRun,
  client: BatchApi,
  { words, resumeCommand }: CommandContext,
): Promise<void> {
  const stop = await modelRefusal(call, client);
  if (stop === null) return;
  throw await stopError(stop, call, (nearest) => {
    if (words === undefined) return `Then resume with: ${resumeCommand}`;
    const { baseUrl } = findEndpoint(call);
    const isNamed = output.runName !== null;
    return nextStep(stop, { call, words, isNamed, hasAnswers: false, nearest, baseUrl });
  });
}

/** Brings the ledger up to date: what was in progress at a crash, missing files, rows in no chunk yet. */
async function preparePlan(
  batchRun: BatchRun,
  parts: SubmitParts,
  { console }: CommandContext,
): Promise<void> {
  const { call, policy, folder, run, ledger, watchCommand } = batchRun;
  for (const chunk of ledger.unanswered) await describing(call, () => resolveCreation(chunk, parts));
  ledger.forget(ledger.unsubmitted.filter((chunk) => !existsSync(ledger.pathOf(chunk) ?? '')));
  const heldRows = await holdRows({ folder, run, ledger });
  const outstanding = describeOutstanding(ledger, watchCommand);
  if (heldRows > 0 && outstanding !== null) console.warning(outstanding);
  // A new run has no batches anywhere.
  if (isResuming(policy) && run.index.countWanted(policy.retry) > 0) {
    const { client, waiting } = parts;
    const paying = { ...batchRun, client, waiting, reporter: console };
    await describing(call, async () => {
      await refuseUnknownBatches(paying);
      await refuseOnlineElsewhere(paying);
    });
  }
  await planRows(batchRun, console, () => true);
}

/**
 * Plans batches for the rows to send that are in none yet.
 * @param isAllowed a further condition for a row
 */
export async function planRows(
  { call, policy, folder, run, ledger }: Pick<BatchRun, 'call' | 'policy' | 'folder' | 'run' | 'ledger'>,
  console: CommandContext['console'],
  isAllowed: (row: number) => boolean,
): Promise<number> {
  const { index } = run;
  await holdRows({ folder, run, ledger });
  const { retry } = policy;
  // A row that has some of its answers would be answered, and paid for, as a whole again.
  const isWhole = (row: number): boolean => index.parts?.isWhole(row, retry) ?? true;
  const wanted = (row: number): boolean => index.isWanted(row, retry) && isWhole(row) && isAllowed(row);
  tellIncomplete(index, retry, console);
  let planned = 0;
  // Where the journal can't be written, closing it says so.
  const journal = new JournalWriter(folder.journal, () => undefined, folder.segments?.at(-1)?.number);
  const endProgress = console.showProgress(() => `Writing batch files: ${plural(planned, 'request')}`);
  try {
    const chunks = await planChunks(
      folder,
      ledger,
      {
        total: run.rows,
        wanted,
        url: batchesOnResponses(call) ? RESPONSES_URL : REQUEST_URL,
        onTooLarge: (row, body) => {
          const message = `the request alone is larger than --max_batch_bytes ${policy.maxBatchBytes}`;
          const place = journal.appendFailure(body, { errors: [message], filtered: false }, { row });
          index.recordLine({ row, part: null, choices: 1 }, 'failed', place, { isError: true });
          console.warning(`Row ${row} failed: ${message}.`);
        },
        onProgress: (rows) => {
          planned = rows;
        },
      },
      limitsOf(call, policy),
    );
    if (chunks.length > 0) {
      console.info(
        `Wrote ${plural(planned, 'request')} to ${plural(chunks.length, 'batch file')} in ${folder.temp}.`,
      );
    }
  } finally {
    endProgress();
    journal.close();
  }
  return planned;
}

/** Rows that a server gave fewer answers than were asked for, which no batch changes. */
function tellIncomplete(
  index: JournalIndex,
  retry: readonly RetriableState[],
  console: CommandContext['console'],
): void {
  const { parts } = index;
  if (parts === null) return;
  let rows = 0;
  for (let row = 0; row < index.rows; row++)
    if (index.isWanted(row, retry) && !parts.isWhole(row, retry)) rows += 1;
  if (rows === 0) return;
  console.warning(
    `${plural(rows, 'row')} got fewer answers than --n, and another batch would not change that. Online, each of the ` +
      'others is requested separately: use --finish_online, or the command without --batch and with --resume.',
  );
}

/** What one file may hold: the provider's limits, and lower ones of the command line. */
function limitsOf(call: ModelCall, policy: RunPolicy): ChunkLimits {
  const { requests, bytes } = batchTermsOf(call) ?? { requests: Infinity, bytes: Infinity };
  return {
    requests: Math.min(policy.maxBatchSize, requests),
    bytes: Math.min(policy.maxBatchBytes, bytes),
  };
}

async function submitWithProgress(
  total: number,
  work: () => Promise<Submitted>,
  { ledger }: BatchRun,
  { console, interruption }: CommandContext,
): Promise<Submitted> {
  const before = ledger.open.length;
  const endProgress = console.showProgress(
    () => `Submitting: ${count(ledger.open.length - before)} of ${plural(total, 'batch', 'batches')}`,
  );
  const onInterrupt = (): void => {
    const hint = interruption.signal === 'SIGINT' ? '; press Ctrl-C again to stop at once' : '';
    console.warning(`Stopping: finishing the uploads in progress${hint}.`);
  };
  interruption.soft.addEventListener('abort', onInterrupt);
  try {
    return await work();
  } finally {
    interruption.soft.removeEventListener('abort', onInterrupt);
    endProgress();
  }
}

async function report(
  submitted: Submitted,
  ids: readonly string[],
  batchRun: BatchRun,
  context: CommandContext,
): Promise<number> {
  const { call, policy, ledger, watchCommand } = batchRun;
  const { console, interruption, resumeCommand } = context;
  const requests = ledger.open.reduce((sum, chunk) => sum + (isHandRun(chunk) ? 0 : chunk.requests), 0);
  if (ids.length > 0) {
    const what = plural(ids.length, 'batch', 'batches');
    console.info(`${what} with ${plural(requests, 'request')} in progress. Watch and collect with:`);
    await printCommand(watchCommand(ids), context);
  }
  const waiting = ledger.chunks.filter(({ state }) => state === 'waiting').length;
  if (waiting > 0) {
    const what = plural(waiting, 'batch file');
    console.warning(
      `The API's queue is full: ${what} wait, and watch-batch submits them when there is room.`,
    );
    if (ids.length === 0) await printCommand(watchCommand(), context);
  }
  const missing = ledger.unsubmitted.length - waiting;
  if (submitted.interrupted) {
    console.warning(`Stopped; ${plural(missing, 'batch file')} not submitted. Resume with: ${resumeCommand}`);
    return interruption.exitCode;
  }
  const first = submitted.failed[0];
  if (first !== undefined) {
    const { reason } = first;
    const why = reason instanceof CallFailed ? await failureError(reason, call) : reason;
    const total = ids.length + missing;
    console.error(
      `${count(missing)} of ${plural(total, 'batch', 'batches')} not submitted: ${why.message} ${stepAfter(reason, call, context)}`,
    );
    return why instanceof UserError ? why.exitCode : EXIT.cannotGoOn;
  }
  if (submitted.unaffordable.length > 0) {
    console.error(
      `${plural(submitted.unaffordable.length, 'batch', 'batches')} not submitted: --max_cost ${policy.maxCost ?? 0} would be ` +
        `exceeded in the worst case. ${raiseAdvice(ids.length > 0, batchRun, context)}`,
    );
    return EXIT.incomplete;
  }
  return EXIT.done;
}

/** What to run after a refusal: the same command would repeat the mistake where the address is wrong. */
function stepAfter(
  reason: CallFailed | UserError,
  call: ModelCall,
  { words, resumeCommand }: CommandContext,
): string {
  const { baseUrl } = findEndpoint(call);
  const address =
    words === undefined || !(reason instanceof CallFailed)
      ? null
      : addressStep(reason.message, { call, words, baseUrl });
  return address ?? `Submit what is missing with: ${resumeCommand}`;
}

/** A collected batch counts with what it cost, which is far less than its worst case. */
function raiseAdvice(
  isAnyRunning: boolean,
  { call, ledger, totals, price }: BatchRun,
  { words, resumeCommand }: CommandContext,
): string {
  const needed = price === null ? Infinity : costOfAll(ledger, totals, call.generation, price);
  const amount = Number.isFinite(needed) ? String(roundedUp(needed)) : 'USD';
  const larger =
    words === undefined
      ? resumeCommand
      : commandLine(words, { resume_no_retry: null, overwrite: null, max_cost: amount, resume: true });
  return isAnyRunning
    ? `Collect the batches that are running, which frees most of the amount, and run: ${resumeCommand} — or allow more with: ${larger}`
    : `Allow more with: ${larger}`;
}

/** The one line on standard output that scripts read. */
async function printCommand(command: string, { output = printResult }: CommandContext): Promise<void> {
  await output(`${command}\n`, `The batches are submitted; watch and collect them with: ${command}`);
}

/** Words the failure of a call for the user. */
export async function describing<T>(call: ModelCall, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CallFailed) throw await failureError(error, call);
    throw error;
  }
}
