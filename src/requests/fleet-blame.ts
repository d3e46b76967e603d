/** Which failures are a server's own fault, so that another server of the same model may do better. */

import type { Failure } from './servers.js';

/** A server that lifts a limit only after so long is left out until then. */
const LONG_WAIT_MS = 60_000;

/** A failure that is the server's fault. */
export interface Blame {
  message: string;
  /** True where one such failure is enough to leave the server out. */
  atOnce: boolean;
  /** True where nothing that it does by itself will change that: its key, its credit. */
  isForGood: boolean;
  /** True where it has more to do than it can. */
  isOverload: boolean;
  /** True where it wrote tokens nevertheless: sending the row again is then counted as an attempt. */
  isPaid: boolean;
  /** Milliseconds that it asked to wait; null where it did not. */
  wait: number | null;
}

const NONE = { atOnce: false, isForGood: false, isOverload: false, isPaid: false, wait: null };

/** Null where a failure is the row's own matter, or that of all servers. */
export function blameOf(verdict: Failure): Blame | null {
  const { message } = verdict;
  switch (verdict.kind) {
    case 'run': {
      // A model may be loaded and an address repaired; a probe shows that. It does not show whether a key is right.
      const isForGood = verdict.cause !== 'model' && verdict.cause !== 'other';
      return { ...NONE, message, atOnce: true, isForGood };
    }
    case 'throttle': {
      const { wait } = verdict;
      return wait === null || wait < LONG_WAIT_MS ? null : { ...NONE, message, atOnce: true, wait };
    }
    case 'unreadable':
      // It may be the row's own matter as well: then the others answer alike, and their attempts end it.
      return { ...NONE, message, atOnce: verdict.isForeign, isPaid: verdict.usage !== null };
    case 'transient': {
      if (verdict.isCapacity === true) return null;
      return {
        message,
        atOnce: verdict.unreachable || verdict.loading === true,
        isForGood: false,
        isOverload: verdict.overloaded && verdict.loading !== true,
        isPaid: verdict.usage !== null || verdict.inAnswer === true,
        wait: verdict.wait,
      };
    }
    case 'partial':
    case 'unfit':
    case 'stream':
    case 'responses':
    case 'row':
    case 'parameter':
    case 'value':
      return null;
  }
}
