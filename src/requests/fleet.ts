/**
 * Several servers of one model. Each request goes to the one with the fewest in flight among those that have room and
 * whose limits allow it now. A server that can't be reached, or fails several requests in a row, is left out and its rows
 * go to the others at no cost to them; it is probed (`session/fleet-watch.ts`) until it answers, and then has to answer one
 * request before it gets more. Where none is left, all are tried as one server would be.
 */

import type { Clock } from '../lib/clock.js';
import { sanitize, withoutTrailing } from '../lib/text.js';
import type { Reporter } from '../types.js';
import type { Exchanged, Ramp } from './concurrency.js';
import { blameOf, type Blame } from './fleet-blame.js';
import type { Member } from './fleet-member.js';
import { PooledLimits } from './pooled-limits.js';
import type { Job } from './processor.js';
import type { RateLimiter } from './rate-limiter.js';
import type { Failure, Server, Servers } from './servers.js';

/** Times that a row moves to another server without using up an attempt: one that breaks every server must fail eventually. */
const MOST_HANDED_ON = 20;
/** A wait for limits is checked again after this long: a server may have joined or returned. */
const LONGEST_NAP_MS = 1000;

/** What one server did in this session. */
export interface ServerShare {
  /** Its address for people. */
  server: string;
  requests: number;
  answers: number;
}

/** The same with its present state. */
export interface ServerStanding extends ServerShare {
  inFlight: number;
  /** Why it gets no requests; null where it does. */
  absence: string | null;
}

/**
 * What servers do from now on, without what they did before.
 * @param standings what they did since they were opened
 */
export function standingsSince(standings: () => readonly ServerStanding[]): () => ServerStanding[] {
  const before = standings();
  return () => {
    // One that left and came back is listed twice under one name; the counts of a name only grow.
    const left = new Map<string, { requests: number; answers: number }>();
    for (const { server, requests, answers } of before) {
      const sum = left.get(server) ?? { requests: 0, answers: 0 };
      left.set(server, { requests: sum.requests + requests, answers: sum.answers + answers });
    }
    return standings().map((one) => {
      const earlier = left.get(one.server) ?? { requests: 0, answers: 0 };
      const [requests, answers] = [
        Math.min(earlier.requests, one.requests),
        Math.min(earlier.answers, one.answers),
      ];
      left.set(one.server, { requests: earlier.requests - requests, answers: earlier.answers - answers });
      return { ...one, requests: one.requests - requests, answers: one.answers - answers };
    });
  };
}

/** A row that failed on servers since its last attempt was counted. */
interface HandedOn {
  failedOn: Set<Member>;
  times: number;
}

export interface FleetOptions {
  clock: Clock;
  reporter: Reporter;
}

export class Fleet implements Servers {
  /** The limits of all servers together. */
  readonly limits = new PooledLimits(() => this.#members.filter((member) => this.#isUsable(member)));
  #members: Member[] = [];
  /** Those that left, and did something. */
  readonly #former: Member[] = [];
  readonly #handedOn = new Map<Job, HandedOn>();
  /** Rows between two places. */
  #moving = 0;
  #turn = 0;
  #waiters: (() => void)[] = [];
  #alarm = Infinity;
  readonly #naps = new AbortController();
  #isInterrupted = false;
  #isResponses = false;

  constructor(private readonly options: FleetOptions) {}

  get inFlight(): number {
    return this.#sum(({ concurrency }) => concurrency.inFlight);
  }

  get held(): number {
    return this.#sum(({ concurrency }) => concurrency.held) + this.#moving;
  }

  get ramp(): Ramp {
    const ramps = this.#members.filter((member) => member.isIn).map(({ concurrency }) => concurrency.ramp);
    const sum = (valueOf: (ramp: Ramp) => number): number =>
      ramps.reduce((all, ramp) => all + valueOf(ramp), 0);
    const phases = ramps.map(({ phase }) => phase);
    return {
      limit: sum(({ limit }) => limit),
      maximum: sum(({ maximum }) => maximum),
      phase: (['searching', 'growing'] as const).find((phase) => phases.includes(phase)) ?? 'steady',
      growth: sum(({ growth }) => growth) / Math.max(1, ramps.length),
    };
  }

  /** The servers now, and those that left after they had a request. */
  get standings(): ServerStanding[] {
    return [...this.#members, ...this.#former].map((member) => ({
      server: member.name,
      requests: member.requests,
      answers: member.answers,
      inFlight: member.concurrency.inFlight,
      absence: this.#members.includes(member) ? (member.absence?.why ?? null) : 'no longer listed',
    }));
  }

  /** A server joins. */
  join(member: Member): void {
    if (this.#isResponses) member.transport.switchToResponses();
    this.#members.push(member);
    this.limits.admit(member.limiter);
    this.#wake();
  }

  /** A server gets no more requests; those in flight are still awaited. */
  dismiss(member: Member): void {
    this.#members = this.#members.filter((one) => one !== member);
    if (member.requests > 0) this.#former.push(member);
    this.#wake();
  }

  /** Servers that are out of use and due for a check. */
  get toProbe(): Member[] {
    const now = this.options.clock.now();
    return this.#members.filter(({ absence }) => absence !== null && absence.nextProbe <= now);
  }

  /**
   * What a look at a server that is left out showed.
   * @param trouble why it still gets no requests; null where it may be tried
   */
  probed(member: Member, trouble: string | null): void {
    if (member.absence === null) return;
    if (trouble === null) member.tryOut();
    else member.staysOut(sanitize(trouble, 200), this.options.clock.now());
    this.#wake();
  }

  /** Leaves a server out of which something is known before it had a request. */
  exclude(member: Member, why: string): void {
    member.staysOut(sanitize(why, 200), this.options.clock.now());
  }

  tooSmallFor(job: Job): RateLimiter | null {
    const limiters = this.#members.map(({ limiter }) => limiter);
    return limiters.every((limiter) => limiter.canNeverFit(job)) ? (limiters[0] ?? null) : null;
  }

  enter(job: Job): Server | Promise<void> {
    const { member, delay } = this.#choose(job);
    if (member === null) return this.#wait(delay);
    void member.concurrency.enter();
    member.requests += 1;
    return member;
  }

  move(from: Server, job: Job): Server | Promise<Server> {
    from.concurrency.leave();
    this.#wake();
    const place = this.enter(job);
    return place instanceof Promise ? this.#moveLater(from, job, place) : place;
  }

  async #moveLater(from: Server, job: Job, place: Promise<void>): Promise<Server> {
    this.#moving += 1;
    try {
      for (let found: Server | Promise<void> = place; ; found = this.enter(job)) {
        if (!(found instanceof Promise)) return found;
        if (!this.#isInterrupted) await found;
        if (!this.#isInterrupted) continue;
        from.concurrency.reenter();
        return from;
      }
    } finally {
      this.#moving -= 1;
    }
  }

  leave(server: Server, job: Job): void {
    this.#handedOn.delete(job);
    server.concurrency.leave();
    this.#wake();
  }

  answered(server: Server, exchanged: Exchanged): void {
    const member = server as Member;
    member.concurrency.succeeded(exchanged);
    if (member.answered()) this.options.reporter.info(`${member.name} answers again.`);
    this.#wake();
  }

  failed(server: Server, job: Job, verdict: Failure, exchanged: Exchanged): boolean {
    const member = server as Member;
    const blame = blameOf(verdict);
    if (blame === null) {
      member.isAlive();
      return false;
    }
    const { clock } = this.options;
    if (blame.isOverload) member.concurrency.overloaded(exchanged);
    if (blame.wait !== null && !blame.atOnce) member.limiter.closeGate(blame.wait, 'outage');
    const wasIn = member.isIn;
    const isOut = member.failed(blame, exchanged, clock.now());
    if (wasIn && isOut) this.#reportAbsence(member, blame);
    this.#wake();
    if (!blame.isPaid) return this.#handsOn(member, job, isOut, blame);
    // It counts as an attempt, and the next one goes elsewhere if it can.
    this.#noteFailure(member, job);
    return false;
  }

  switchToResponses(): boolean {
    this.#isResponses = true;
    return this.#members.map(({ transport }) => transport.switchToResponses()).some(Boolean);
  }

  interrupt(): void {
    this.#isInterrupted = true;
    this.#naps.abort();
    for (const { concurrency } of this.#members) concurrency.interrupt();
    this.#wake();
  }

  /** True where another server is to take a row that failed on this one. */
  #handsOn(member: Member, job: Job, isOut: boolean, blame: Blame): boolean {
    const handed = this.#noteFailure(member, job);
    const others = this.#members.filter((one) => one !== member);
    const canTake = isOut
      ? others.some(({ isIn }) => isIn) || (blame.isForGood && others.some(({ isGone }) => !isGone))
      : others.some((one) => one.isIn && !handed.failedOn.has(one));
    handed.times += 1;
    if (canTake && handed.times <= MOST_HANDED_ON) return true;
    // An attempt is over: the next one may go anywhere.
    this.#handedOn.delete(job);
    return false;
  }

  #noteFailure(member: Member, job: Job): HandedOn {
    const handed = this.#handedOn.get(job) ?? { failedOn: new Set<Member>(), times: 0 };
    handed.failedOn.add(member);
    this.#handedOn.set(job, handed);
    return handed;
  }

  #reportAbsence(member: Member, { message, isForGood }: Blame): void {
    const { reporter } = this.options;
    const others = this.#members.filter(({ isIn }) => isIn).length;
    const why = withoutTrailing(sanitize(message, 200), '.!');
    const what = `${member.name} is left out${isForGood ? ' for the rest of this session' : ''}: ${why}.`;
    // One that comes and goes is reported as it goes the first times; where all fail, the progress line says it.
    if (member.isReported || (others === 0 && member.isKnownToFail)) {
      reporter.debug(what);
      return;
    }
    const rest =
      others === 0
        ? ''
        : ` Its rows go to ${others === 1 ? 'the other server' : `the other ${others} servers`}.`;
    reporter.warning(`${what}${rest}${isForGood ? '' : ' It is tried again until it answers.'}`);
  }

  /** The server for a request; where there is none now, the milliseconds until limits allow one. */
  #choose(job: Job): { member: Member | null; delay: number } {
    const failedOn = this.#handedOn.size === 0 ? undefined : this.#handedOn.get(job)?.failedOn;
    const fresh = failedOn !== undefined && this.#members.some((one) => one.isIn && !failedOn.has(one));
    const count = this.#members.length;
    this.#turn = (this.#turn + 1) % Math.max(1, count);
    let best: Member | null = null;
    let delay = Infinity;
    for (let place = 0; place < count; place++) {
      const member = this.#members[(this.#turn + place) % count] as Member;
      if (!member.hasRoom || !this.#isUsable(member) || (fresh && failedOn.has(member))) continue;
      if (best !== null && member.concurrency.inFlight >= best.concurrency.inFlight) continue;
      if (member.limiter.canNeverFit(job)) continue;
      const wait = member.limiter.delay(job);
      if (wait > 0) delay = Math.min(delay, wait);
      else best = member;
    }
    return { member: best, delay };
  }

  #isUsable(member: Member): boolean {
    return member.isIn || (!member.isGone && !this.#members.some(({ isIn }) => isIn));
  }

  /** Resolves once there may be a place. */
  #wait(delay: number): Promise<void> {
    const { clock } = this.options;
    const at = clock.now() + Math.min(delay, LONGEST_NAP_MS);
    if (at < this.#alarm) {
      this.#alarm = at;
      void clock.sleep(at - clock.now(), this.#naps.signal).then(() => {
        if (this.#alarm === at) this.#alarm = Infinity;
        this.#wake();
      });
    }
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  #sum(valueOf: (member: Member) => number): number {
    return [...this.#members, ...this.#former].reduce((sum, member) => sum + valueOf(member), 0);
  }
}
