import { Crowding } from './crowding.js';
import { CERTAIN, LatencyByLoad, LIKELY } from './latency-by-load.js';
import { ThroughputSearch } from './throughput-search.js';

/** True where this process has no time left, so that more requests in flight would only wait in memory. */
export type IsBusy = () => boolean;

/** Requests in flight at first, where the first answer was fast enough for that. */
const INITIAL_LIMIT = 16;
/** At first the requests in flight may take this share of a request's time even if the server takes one at a time. */
const INITIAL_TIMEOUT_SHARE = 0.5;
const OVERLOAD_FACTOR = 0.8;
/** More requests for each answer once the server was overloaded. */
const CAREFUL_GROWTH = 0.1;
/** More requests for an answer that took hardly longer than those under the lowest load. */
const QUICK_GROWTH = 3;
const QUICK_FACTOR = 1.25;
/** The same on average, where two answers of three are that quick. */
const USUAL_GROWTH = 2;
/** The first answers show whether a server has only a few slots; until then the number no more than doubles. */
const QUICK_GROWTH_AFTER = 8;
/** A request may time out in a short queue if its time-out is less than this many times the usual latency. */
const ANSWERS_IN_TIME = 16;
const BUSY_SHARE = 0.8;
const BUSY_SAMPLE_MS = 100;
/** Answers by which `latency` says how long one takes. */
const LATENCY_MEMORY = 16;
/** Answers until one more than the server was found to take is tried, at most; each time in vain doubles their number. */
const LONGEST_PATIENCE = 128;

/** Measures how much of its time the event loop works. */
export function measureBusy(): IsBusy {
  let sampled = performance.now();
  let before = performance.eventLoopUtilization();
  let busy = false;
  return () => {
    const now = performance.now();
    if (now - sampled < BUSY_SAMPLE_MS) return busy;
    const current = performance.eventLoopUtilization();
    busy = performance.eventLoopUtilization(current, before).utilization > BUSY_SHARE;
    before = current;
    sampled = now;
    return busy;
  };
}

/** How many requests may be in flight, and whether they become more. */
export interface Ramp {
  limit: number;
  maximum: number;
  /**
   * `growing`: they are multiplied in the time of an answer. `searching`: it is measured which number gets the most
   * answers. `steady`: the number stays about as it is.
   */
  phase: 'growing' | 'searching' | 'steady';
  /** While they grow: by how many more each answer lets be in flight. */
  growth: number;
}

/** How one exchange went. */
export interface Exchanged {
  /** When it was sent. */
  sentAt: number;
  /** Places in use when it was sent, its own included: some rows wait for their turn, or after a refusal. */
  inFlight: number;
  /** Requests whose answer was awaited when it was sent, itself included, without those that were refused at once. */
  awaited: number;
  /** Which it is, in the order of sending. */
  turn: number;
  /** Milliseconds that it took. */
  latency: number;
}

/** What decides how fast the number of requests in flight may grow. */
export interface Pace {
  /** Milliseconds, of a clock that does not jump. */
  now: () => number;
  /** True where this process has no time for more requests; never where absent. */
  isBusy?: IsBusy;
  /** Milliseconds that one request may take; unlimited where absent. */
  timeout?: number;
}

/**
 * How many requests may be in flight. At first they double in the time of an answer, as TCP starts (RFC 5681), and nearly
 * quadruple once the first answers have shown that they take no longer under load: where one takes a minute, the ramp would
 * otherwise be a large part of the run. The rate limiter does the pacing. Once answers slow down with the load, throughput
 * decides (`ThroughputSearch`). A time-out or a refusal for overload takes a fifth away.
 */
export class Concurrency {
  #limit: number;
  #isCareful = false;
  #search: ThroughputSearch | null = null;
  #latencies = new LatencyByLoad();
  readonly #crowding = new Crowding();
  /** Once refusals were found to follow the number of requests: what it was before, and how soon more are tried. */
  #crowded: { before: number; places: number; patience: number } | null = null;
  #inFlight = 0;
  readonly #awaited = new Set<Exchanged>();
  #turns = 0;
  #latency = 0;
  #yielded = 0;
  #isInterrupted = false;
  #lastCut = -Infinity;
  #answers = 0;
  #waiters: (() => void)[] = [];

  private readonly now: () => number;
  private readonly isBusy: IsBusy;
  private readonly timeout: number;

  /**
   * @param maximum requests in flight at most
   * @param isFixed true where the user chose the number: then it is used from the start and only overload lowers it
   */
  constructor(
    readonly maximum: number,
    private readonly isFixed: boolean,
    { now, isBusy = () => false, timeout = Infinity }: Pace,
  ) {
    this.now = now;
    this.isBusy = isBusy;
    this.timeout = timeout;
    this.#limit = isFixed ? maximum : Math.min(maximum, INITIAL_LIMIT);
  }

  /** Places in use. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Places in use and those that were given up for a while. */
  get held(): number {
    return this.#inFlight + this.#yielded;
  }

  /** Milliseconds that an answer took of late; 0 before the first one. */
  get latency(): number {
    return this.#latency;
  }

  /** Requests that may be in flight now. */
  get limit(): number {
    return this.#search?.level ?? Math.floor(this.#limit);
  }

  /** For those who foresee how long the rest will take. */
  get ramp(): Ramp {
    const growth = this.#answers < QUICK_GROWTH_AFTER ? 1 : USUAL_GROWTH;
    return { limit: this.limit, maximum: this.maximum, phase: this.#phase, growth };
  }

  get #phase(): Ramp['phase'] {
    if (this.isFixed || !this.#isUsed) return 'steady';
    if (this.#search !== null) return 'searching';
    return this.#isCareful || this.#limit >= this.maximum ? 'steady' : 'growing';
  }

  get #isUsed(): boolean {
    return this.#inFlight >= this.limit * BUSY_SHARE;
  }

  /** Notes that a request is sent. */
  begin(): Exchanged {
    const exchanged: Exchanged = {
      sentAt: this.now(),
      inFlight: this.#inFlight,
      awaited: this.#awaited.size + 1,
      turn: (this.#turns += 1),
      latency: 0,
    };
    this.#awaited.add(exchanged);
    return exchanged;
  }

  /** Notes that its answer came, or that none will. */
  end(exchanged: Exchanged): void {
    exchanged.latency = this.now() - exchanged.sentAt;
    this.#awaited.delete(exchanged);
  }

  /** Takes a place, or returns a promise to wait for before trying again. */
  enter(): Promise<void> | null {
    if (this.#inFlight < this.limit) {
      this.#inFlight += 1;
      return null;
    }
    return this.#someoneLeaves();
  }

  /** Takes a slot even if none is free: for a row that had one and is about to release it permanently. */
  reenter(): void {
    this.#inFlight += 1;
  }

  leave(): void {
    this.#inFlight -= 1;
    this.#wake();
  }

  /** Where more are in flight than may be, gives the caller's place up until there is room. Null: there is. */
  makeRoom(): Promise<void> | null {
    return this.#inFlight <= this.limit ? null : this.#yield();
  }

  async #yield(): Promise<void> {
    this.#yielded += 1;
    this.leave();
    while (this.#inFlight >= this.limit && !this.#isInterrupted) await this.#someoneLeaves();
    this.#yielded -= 1;
    this.#inFlight += 1;
  }

  #someoneLeaves(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Wakes everybody who waits, without freeing a place; from now on nobody waits for room. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.#wake();
  }

  /**
   * The first answer shows how many may be sent at once without waiting too long for each other.
   * @param latency milliseconds that it took
   */
  #start(latency: number): void {
    if (this.isFixed) return;
    const most = (INITIAL_TIMEOUT_SHARE * this.timeout) / Math.max(1, latency);
    this.#limit = Math.max(1, Math.min(this.#limit, Math.floor(most)));
  }

  /** An answer arrived; more may be tried where all places were in use. */
  succeeded({ inFlight, awaited, latency }: Exchanged): void {
    this.#crowding.add(awaited, false);
    if (this.#answers === 0) this.#start(latency);
    this.#answers += 1;
    this.#latency += (latency - this.#latency) / Math.min(this.#answers, LATENCY_MEMORY);
    // What this process is too busy to read in time says nothing about the server.
    if (this.isBusy()) return;
    if (!this.isFixed) this.#latencies.add(inFlight, latency);
    if (this.#search !== null) {
      const shortest = this.#latencies.shortest ?? 1;
      const variation = this.#latencies.variation(inFlight);
      this.#search.answered(this.now(), this.#inFlight, variation, shortest);
      if (this.#search.isNeedless) this.#endSearch(this.#search.level);
    } else if (this.#isUsed && !this.#startsSearch(inFlight)) {
      this.#grow(latency);
    }
    this.#wake();
  }

  #grow(latency: number): void {
    this.#limit = Math.min(this.maximum, this.#limit + this.#growthAfter(latency));
  }

  /** How many more may be in flight after an answer. */
  #growthAfter(latency: number): number {
    if (this.#crowded !== null) return 1 / this.#crowded.patience;
    if (this.#isCareful || this.isFixed) return CAREFUL_GROWTH;
    const shortest = this.#latencies.shortest ?? latency;
    const isQuick = this.#answers >= QUICK_GROWTH_AFTER && latency <= QUICK_FACTOR * shortest;
    return isQuick ? QUICK_GROWTH : 1;
  }

  #startsSearch(inFlight: number): boolean {
    if (this.isFixed || this.#search !== null) return false;
    const certainty = this.#mayTimeOut ? LIKELY : CERTAIN;
    if (!this.#latencies.rises(inFlight, certainty)) return false;
    this.#search = new ThroughputSearch(this.#limit, this.maximum, this.timeout);
    return true;
  }

  /** True where a queue of a few requests would take all the time that one has. */
  get #mayTimeOut(): boolean {
    return (this.#latencies.shortest ?? 0) * ANSWERS_IN_TIME > this.timeout;
  }

  #endSearch(level: number): void {
    this.#search = null;
    this.#limit = level;
    this.#latencies = new LatencyByLoad();
  }

  /**
   * The server refused a request at once, and named no rate.
   * @param isNamed true where it says that there are too many at a time
   * @param isCertain true where it refused the same row so often, with pauses between, that time does not help
   * @returns true where that is because of the number of requests at a time: the row waits for another one to end, and no
   *   rate is learnt from it
   */
  refused(
    { sentAt, awaited, turn }: Exchanged,
    { isNamed, isCertain }: { isNamed: boolean; isCertain: boolean },
  ): boolean {
    // The server was not busy with it when it got those that were sent after it.
    for (const later of this.#awaited) if (later.turn > turn) later.awaited -= 1;
    this.#crowding.add(awaited, true);
    const cause = this.#crowding.cause(isNamed || this.#crowded !== null);
    if (cause.kind === 'other' && !isNamed) this.#uncrowd();
    const places = cause.kind === 'places' ? cause.places : awaited - 1;
    const isCrowded = isNamed || cause.kind === 'places' || this.#crowded !== null;
    if (isCrowded && isCertain && sentAt >= this.#lastCut) this.#crowd(Math.max(1, places));
    return isCrowded;
  }

  /** Sends no more at a time than the server takes, and tries one more from time to time. */
  #crowd(places: number): void {
    if (places >= this.limit) return;
    this.#lastCut = this.now();
    const {
      before,
      places: earlier,
      patience,
    } = this.#crowded ?? { before: this.limit, places: 0, patience: 0 };
    const isInVain = places <= earlier;
    this.#crowded = {
      before,
      places,
      patience: isInVain ? Math.min(LONGEST_PATIENCE, 2 * patience) : places,
    };
    if (this.#search !== null) this.#endSearch(places);
    this.#limit = places;
    this.#isCareful = true;
  }

  /** Refusals follow something else: the number is what it was. */
  #uncrowd(): void {
    if (this.#crowded === null) return;
    this.#limit = Math.max(this.#limit, this.#crowded.before);
    this.#crowded = null;
  }

  /**
   * The server is overloaded: it says so, throttles without telling a limit, or did not answer in time. Requests that
   * were sent before the last reduction say nothing new, and one that was alone says nothing about how many it takes:
   * a server that still loads its model refuses it as well.
   */
  overloaded({ sentAt, inFlight, latency }: Exchanged): void {
    if (!this.isFixed && latency >= this.timeout) this.#latencies.add(inFlight, latency);
    if (sentAt < this.#lastCut || inFlight <= 1) return;
    this.#lastCut = this.now();
    this.#isCareful = true;
    if (this.#search !== null) {
      this.#search.overloaded(latency < this.timeout);
      if (this.#search.isNeedless) this.#endSearch(this.#search.level);
    } else if (!this.#startsSearch(inFlight)) this.#limit = Math.max(1, this.#limit * OVERLOAD_FACTOR);
  }
}
