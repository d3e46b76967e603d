/** A bucket that fills at an even rate and holds at most `capacity`; requests take from it before they are sent. */
export class Bucket {
  #level: number;
  #updated: number;

  /**
   * @param rate units a millisecond
   * @param capacity the most that can be saved up
   * @param level what it holds at first
   */
  constructor(
    private rate: number,
    private capacity: number,
    level: number,
    now: number,
  ) {
    this.#level = Math.min(level, capacity);
    this.#updated = now;
  }

  /** Milliseconds until `amount` can be taken; more than the capacity needs a full bucket and leaves a debt. */
  wait(amount: number, now: number): number {
    this.#fill(now);
    const missing = Math.min(amount, this.capacity) - this.#level;
    return missing <= 1e-9 ? 0 : missing / this.rate;
  }

  take(amount: number): void {
    this.#level -= amount;
  }

  /** Returns what was taken and not needed (or, negative, takes what was used beyond that). */
  giveBack(amount: number): void {
    this.#level = Math.min(this.capacity, this.#level + amount);
  }

  /** Drops what was saved up. */
  drain(now: number): void {
    this.#fill(now);
    this.#level = Math.min(this.#level, 0);
  }

  adjust(rate: number, capacity: number, now: number): void {
    this.#fill(now);
    this.rate = rate;
    this.capacity = capacity;
    this.#level = Math.min(this.#level, capacity);
  }

  #fill(now: number): void {
    this.#level = Math.min(this.capacity, this.#level + (now - this.#updated) * this.rate);
    this.#updated = now;
  }
}
