/** A shard's folder under its lease: taken, worked in with its log, and given back whatever happens. */

import { existsSync } from 'node:fs';
import { TemporaryError } from '../lib/errors.js';
import { workUnder } from '../lib/fence.js';
import { makeFolder, removeTemporaryFiles } from '../lib/files.js';
import { FolderLock, type LockAttempt, type LockWatch } from '../lib/lock.js';
import { JournalGone } from '../run/journal.js';
import type { RunFolder } from '../run/folder.js';
import { requireOwnRun } from '../run/own-run.js';
import { shardFolder } from '../shards/folders.js';
import type { CommandContext } from './command-context.js';
import { withLog, type LogSettings } from './with-log.js';

/** Tries to take a shard without waiting. */
export function tryLease(runDir: string, shard: number, watch: LockWatch): LockAttempt {
  const { temp } = shardFolder(runDir, shard);
  makeFolder(temp);
  return FolderLock.attempt(temp, watch);
}

/**
 * Takes a shard, waiting for a sign of life where its last owner can't be looked up from here.
 * @throws TemporaryError where another process works on it
 */
export async function takeLease(
  runDir: string,
  shard: number,
  { console, interruption }: CommandContext,
): Promise<FolderLock> {
  const { temp } = shardFolder(runDir, shard);
  makeFolder(temp);
  return FolderLock.acquire(temp, {
    signal: interruption.soft,
    onWait: (message) => {
      console.warning(`Shard ${shard}: ${message}`);
    },
  });
}

/** The lease is another worker's by now, so that this one must not do anything more. */
export class LeaseLost extends TemporaryError {}

/** A shard that this process holds. */
export interface LeasedShard {
  lock: FolderLock;
  runDir: string;
  shard: number;
}

/**
 * Works in a shard's folder.
 * @throws LeaseLost where another worker took it over while this one was frozen
 */
export async function underLease<T>(
  { lock, runDir, shard }: LeasedShard,
  log: LogSettings,
  { console, interruption }: CommandContext,
  work: (folder: RunFolder) => Promise<T>,
): Promise<T> {
  const folder = shardFolder(runDir, shard);
  workUnder(lock);
  lock.onLost(() => {
    interruption.drain();
  });
  try {
    requireOwnRun(folder);
    removeTemporaryFiles(folder.temp);
    const result = await withLog(folder, log, console, () => work(folder));
    if (lock.lost !== null) throw leaseLost(lock.lost, shard, folder);
    return result;
  } catch (error) {
    // The message about a deleted folder says where its answers are.
    throw lock.lost === null || error instanceof JournalGone ? error : leaseLost(lock.lost, shard, folder);
  } finally {
    workUnder(null);
    lock.release();
  }
}

function leaseLost(reason: string, shard: number, folder: RunFolder): LeaseLost {
  if (!existsSync(folder.temp))
    return new LeaseLost(`${folder.temp} was deleted while shard ${shard} was worked on.`);
  return new LeaseLost(
    `Shard ${shard}: ${reason} Answers that were on their way are in ${folder.temp}, and count.`,
  );
}
