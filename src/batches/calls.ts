/** Calls of the Batch API, retried where that helps; they fail with a verdict where it does not. */

import { UserError } from '../lib/errors.js';
import type { Clock } from '../lib/clock.js';
import type { Verdict } from '../requests/verdict.js';
import { pauseAfter as pauseOf, TRIES, withRetries, type Try } from '../http/retry.js';
import { classifyCallError, statusOf, UnreadableAnswer } from './apis/transport.js';

/** What a server may ask to wait before the wait is taken for a refusal. */
const LONGEST_WAIT_MS = 10 * 60_000;
/** How often a call is made whose refusal would decide something, and how long after each other. */
const REFUSALS = 3;
const REFUSALS_APART_MS = 500;

/** A call that failed permanently. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed';

  constructor(
    readonly verdict: Exclude<Verdict, { kind: 'answer' }>,
    /** Null where no answer came. */
    readonly status: number | null,
    options: ErrorOptions,
  ) {
    super(verdict.message, options);
  }

  /** True where the server accepted the call, and its answer could not be read. */
  get isAccepted(): boolean {
    return this.cause instanceof UnreadableAnswer;
  }

  /** True where the server says that what the call is about does not exist, or not for this key. */
  get isAbsence(): boolean {
    return this.status === 404 || this.status === 410;
  }
}

/** Thrown where a signal ended the wait for a call. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** How waits are made; clock and randomness are parameters. */
export interface Waiting {
  clock: Clock;
  random: () => number;
  signal: AbortSignal;
  /** How often a call is made that may pass the next time; 6 times where nothing is said. */
  tries?: number;
}

/** @throws Interrupted where the signal aborts meanwhile */
export async function pause(milliseconds: number, { clock, signal }: Waiting): Promise<void> {
  await clock.sleep(Math.max(0, milliseconds), signal);
  if (signal.aborted) throw new Interrupted();
}

/** A failure as what it means. */
export function callFailed(error: unknown): CallFailed {
  if (error instanceof CallFailed) return error;
  const verdict = classifyCallError(error);
  if (verdict.kind === 'answer') throw error;
  return new CallFailed(verdict, statusOf(error), { cause: error });
}

/** Milliseconds to wait before the next try. */
export function pauseAfter(failure: CallFailed, attempt: number, random: () => number): number {
  return pauseOf(attempt, askedBy(failure), random);
}

/** Milliseconds that a server asked to wait; null where it did not. */
function askedBy({ verdict }: CallFailed): number | null {
  return 'wait' in verdict ? (verdict.wait ?? null) : null;
}

/** True for a failure that may pass by itself. */
export function isTransient({ verdict }: CallFailed): boolean {
  if (verdict.kind !== 'transient' && verdict.kind !== 'throttle') return false;
  return (verdict.wait ?? 0) <= LONGEST_WAIT_MS;
}

/**
 * Makes a call that may safely be made twice, again and again where the failure may pass.
 * @throws CallFailed, or Interrupted
 */
export async function withRetry<T>(call: () => Promise<T>, waiting: Waiting): Promise<T> {
  const { random, signal, tries = TRIES } = waiting;
  const tryOnce = async (): Promise<Try<T>> => {
    try {
      return { value: await call() };
    } catch (error) {
      if (signal.aborted) throw new Interrupted();
      if (error instanceof UserError) throw error;
      const problem = callFailed(error);
      return { problem, tries: isTransient(problem) ? tries : 1, asked: askedBy(problem) };
    }
  };
  return withRetries(tryOnce, {
    random,
    longestWait: LONGEST_WAIT_MS,
    pause: (milliseconds) => pause(milliseconds, waiting),
  });
}

/**
 * The same for a call whose refusal decides something, such as that an account has no batches: a single 403, 404 or
 * redirect may come from a proxy or a gateway that restarts, so only a repeated one counts.
 * @throws CallFailed, or Interrupted
 */
export async function withConfirmation<T>(call: () => Promise<T>, waiting: Waiting): Promise<T> {
  const most = Math.min(REFUSALS, waiting.tries ?? REFUSALS);
  for (let refusals = 1; ; refusals++) {
    try {
      return await withRetry(call, waiting);
    } catch (error) {
      if (!(error instanceof CallFailed) || isTransient(error) || refusals >= most) throw error;
      await pause(REFUSALS_APART_MS, waiting);
    }
  }
}
