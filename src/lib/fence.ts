/**
 * The lock that this process works under. A process works on one run at a time, so there is one, and what spends money or
 * writes to the run's folder asks for it here, wherever in the program it is.
 */

import { TemporaryError } from './errors.js';

/** A lock that may turn out to be another's, after this process was frozen or could not reach the folder. */
export interface Fence {
  /** True where the lock is certainly still this process's; costs next to nothing unless a while has passed. */
  verify(): boolean;
  /** Why it is lost; null while it is held. */
  readonly lost: string | null;
  /** Unique to this lock. */
  readonly token: string;
}

let current: Fence | null = null;

/** Works under a lock from here on; null where it was given back. */
export function workUnder(fence: Fence | null): void {
  current = fence;
}

/** False where another process works on the run by now: nothing may be sent or written any more. */
export function holdsLock(): boolean {
  return current === null || current.verify();
}

/** @throws TemporaryError where another process works on the run by now */
export function requireLock(): void {
  if (holdsLock()) return;
  throw new TemporaryError(current?.lost ?? 'Another process works on this run.');
}

/** Where lines go that came after the lock was lost; the next run takes them into the journal. */
export function rescuePath(journal: string): string {
  return `${journal}.rescued-${current?.token ?? 'none'}`;
}
