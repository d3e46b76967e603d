/**
 * Signals that ask the program to stop. Each of them drains: nothing new starts, and what is in flight is saved. Only a
 * second SIGINT drops what is in flight; schedulers send SIGTERM twice (to every process of a job, and again through a
 * wrapper that forwards it), and that means no more than once.
 */

import { EXIT } from '../lib/errors.js';
import { isHangUpIgnored } from './hang-up.js';

/** The exit code of each signal; SIGUSR2 is what Slurm is asked to send ahead of a time limit (`--signal=B:USR2@60`). */
const EXIT_CODES: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGINT: EXIT.interrupted,
  SIGTERM: EXIT.terminated,
  SIGHUP: EXIT.hungUp,
  SIGUSR2: EXIT.tryLater,
  /** Ctrl-Break on Windows; no signal elsewhere. */
  SIGBREAK: EXIT.interrupted,
};

/** `timeout -s INT` and some launchers signal the process and its group: one key press can arrive twice at once. */
const SAME_PRESS_MS = 100;

export class Interruption {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  readonly #now: () => number;
  #signal: NodeJS.Signals | null = null;
  /** When the first SIGINT came. */
  #interruptedAt: number | null = null;

  /** @param now milliseconds on a clock that is never set */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Aborts at the first signal: stop starting new work. */
  get soft(): AbortSignal {
    return this.#soft.signal;
  }

  /** Aborts at the second SIGINT: drop what is in flight. */
  get hard(): AbortSignal {
    return this.#hard.signal;
  }

  /** The first signal that came; null where none did. */
  get signal(): NodeJS.Signals | null {
    return this.#signal;
  }

  /** 128 and the number of the first signal; after SIGUSR2 the code that asks a scheduler to run the command again. */
  get exitCode(): number {
    return EXIT_CODES[this.#signal ?? 'SIGINT'] ?? EXIT.interrupted;
  }

  /**
   * Listens to the process's signals until the returned function is called.
   * @param ignoresHangUp true where SIGHUP was ignored when the process started: it stays ignored
   */
  listen(ignoresHangUp = isHangUpIgnored()): () => void {
    const stops = Object.keys(EXIT_CODES).map((name) => {
      const signal = name as NodeJS.Signals;
      const onSignal = (): void => {
        if (signal !== 'SIGHUP' || !ignoresHangUp) this.receive(signal);
      };
      process.on(signal, onSignal);
      return () => process.off(signal, onSignal);
    });
    return () => {
      for (const stop of stops) stop();
    };
  }

  /**
   * Drains as at a first SIGINT once a signal of a program that uses this one aborts, until the returned function is
   * called.
   */
  follow(signal: AbortSignal): () => void {
    const stop = (): void => {
      this.#signal ??= 'SIGINT';
      this.#soft.abort();
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    return () => {
      signal.removeEventListener('abort', stop);
    };
  }

  /** Drains without a signal, because what is left is another process's work. The same command may be run later. */
  drain(): void {
    this.#signal ??= 'SIGUSR2';
    this.#soft.abort();
  }

  /** Takes note of a signal. */
  receive(signal: NodeJS.Signals): void {
    this.#signal ??= signal;
    this.#soft.abort();
    if (signal !== 'SIGINT') return;
    const now = this.#now();
    this.#interruptedAt ??= now;
    if (now - this.#interruptedAt >= SAME_PRESS_MS) this.#hard.abort();
  }
}
