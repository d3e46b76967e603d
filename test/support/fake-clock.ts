import type { Clock } from '../../src/lib/clock.js';

/** A clock that stands still until a test advances it; sleepers wake in the order of their times. */
export class FakeClock implements Clock {
  #time = 0;
  #sleepers: { at: number; wake: () => void }[] = [];

  now = (): number => this.#time;

  sleep = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const drop = (): void => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        resolve();
      };
      const wake = (): void => {
        // A signal that many sleepers share would grow slow.
        signal?.removeEventListener('abort', drop);
        resolve();
      };
      const sleeper = { at: this.#time + milliseconds, wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', drop);
    });

  /** Goes on to the given time, waking everybody on the way and letting what they start run. */
  async runUntil(time: number): Promise<void> {
    for (;;) {
      await settle();
      const next = this.#sleepers.reduce<{ at: number; wake: () => void } | null>(
        (first, one) => (first === null || one.at < first.at ? one : first),
        null,
      );
      if (next === null || next.at > time) break;
      this.#sleepers = this.#sleepers.filter((one) => one !== next);
      this.#time = Math.max(this.#time, next.at);
      next.wake();
    }
    this.#time = time;
  }
}

/** Lets all pending promises settle. */
async function settle(): Promise<void> {
  for (let round = 0; round < 30; round++) await Promise.resolve();
}
