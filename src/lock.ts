/** A lock that keeps a second process off a folder, and outlives no process. */

import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemErrorCode, TemporaryError } from './errors.js';
import { fileProblem, TEMPORARY_SUFFIX } from './files.js';

interface LockOwner {
  pid: number;
  host: string;
  /** Tells a process from a later one with the same number; null where the system doesn't say. */
  started: string | null;
  /** The lock's own inode: a lock that was copied with its folder is nobody's. Null in locks of earlier versions. */
  inode: number | null;
}

/**
 * Keeps a second process off a folder until the returned function is called.
 * A lock whose process is dead is taken over.
 * @throws TemporaryError that names the process which holds it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, 'lock');
  for (;;) {
    if (createWhole(path)) {
      return () => {
        rmSync(path, { force: true });
      };
    }
    const found = readIfThere(path);
    const holder = found === null ? null : parseLock(found.content);
    if (holder !== null && isOriginal(holder, found) && isAlive(holder)) {
      throw new TemporaryError(
        `Another process works on this run (process ${holder.pid} on ${holder.host}). Wait for it or stop it; ` +
          `if it is gone for certain, delete ${path}.`,
      );
    }
    moveStaleLockAside(path, found?.content ?? null);
  }
}

/** Creates a lock together with its content, so that nobody ever sees it empty; false where there is one. */
function createWhole(path: string): boolean {
  const temporary = `${path}.${process.pid}${TEMPORARY_SUFFIX}`;
  let isWritten = false;
  try {
    writeLock(temporary, 'w');
    isWritten = true;
    linkSync(temporary, path);
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST') return false;
    // Whoever took the lock meanwhile removed what dead processes left, and took this for such.
    if (code === 'ENOENT' && isWritten) return false;
    // Some file systems have no hard links.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP')
      throw fileProblem(error, `write ${path}`);
    return createExclusively(path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function createExclusively(path: string): boolean {
  try {
    writeLock(path, 'wx');
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw fileProblem(error, `write ${path}`);
  }
}

/** Writes a lock of this process. */
function writeLock(path: string, flags: 'w' | 'wx'): void {
  const descriptor = openSync(path, flags, 0o600);
  try {
    const inode = fstatSync(descriptor).ino;
    const owner: LockOwner = {
      pid: process.pid,
      host: hostname(),
      started: processStart(process.pid),
      inode,
    };
    writeFileSync(descriptor, JSON.stringify(owner));
  } finally {
    closeSync(descriptor);
  }
}

function readIfThere(path: string): { content: string; inode: number } | null {
  try {
    const descriptor = openSync(path, 'r');
    try {
      return { content: readFileSync(descriptor, 'utf8'), inode: fstatSync(descriptor).ino };
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return null;
  }
}

/** Of two processes that find the same stale lock one must win, and neither may take away the other's new one. */
function moveStaleLockAside(path: string, stale: string | null): void {
  const aside = `${path}.stale.${process.pid}${TEMPORARY_SUFFIX}`;
  try {
    renameSync(path, aside);
    if (readIfThere(aside)?.content !== stale) linkSync(aside, path);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== 'ENOENT' && code !== 'EEXIST') throw fileProblem(error, `replace ${path}`);
  } finally {
    rmSync(aside, { force: true });
  }
}

function parseLock(text: string): LockOwner | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return null;
    const { pid, host, started, inode } = value as Partial<LockOwner>;
    if (!Number.isInteger(pid) || typeof host !== 'string') return null;
    return {
      pid: pid as number,
      host,
      started: typeof started === 'string' ? started : null,
      inode: typeof inode === 'number' ? inode : null,
    };
  } catch {
    return null;
  }
}

/** False for a lock that was copied, with its folder, from where it was made. */
function isOriginal({ inode }: LockOwner, found: { inode: number } | null): boolean {
  return inode === null || inode === found?.inode;
}

/** A process of another machine counts as alive: nobody here can tell. */
function isAlive(owner: LockOwner): boolean {
  if (owner.host !== hostname()) return true;
  if (owner.pid === process.pid) return owner.started === processStart(process.pid);
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (systemErrorCode(error) === 'ESRCH') return false;
  }
  const started = processStart(owner.pid);
  return started === null || owner.started === null || started === owner.started;
}

/** The start time that Linux keeps of a process (field 22 of /proc/PID/stat, see proc(5)). */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
