/**
 * Whether the workers of shards are alive, for commands that check once and end. The clocks of two machines may differ by
 * minutes, so a time that another machine wrote says little: what counts is who holds the lock, then whether its sign of life
 * grows.
 */

import { statSync } from 'node:fs';
import { lookAtLock, type LockSight } from '../lib/lock.js';
import { SILENT_MS } from './overview.js';
import { statePath, type ShardState } from './state.js';

/** A time in the future by more than this is another clock's. */
const LEAST_SKEW_MS = 5000;

/** What one look at the folder of a shard that is worked on shows. */
export type Sign =
  /** Its worker runs on this machine, or wrote its state just now by every clock that says so. */
  | { kind: 'alive' }
  /** Its worker has ended. */
  | { kind: 'gone' }
  /** Clocks disagree, or say that it is silent: the lock has to be watched. */
  | { kind: 'doubtful'; lock: string | null };

/**
 * @param folder of the shard
 * @param now milliseconds since 1970
 */
export function signOf(
  folder: string,
  { updated_at: updated }: Pick<ShardState, 'updated_at'>,
  now: number,
): Sign {
  const { state, content } = sightOf(folder);
  if (state === 'alive') return { kind: 'alive' };
  if (state === 'dead' || state === 'none') return { kind: 'gone' };
  const ages = [now - Date.parse(updated), now - writtenAt(folder)];
  const isRecent = ages.every((age) => age >= -LEAST_SKEW_MS && age < SILENT_MS);
  return isRecent ? { kind: 'alive' } : { kind: 'doubtful', lock: content };
}

/** True where the lock of a doubtful shard changed since: its owner lives, whatever the clocks say. */
export function hasBeaten(folder: string, before: string | null): boolean {
  const { content } = sightOf(folder);
  return content !== null && content !== before;
}

/** A lock that can't be read says nothing. */
function sightOf(folder: string): LockSight {
  try {
    return lookAtLock(folder);
  } catch {
    return { owner: null, state: 'unknown', content: null };
  }
}

/** When the state was written by the file system's clock, in milliseconds since 1970; NaN where that is not known. */
function writtenAt(folder: string): number {
  try {
    return statSync(statePath(folder)).mtimeMs;
  } catch {
    return NaN;
  }
}
