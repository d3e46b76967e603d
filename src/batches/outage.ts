/**
 * How long a watch puts up with an API that fails. A network or a server that is down is waited for without end, since
 * the batches run without it. A refusal (400, 403, a redirect to a sign-in page) ends the watch only when it is
 * repeated over minutes: a proxy, a gateway that restarts or a project that is being moved gives some of them as well.
 */

import { APIError } from 'openai';
import { duration, sanitize, plural } from '../lib/text.js';
import type { Reporter } from '../types.js';
import { callFailed, CallFailed, Interrupted, isTransient, type Waiting } from './calls.js';
import { GONE_AFTER } from './chunk-states.js';
import type { Patience } from './delivery.js';

/** The longest pause while the API can't be reached. */
const LONGEST_PAUSE_MS = 10 * 60_000;
/** The longest pause between two refusals: they are decided upon within minutes. */
const REFUSED_PAUSE_MS = 60_000;
/** An outage is mentioned again after so long. */
const REMIND_MS = 15 * 60_000;
/** A key that has not worked yet is most likely wrong, and its user is waiting to hear that. */
const NEVER_WORKED: Patience = { times: 3, overMs: 4000 };
const NEVER_WORKED_PAUSE_MS = 2000;

/**
 * How often, and over how long a time, a failure has to be repeated before it ends the watch.
 * @param hasWorked true where the API has answered a poll of this watch
 * @returns null for one that may pass by itself, however long that takes
 */
export function patienceWith(failure: CallFailed, hasWorked: boolean): Patience | null {
  if (isTransient(failure)) return null;
  const { verdict } = failure;
  // No credit, no such model, a wrong key: something that a person has to change.
  const isUsersToChange = verdict.kind === 'run' && verdict.cause !== 'other';
  return isUsersToChange && !hasWorked ? NEVER_WORKED : GONE_AFTER;
}

/** What an outage needs to know of its watch. */
export interface OutageParts {
  waiting: Waiting;
  reporter: Reporter;
  /** Milliseconds between two polls. */
  checkInterval: number;
}

/** A time in which the API can't be reached, or refuses to answer. */
export class Outage {
  #failures = 0;
  #since = 0;
  #mentioned = 0;
  /** Refusals since the API last answered; failures of the network between them neither count nor start over. */
  #refused: { times: number; since: number; patience: Patience } | null = null;

  /** @param hasWorked true where the API is known to answer */
  constructor(
    private readonly parts: OutageParts,
    private hasWorked = false,
  ) {}

  /** Milliseconds to wait before the next try. */
  get pause(): number {
    const { checkInterval, waiting } = this.parts;
    const growing = checkInterval * 2 ** Math.min(this.#failures, 10);
    const longest =
      this.#refused === null
        ? LONGEST_PAUSE_MS
        : this.#refused.patience === NEVER_WORKED
          ? NEVER_WORKED_PAUSE_MS
          : REFUSED_PAUSE_MS;
    return Math.min(longest, growing) * (0.5 + waiting.random() / 2);
  }

  /**
   * Does something that needs the API.
   * @returns false where the API did not answer this time
   * @throws CallFailed where it refuses, and patience with that has ended
   */
  async survive(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
    } catch (error) {
      if (this.parts.waiting.signal.aborted) throw new Interrupted();
      this.#bear(failureOf(error));
      return false;
    }
    if (this.#failures > 0) {
      const { reporter, waiting } = this.parts;
      reporter.info(`The API is reachable again after ${duration(waiting.clock.now() - this.#since)}.`);
      this.#failures = 0;
      this.#refused = null;
    }
    this.hasWorked = true;
    return true;
  }

  #bear(failure: CallFailed): void {
    const now = this.parts.waiting.clock.now();
    const patience = patienceWith(failure, this.hasWorked);
    const isNews = this.#failures === 0 || (patience !== null && this.#refused === null);
    if (this.#failures === 0) this.#since = now;
    this.#failures += 1;
    if (patience !== null) this.#refuse(failure, patience, now);
    if (!isNews && now - this.#mentioned <= REMIND_MS) return;
    this.#mentioned = now;
    const why = sanitize(failure.message, 200);
    this.parts.reporter.warning(
      patience === null
        ? `Cannot reach the API (${why}); the batches continue to run. Retrying.`
        : `The API refused a request (${why}). Retrying for a few ${patience === NEVER_WORKED ? 'seconds' : 'minutes'}; running batches are not affected.`,
    );
  }

  /** @throws CallFailed where it has been repeated often enough */
  #refuse(failure: CallFailed, patience: Patience, now: number): void {
    this.#refused ??= { times: 0, since: now, patience };
    this.#refused.times += 1;
    const { times, since } = this.#refused;
    if (times < patience.times || now - since < patience.overMs) return;
    const { verdict, status } = failure;
    const often = `${plural(times, 'time')} over ${duration(now - since)}`;
    throw new CallFailed({ ...verdict, message: `${verdict.message}, ${often}` }, status, { cause: failure });
  }
}

/** Anything but a failed call is not the API's fault and goes up. */
function failureOf(error: unknown): CallFailed {
  if (error instanceof CallFailed) return error;
  if (error instanceof APIError) return callFailed(error);
  throw error;
}
