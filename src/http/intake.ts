/**
 * How much of all answers is held in memory while they arrive. Hundreds of requests may be in progress, and a server that
 * goes wrong may answer each with as much as is taken: beyond a bound they arrive one after the other.
 */

const BOUND_BYTES = 32 * 1024 * 1024;

/** An answer that arrives, and can be made to wait. */
export interface Arrival {
  pause(): void;
  resume(): void;
}

export class Intake {
  #bytes = 0;
  /** The one that is still arriving while all together exceed the limit. */
  #first: Arrival | null = null;
  readonly #paused = new Set<Arrival>();

  /** Notes bytes of an answer that have arrived; it may be paused. */
  add(arrival: Arrival, bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes <= BOUND_BYTES) return;
    this.#first ??= arrival;
    if (this.#first === arrival) return;
    this.#paused.add(arrival);
    arrival.pause();
  }

  /** Notes that an answer is whole or lost, and how many bytes of it had arrived. */
  end(arrival: Arrival, bytes: number): void {
    this.#bytes -= bytes;
    this.#paused.delete(arrival);
    if (this.#first === arrival) this.#first = null;
    if (this.#first !== null || this.#paused.size === 0) return;
    const paused = [...this.#paused];
    this.#paused.clear();
    // Not while the parser of the answer that ended is at work: undici has one for all (`currentParser`).
    setImmediate(() => {
      for (const one of paused) one.resume();
    });
  }
}
