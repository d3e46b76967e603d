/**
 * Whether this process was started to survive its terminal (`nohup`, `trap '' HUP`).
 *
 * A program inherits an ignored SIGHUP, but Node resets every signal before any JavaScript runs (`PlatformInit` in
 * nodejs/node `src/node.cc`), so its own state no longer says so. What `nohup` leaves behind does, and so do the
 * processes above this one.
 */

import { fstatSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

/** SIGHUP is signal 1: the lowest bit of the masks in `/proc/PID/status`. */
const HANGUP_BIT = 1n;
const WRITE_ONLY = 1;
const ACCESS_MODE = 3;
/** More ancestors than any chain of shells and launchers has. */
const MAXIMUM_ANCESTORS = 16;

/** The system as these checks see it; tests pass their own. */
export interface HangUpEvidence {
  /** The command that the shell started, as bash and zsh export it in `_`. */
  shellCommand: string | undefined;
  parent: number;
  /** The text of a file under `/proc`; null where there is none. */
  read: (path: string) => string | null;
  /** Where a link under `/proc` leads; null where there is none. */
  link: (path: string) => string | null;
  /** True where standard output or standard error is the `nohup.out` that `nohup` makes. */
  writesToNohupFile: () => boolean;
}

/** True if hang-ups are ignored, as they were when the process started. */
export function isHangUpIgnored(evidence: HangUpEvidence = systemEvidence()): boolean {
  return (
    basename(evidence.shellCommand ?? '') === 'nohup' ||
    hasUnreadableInput(evidence) ||
    evidence.writesToNohupFile() ||
    isIgnoredAbove(evidence)
  );
}

/** GNU nohup replaces a terminal on standard input by `/dev/null`, opened for writing only. */
function hasUnreadableInput({ read, link }: HangUpEvidence): boolean {
  if (link('/proc/self/fd/0') !== '/dev/null') return false;
  const flags = /^flags:\s*([0-7]+)$/m.exec(read('/proc/self/fdinfo/0') ?? '')?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & ACCESS_MODE) === WRITE_ONLY;
}

/** A shell that ignores hang-ups passes that on to what it starts; other sessions have other terminals. */
function isIgnoredAbove({ parent, read }: HangUpEvidence): boolean {
  const session = statOf('self', read)?.session;
  if (session === undefined) return false;
  for (let pid = parent, seen = 0; pid > 1 && seen < MAXIMUM_ANCESTORS; seen++) {
    const stat = statOf(String(pid), read);
    if (stat === null || stat.session !== session) return false;
    const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1];
    if (mask !== undefined && (BigInt(`0x${mask}`) & HANGUP_BIT) !== 0n) return true;
    pid = stat.parent;
  }
  return false;
}

/** Fields 4 and 6 of `/proc/PID/stat` (proc(5)); the name before them may hold spaces and parentheses. */
function statOf(pid: string, read: HangUpEvidence['read']): { parent: number; session: number } | null {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === null) return null;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), session: Number(fields[3]) };
}

function systemEvidence(): HangUpEvidence {
  return {
    shellCommand: process.env['_'],
    parent: process.ppid,
    read: (path) => attempt(() => readFileSync(path, 'utf8')),
    link: (path) => attempt(() => readlinkSync(path)),
    writesToNohupFile: () =>
      ['nohup.out', join(homedir(), 'nohup.out')].some((path) => [1, 2].some((fd) => isSameFile(fd, path))),
  };
}

function isSameFile(descriptor: number, path: string): boolean {
  const file = attempt(() => statSync(path));
  const open = file === null ? null : attempt(() => fstatSync(descriptor));
  return file !== null && open !== null && file.dev === open.dev && file.ino === open.ino;
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
