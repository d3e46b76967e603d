/** True where this process has no time left, so that more requests in flight would only wait in memory. */
export type IsBusy = () => boolean;

const INITIAL_LIMIT = 16;
const BUSY_SHARE = 0.8;
const BUSY_SAMPLE_MS = 100;

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

/**
 * How many requests may be in flight: additive up, multiplicative down, as TCP does it (RFC 5681), with a doubling
 * start. It is bounded by sockets, not by the rate: the rate limiter does the pacing.
 */
export class Concurrency {
  #limit: number;
  #slowStart = true;
  #inFlight = 0;
  #lastCut = -Infinity;
  #waiters: (() => void)[] = [];

  /**
   * @param maximum requests in flight at most
   * @param fixed true where the user chose the number: then it is used from the start and only overload lowers it
   */
  constructor(
    readonly maximum: number,
    fixed: boolean,
    private readonly now: () => number,
    private readonly isBusy: IsBusy = () => false,
  ) {
    this.#limit = fixed ? maximum : Math.min(maximum, INITIAL_LIMIT);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Requests that may be in flight now. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** Takes a place, or returns a promise to wait for before trying again. */
  enter(): Promise<void> | null {
    if (this.#inFlight < this.limit) {
      this.#inFlight += 1;
      return null;
    }
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  leave(): void {
    this.#inFlight -= 1;
    this.#wake();
  }

  /** Lets everybody who waits look again, for instance when the run stops. */
  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Wakes whoever waits, without freeing a place. */
  interrupt(): void {
    this.#wake();
  }

  /**
   * Starts with as many as a known rate keeps in flight, since the rate limiter does the pacing.
   * @param inFlight the rate times the time of an answer (Little's law)
   */
  expect(inFlight: number): void {
    if (!this.#slowStart || !Number.isFinite(inFlight)) return;
    this.#limit = Math.min(this.maximum, Math.max(this.#limit, Math.ceil(inFlight)));
    this.#wake();
  }

  /** An answer arrived; more may be tried where all places were in use. */
  succeeded(): void {
    if (this.#limit >= this.maximum || this.#inFlight < this.limit * 0.8 || this.isBusy()) return;
    this.#limit = Math.min(this.maximum, this.#limit + (this.#slowStart ? 1 : 0.1));
    this.#wake();
  }

  /**
   * The server is overloaded (or throttles without telling a limit).
   * @param sentAt when the request that tells so was sent: those sent before the last cut tell nothing new
   */
  overloaded(sentAt: number): void {
    if (sentAt < this.#lastCut) return;
    this.#lastCut = this.now();
    this.#slowStart = false;
    this.#limit = Math.max(1, this.#limit * 0.8);
  }
}
