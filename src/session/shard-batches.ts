/**
 * A shard's rows as batches: submitted, watched and collected while its lease is held. Each shard has a record of batches of
 * its own, and its batches have their own identity, so that the next owner of the shard finds the existing ones.
 */

import { existsSync } from 'node:fs';
import { CallFailed, Interrupted } from '../batches/calls.js';
import type { Ledger } from '../batches/ledger.js';
import type { SharedQueue } from '../batches/queue.js';
import type { Watched } from '../batches/watch.js';
import type { Stop } from '../requests/processor.js';
import type { PreparedRun } from '../run/prepare.js';
import type { RunPolicy } from '../run/settings.js';
import { modelRefusal, openBatchClient, submitParts } from './batch-tools.js';
import { describeOutstanding, holdRows } from './before-paying.js';
import type { CommandContext } from './command-context.js';
import { nothingSent, type OnlineResult, type OnlineWork } from './online.js';
import { adoptSiblings, givenUp, type WatchedBatches } from './open-watched-run.js';
import { RetryRounds } from './retry-rounds.js';
import { failureError } from './stops.js';
import { watchOnce } from './watch-once.js';

/** How long calls in progress may take after a signal: those that are cut off are looked up by the next worker. */
const GRACE_MS = 30_000;

const NOTHING_WATCHED: Watched = {
  interrupted: false,
  answers: 0,
  isOurAccount: false,
  inDoubt: null,
  invalidRows: [],
};

/** How a worker watches its batches. */
export interface BatchWatching {
  /** Milliseconds between two polls. */
  checkInterval: number;
  /** Batches, or batch files, of which nothing more is expected. */
  giveUp: readonly string[];
}

/** A shard whose rows go into batches. */
export interface BatchShard extends Omit<OnlineWork, 'folder' | 'run'> {
  folder: WatchedBatches['folder'];
  run: PreparedRun;
  dataset: string;
  ledger: Ledger;
  queue: SharedQueue;
  watching: BatchWatching;
  /** True where an earlier worker may have submitted batches that this folder does not know of. */
  isResumed: boolean;
}

/**
 * Has a shard's rows answered by batches: those that exist first, then new ones for the rows that are in none.
 * @throws UserError where the account does not say for certain which batches exist
 */
export async function sendInBatches(shard: BatchShard, context: CommandContext): Promise<OnlineResult> {
  const { call, totals, ledger, onChanges } = shard;
  const { interruption, console } = context;
  const started = performance.now();
  const before = ledger.totals().answers;
  const grace = new Grace(interruption);
  const client = openBatchClient(shard, console, grace.signal);
  let stop: Stop | null;
  try {
    stop = await watchAll(watchedOf(shard, client, context), shard, context);
  } catch (error) {
    if (error instanceof Interrupted) stop = { reason: 'interrupted' };
    else if (error instanceof CallFailed && error.verdict.kind === 'run')
      stop = { reason: 'error', cause: error.verdict.cause, message: error.verdict.message };
    else throw error instanceof CallFailed ? await failureError(error, call) : error;
  } finally {
    grace.end();
    await client.close();
    totals.setBatches(ledger.totals());
    totals.save();
    onChanges(ledger.learnt);
  }
  const answered = ledger.totals().answers - before;
  return { ...nothingSent(call), stop, answered, milliseconds: performance.now() - started };
}

function watchedOf(
  { call, policy, reserved, dataset, folder, run, ledger, totals, price, queue, watching }: BatchShard,
  client: WatchedBatches['client'],
  { console, interruption, resumeCommand }: CommandContext,
): WatchedBatches {
  const { checkInterval, giveUp } = watching;
  const isGivenUp = givenUp(giveUp);
  const own: RunPolicy = { ...policy, maxCost: policy.maxCost === null ? null : policy.maxCost - reserved };
  const parts = { call, policy: own, ledger, client, totals, price, isGivenUp, queue };
  const { identity } = run;
  // A finished shard is opened again only to retry rows.
  const lookAgain = /\s--retry[\s=]/.test(resumeCommand) ? resumeCommand : `${resumeCommand} --retry failed`;
  const giveUpCommand = `${lookAgain} --give_up`;
  return {
    ...{ call, policy: own, output: { runName: null }, dataset, folder, run, ledger, totals, price, client },
    watchCommand: () => lookAgain,
    watching: { checkInterval, outputFile: null, errorFile: null, cancel: false },
    submission: submitParts({
      ...parts,
      identity,
      giveUpCommand,
      reporter: console,
      signal: interruption.soft,
    }),
    isGivenUp,
  };
}

/** Watches until every batch is collected and another round would change nothing. */
async function watchAll(
  watched: WatchedBatches,
  { isResumed }: BatchShard,
  context: CommandContext,
): Promise<Stop | null> {
  const { call, policy, ledger, run, client } = watched;
  const { console } = context;
  if (ledger.chunks.length === 0) {
    const refusal = await modelRefusal(call, client);
    if (refusal !== null) return refusal;
  }
  ledger.forget(ledger.unsubmitted.filter((chunk) => !existsSync(ledger.pathOf(chunk) ?? '')));
  await holdRows(watched);
  if (isResumed && run.index.countWanted(policy.retry) > 0) await adoptSiblings(watched, false, context);
  const rounds = new RetryRounds(watched, context);
  for (;;) {
    const outcome = ledger.chunks.length === 0 ? NOTHING_WATCHED : await watchOnce(watched, context);
    if (outcome.interrupted) return { reason: 'interrupted' };
    const held = await holdRows(watched);
    if (outcome.inDoubt !== null) throw outcome.inDoubt;
    if (!(await rounds.next(outcome))) {
      const outstanding = describeOutstanding(ledger, watched.watchCommand);
      if (held > 0 && outstanding !== null) console.warning(outstanding);
      return context.interruption.soft.aborted ? { reason: 'interrupted' } : rounds.stop;
    }
  }
}

/** Calls in progress are cut off half a minute after a signal, or at the second Ctrl-C. */
class Grace {
  readonly #cut = new AbortController();
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly interruption: CommandContext['interruption']) {
    interruption.soft.addEventListener('abort', this.#begin);
    if (interruption.soft.aborted) this.#begin();
  }

  get signal(): AbortSignal {
    return AbortSignal.any([this.interruption.hard, this.#cut.signal]);
  }

  readonly #begin = (): void => {
    this.#timer ??= setTimeout(() => {
      this.#cut.abort();
    }, GRACE_MS);
  };

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.interruption.soft.removeEventListener('abort', this.#begin);
  }
}
