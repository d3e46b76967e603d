/** Ctrl-C and SIGTERM: the first asks the run to finish what is under way, the second goes at once. */

import { EXIT } from './errors.js';

export class Interruption {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();
  #exitCode: number = EXIT.interrupted;

  /** Aborts at the first signal: stop starting new work. */
  get soft(): AbortSignal {
    return this.#soft.signal;
  }

  /** Aborts at the second signal: drop what is under way. */
  get hard(): AbortSignal {
    return this.#hard.signal;
  }

  /** 130 after SIGINT, 143 after SIGTERM. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Listens to the process's signals until the returned function is called. */
  listen(): () => void {
    const onInterrupt = (): void => {
      this.#receive(EXIT.interrupted);
    };
    const onTerminate = (): void => {
      this.#receive(EXIT.terminated);
    };
    process.on('SIGINT', onInterrupt);
    process.on('SIGTERM', onTerminate);
    return () => {
      process.off('SIGINT', onInterrupt);
      process.off('SIGTERM', onTerminate);
    };
  }

  #receive(exitCode: number): void {
    if (this.#soft.signal.aborted) {
      this.#hard.abort();
      return;
    }
    this.#exitCode = exitCode;
    this.#soft.abort();
  }
}
