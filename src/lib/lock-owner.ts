/** Who holds a lock, and what can be known about that process from here. */

import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { systemErrorCode } from './errors.js';
import { isObject, parseJson } from './json.js';

/** The content of a lock file. Locks of earlier versions have `pid`, `host`, `started` and `inode` alone. */
export interface LockOwner {
  pid: number;
  host: string;
  /** When the process started, which distinguishes it from a later one with the same number; null where the system doesn't say. */
  started: string | null;
  /** The lock file's own inode: a copy has another. */
  inode: number | null;
  /** Where the lock was made. */
  folder: string | null;
  /** One start of one kernel. Containers of a machine share it. */
  boot: string | null;
  /** The process ids of one container: pods of a job share host name and process id 1, but not this. */
  pidNamespace: string | null;
  /** Unique to one lock; null in locks of earlier versions, which show no sign of life. */
  token: string | null;
  /** When the lock was made, in ISO 8601; for people only, since clocks differ between machines. */
  since: string | null;
}

/** This process, and what it can find out about others. */
export interface Vantage {
  pid: number;
  host: string;
  boot: string | null;
  pidNamespace: string | null;
  /** Where the lock file is, with links resolved. */
  folder: string;
  /** True for systems of which each has one set of process ids, and which have no boot id. */
  isBareSystem: boolean;
  /** False where no process has that number. */
  isRunning: (pid: number) => boolean;
  startOf: (pid: number) => string | null;
}

/**
 * What is known about a lock's owner:
 *
 * - `alive`: it runs on this machine;
 * - `dead`: it ran on this machine and has ended, or the lock is a copy;
 * - `unknown`: only signs of life can show (another machine or container, a process number that may be another's);
 * - `silent`: the same for a lock of an earlier version, which gives no signs of life.
 */
export type OwnerState = 'alive' | 'dead' | 'unknown' | 'silent';

/** @param inode of the lock file as it is found */
export function stateOf(owner: LockOwner, inode: number, here: Vantage): OwnerState {
  if (owner.token === null) return stateOfOldLock(owner, inode, here);
  if (!isSameSystem(owner, here)) return 'unknown';
  const isCopy = owner.inode !== null && owner.inode !== inode && owner.folder !== here.folder;
  if (isCopy || !here.isRunning(owner.pid)) return 'dead';
  const started = here.startOf(owner.pid);
  if (started === null || owner.started === null) return 'unknown';
  return started === owner.started ? 'alive' : 'dead';
}

function isSameSystem(owner: LockOwner, here: Vantage): boolean {
  if (owner.boot === null || owner.pidNamespace === null)
    return here.isBareSystem && owner.boot === null && owner.host === here.host;
  return owner.boot === here.boot && owner.pidNamespace === here.pidNamespace;
}

/** Host names are all that an old lock has; two containers may share one, and process id 1 as well. */
function stateOfOldLock(owner: LockOwner, inode: number, here: Vantage): OwnerState {
  if (owner.inode !== null && owner.inode !== inode) return 'dead';
  if (owner.host !== here.host) return 'silent';
  if (owner.pid === here.pid) return owner.pid === 1 ? 'silent' : 'dead';
  if (!here.isRunning(owner.pid)) return 'dead';
  const started = here.startOf(owner.pid);
  return started === null || owner.started === null || started === owner.started ? 'alive' : 'dead';
}

/** Null for content that is not a lock. */
export function parseOwner(text: string): LockOwner | null {
  const value = parseJson(text);
  if (!isObject(value) || !Number.isSafeInteger(value['pid']) || typeof value['host'] !== 'string')
    return null;
  const string = (name: string): string | null => {
    const field = value[name];
    return typeof field === 'string' ? field : null;
  };
  return {
    pid: value['pid'] as number,
    host: value['host'],
    inode: typeof value['inode'] === 'number' ? value['inode'] : null,
    started: string('started'),
    folder: string('folder'),
    boot: string('boot'),
    pidNamespace: string('pid_namespace'),
    token: string('token'),
    since: string('since'),
  };
}

/** What a process writes of itself into a file, as `parseOwner` reads it back. */
export function ownerOf(
  { pid, host, boot, pidNamespace, folder, startOf: started }: Vantage,
  token: string,
  since: string,
): Record<string, unknown> {
  return { pid, host, started: started(pid), folder, boot, pid_namespace: pidNamespace, token, since };
}

/** @param folder where the lock is, with links resolved */
export function systemVantage(folder: string): Vantage {
  return {
    pid: process.pid,
    host: hostname(),
    boot: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
    folder,
    isBareSystem: process.platform !== 'linux',
    isRunning,
    startOf,
  };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    // EPERM: it belongs to another user.
    return systemErrorCode(error) !== 'ESRCH';
  }
}

/** The start time that Linux keeps of a process (field 22). */
function startOf(pid: number): string | null {
  return statOf(pid)?.[19] ?? null;
}

/**
 * True for a process that has ended and whose parent has not asked for its exit code: where a container's first process
 * never does, it stays a zombie.
 */
function isZombie(pid: number): boolean {
  return ['Z', 'X'].includes(statOf(pid)?.[0] ?? '');
}

/** What Linux says of a process after its name, from the state (field 3) on; see proc_pid_stat(5). */
function statOf(pid: number): string[] | null {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return stat === null ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
