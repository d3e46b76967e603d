/** One server of several: what it did, and whether it gets requests. */

import type { Concurrency, Exchanged } from './concurrency.js';
import type { Blame } from './fleet-blame.js';
import type { RateLimiter } from './rate-limiter.js';
import type { Server } from './servers.js';

/** Failures one after the other, without an answer between them, that leave a server out. */
const FAILURES_IN_A_ROW = 3;
const FIRST_PROBE_MS = 1000;
const LAST_PROBE_MS = 60_000;
/** Answers after which a server that returned is taken to be well. */
const WELL_AFTER = 20;
/** Absences that are reported one by one. */
const REPORTED = 3;

/** Why a server gets no requests. */
export interface Absence {
  why: string;
  /** By the fleet's clock; Infinity where it is not checked again. */
  nextProbe: number;
}

export class Member implements Server {
  readonly transport: Server['transport'];
  readonly limiter: RateLimiter;
  readonly concurrency: Concurrency;
  requests = 0;
  answers = 0;
  #absence: Absence | null = null;
  /** True from a probe that went well until the first answer: one request at a time. */
  #isOnTrial = false;
  #failuresInARow = 0;
  /** Absences since it was well. */
  #absences = 0;
  #answersAtReturn = 0;
  /** Absences of this session. */
  #times = 0;

  /** @param name its address for people; no two members have the same */
  constructor(
    readonly name: string,
    { transport, limiter, concurrency }: Server,
  ) {
    this.transport = transport;
    this.limiter = limiter;
    this.concurrency = concurrency;
  }

  get absence(): Readonly<Absence> | null {
    return this.#absence;
  }

  /** True where it gets requests. */
  get isIn(): boolean {
    return this.#absence === null;
  }

  /** True where it gets no more requests in this session. */
  get isGone(): boolean {
    return this.#absence?.nextProbe === Infinity;
  }

  get hasRoom(): boolean {
    const { inFlight, limit } = this.concurrency;
    return inFlight < (this.#isOnTrial ? 1 : limit);
  }

  /** True where its absences were reported often enough. */
  get isReported(): boolean {
    return this.#times > REPORTED;
  }

  /** True where this is not its first absence. */
  get isKnownToFail(): boolean {
    return this.#times > 1;
  }

  /** @returns true where it was away */
  answered(): boolean {
    this.answers += 1;
    this.#failuresInARow = 0;
    const wasAway = this.#absence !== null || this.#isOnTrial;
    if (wasAway) this.#answersAtReturn = this.answers;
    this.#absence = null;
    this.#isOnTrial = false;
    if (this.#absences > 0 && this.answers - this.#answersAtReturn >= WELL_AFTER) this.#absences = 0;
    return wasAway;
  }

  /** It said something that any server might have said. */
  isAlive(): void {
    this.#failuresInARow = 0;
  }

  /**
   * @param now by the fleet's clock
   * @returns true where it is left out from here on, or was before
   */
  failed(blame: Blame, { inFlight }: Exchanged, now: number): boolean {
    this.#failuresInARow += 1;
    // A server that has too much to do turns many away and answers others.
    const bearable = blame.isOverload ? Math.max(FAILURES_IN_A_ROW, inFlight) : FAILURES_IN_A_ROW;
    if (blame.atOnce || this.#isOnTrial || this.#failuresInARow >= bearable) this.leaveOut(blame, now);
    return this.#absence !== null;
  }

  leaveOut({ message, isForGood, wait }: Blame, now: number): void {
    if (this.#absence !== null && !isForGood) return;
    this.#isOnTrial = false;
    this.#failuresInARow = 0;
    this.#absences += 1;
    this.#times += 1;
    const pause = Math.max(wait ?? 0, this.#pause);
    this.#absence = { why: message, nextProbe: isForGood ? Infinity : now + pause };
  }

  /** A probe shows that it is not well yet. */
  staysOut(why: string, now: number): void {
    this.#absences += 1;
    this.#absence = { why, nextProbe: now + this.#pause };
  }

  /** A probe went well. */
  tryOut(): void {
    this.#absence = null;
    this.#isOnTrial = true;
  }

  get #pause(): number {
    return Math.min(LAST_PROBE_MS, FIRST_PROBE_MS * 2 ** Math.min(10, this.#absences - 1));
  }
}
