/** What a run says while it works, as an async iterator of bounded memory. */

import type { Progress } from '../session/progress.js';

/** What happens in a run. */
export type RunEvent =
  | { type: 'message'; level: 'info' | 'warning' | 'error'; message: string }
  /** Comes once a second while requests are sent, and at their end. */
  | { type: 'progress'; progress: Progress };

/** The most events that wait for a reader; beyond that the oldest are dropped. */
const MOST_WAITING = 1000;

/** Passes events from a run to one reader, which may be late, slow or absent. */
export class EventQueue {
  readonly #waiting: RunEvent[] = [];
  #wake: (() => void) | null = null;
  #isOver = false;
  #error: { reason: unknown } | null = null;

  push(event: RunEvent): void {
    const last = this.#waiting.at(-1);
    // Only the newest figures are of interest.
    if (event.type === 'progress' && last?.type === 'progress') this.#waiting.pop();
    if (this.#waiting.length === MOST_WAITING) this.#waiting.shift();
    this.#waiting.push(event);
    this.#wake?.();
  }

  /** No more events come. */
  end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  /** No more events come, because of an error, which the reader gets as well. */
  fail(reason: unknown): void {
    this.#error = { reason };
    this.end();
  }

  async *read(): AsyncGenerator<RunEvent, void, undefined> {
    for (;;) {
      const event = this.#waiting.shift();
      if (event !== undefined) yield event;
      else if (!this.#isOver) await this.#nextPush();
      else if (this.#error !== null) throw this.#error.reason;
      else return;
    }
  }

  async #nextPush(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
  }
}
