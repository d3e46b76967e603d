/**
 * What to do about answers that cost money and cannot be used: those that may be incomplete, and those that cannot be
 * read. A server that always answers like that must not be paid for every row five times before anybody notices.
 */

import { NO_REASON } from '../models/finish-reason.js';
import { sanitize, plural, shellWord } from '../lib/text.js';
import type { Verdict } from './verdict.js';

/** Answers that may end with the same unknown reason before that counts as normal for the server. */
const SAME_REASON_AT_START = 10;
/** Rows whose first answer was incomplete that wait for others to show whether the server can do better. */
const MOST_SET_ASIDE = 10;
/** Unreadable answers at the start of a run: of the same shape, and of any. */
const SAME_SHAPE_AT_START = 2;
const UNREADABLE_AT_START = 3;
/** Tries of a row whose answers are all of one unreadable shape; the second number where that shape passed for other rows. */
const MOST_OF_ONE_SHAPE = 2;
const MOST_OF_A_PASSING_SHAPE = 3;
const MOST_PASSING = 100;

type Partial = Extract<Verdict, { kind: 'partial' }>;
type Unreadable = Extract<Verdict, { kind: 'unreadable' }>;

export type Reaction =
  /** Try the row again. */
  | { kind: 'retry' }
  /** Go on with the next row, and come back to this one later. */
  | { kind: 'set aside' }
  /** The row fails: it would be answered like this again. */
  | { kind: 'fail' }
  /** Every row would be answered like this. */
  | { kind: 'stop'; message: string };

const RETRY: Reaction = { kind: 'retry' };

/** What is seen of such answers in one run; the decisions depend on nothing else. */
export class UnusableAnswers {
  #reason: string | null = null;
  #sameReason = 0;
  #setAside = 0;
  readonly #shapes = new Map<string, number>();
  #unreadable = 0;
  /** The shape of each job's last unreadable answer, and how many in a row had it, while it is tried again. */
  readonly #shapeOf = new Map<unknown, { shape: string; times: number }>();
  /** Shapes after which a row was answered: something on the way spoils answers now and then. */
  readonly #passing = new Set<string>();

  /** @param earlier how many answers the journal holds that end with one unknown reason, where it holds no others */
  constructor(earlier: { reason: string; answers: number } | null = null) {
    if (earlier === null) return;
    this.#reason = earlier.reason;
    // One more shows whether the server still does so.
    this.#sameReason = Math.min(earlier.answers, SAME_REASON_AT_START - 1);
  }

  /**
   * An answer may be incomplete.
   * @param hasAnswers whether the run has had a whole answer
   * @param mayWait whether the row was not tried before and there are others
   */
  partial({ reason }: Partial, hasAnswers: boolean, mayWait: boolean): Reaction {
    if (hasAnswers) return RETRY;
    this.#sameReason = this.#reason === null || this.#reason === reason ? this.#sameReason + 1 : -Infinity;
    this.#reason ??= reason;
    if (this.#sameReason >= SAME_REASON_AT_START) return { kind: 'stop', message: stopForReason(reason) };
    return mayWait ? this.broken() : RETRY;
  }

  /** An answer came with an error in it, and the run has had no whole one: maybe other rows have better luck. */
  broken(): Reaction {
    if (this.#setAside >= MOST_SET_ASIDE) return RETRY;
    this.#setAside += 1;
    return { kind: 'set aside' };
  }

  /**
   * An answer cannot be read. At the start of a run another row shows whether all are answered like that.
   * @param job what identifies the request
   * @param mayWait whether the row was not tried before and there are others
   */
  unreadable(
    job: unknown,
    { message, shape, isForeign }: Unreadable,
    hasAnswers: boolean,
    mayWait: boolean,
  ): Reaction {
    const last = this.#shapeOf.get(job);
    const times = last?.shape === shape ? last.times + 1 : 1;
    this.#shapeOf.set(job, { shape, times });
    const most = this.#passing.has(shape) ? MOST_OF_A_PASSING_SHAPE : MOST_OF_ONE_SHAPE;
    if (hasAnswers) return times >= most ? { kind: 'fail' } : RETRY;
    this.#unreadable += 1;
    const same = (this.#shapes.get(shape) ?? 0) + 1;
    this.#shapes.set(shape, same);
    const isCertain = isForeign || same >= SAME_SHAPE_AT_START || this.#unreadable >= UNREADABLE_AT_START;
    if (isCertain) return { kind: 'stop', message };
    return mayWait ? this.broken() : RETRY;
  }

  /** A job was answered. */
  answered(job: unknown): void {
    if (this.#shapeOf.size === 0) return;
    const last = this.#shapeOf.get(job);
    if (last !== undefined && this.#passing.size < MOST_PASSING) this.#passing.add(last.shape);
    this.#shapeOf.delete(job);
  }

  /** A job is done with; one that is only set aside is not, for it may be answered in the same way again. */
  forget(job: unknown): void {
    if (this.#shapeOf.size > 0) this.#shapeOf.delete(job);
  }
}

function stopForReason(reason: string): string {
  const name = sanitize(reason, 60);
  const what = reason === NO_REASON ? 'without a finish reason' : `with finish reason “${name}”`;
  return (
    `The first ${plural(SAME_REASON_AT_START, 'answer')} all ended ${what}, so they may be incomplete. If this server ` +
    `ends complete answers like this, add --accept_finish_reason ${shellWord(name)} to the command below: the answers ` +
    'received so far are kept and not paid for again.'
  );
}
