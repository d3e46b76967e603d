/** How files and folders are opened: the program's own, which are never links, and those of the user. */

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
  type Stats,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemErrorCode } from './errors.js';
import { fileProblem } from './file-errors.js';
import { readAt } from './read-lines.js';

/** Makes a folder that only its owner can read (it will hold prompts), with its parents. */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  try {
    // One by one: where a file system takes no folders (/proc), Node's recursive mkdir never returns.
    for (const folder of missing) makeOneFolder(folder);
    if (!statSync(path).isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'EEXIST' });
  } catch (error) {
    throw fileProblem(error, `make the folder ${path}`);
  }
}

function makeOneFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may make it at the same time.
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

// Windows has neither: a link needs rights there that other users don't have.
const NO_FOLLOW = constants.O_NOFOLLOW as number | undefined;

const NO_WAIT = constants.O_NONBLOCK as number | undefined;
const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND } = constants;

/** Ways to open a file; `create` fails with EEXIST where anything is in its place. */
const WAYS = {
  read: O_RDONLY,
  change: O_RDWR,
  append: O_WRONLY | O_CREAT | O_APPEND,
  'append and read': O_RDWR | O_CREAT | O_APPEND,
  create: O_WRONLY | O_CREAT | O_EXCL,
} as const;

/**
 * Opens a file of the program's own, readable by its owner alone where it is made. The one way to open such a file: a
 * symbolic link in its place is not followed, and a named pipe does not stop the program.
 * @returns the descriptor
 * @throws a system error; ELOOP for a link
 */
export function openFile(path: string, way: keyof typeof WAYS): number {
  const descriptor = openSync(path, WAYS[way] | (NO_FOLLOW ?? 0) | (NO_WAIT ?? 0), 0o600);
  const found = way === 'create' ? null : fstatSync(descriptor);
  if (found === null || found.isFile() || found.isCharacterDevice()) return descriptor;
  closeSync(descriptor);
  throw notAFile(kindOfFile(found), path);
}

/** Larger files of a run are read piece by piece. */
const LARGEST_TEXT_BYTES = 256 << 20;

/**
 * The text of a file of a run. Its folder may be shared, so the same holds as for `openFile`: no link is followed, no
 * pipe waited for, and no more read than a file of this kind may hold.
 * @throws a system error
 */
export function readOwnText(path: string, most = LARGEST_TEXT_BYTES): string {
  const descriptor = openFile(path, 'read');
  try {
    const { size } = fstatSync(descriptor);
    if (size > most) throw systemError('EFBIG', 'it is too large', path);
    return readAt(descriptor, 0, size).toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Opens a file that somebody else made, such as one that a flag names, for reading. Links are followed. A named pipe
 * would stop the whole program until somebody writes to it, and a device may never end: only regular files are opened.
 * @returns the descriptor
 * @throws a system error; ENOTSUP for anything but a regular file, EISDIR for a folder
 */
export function openInput(path: string): number {
  const descriptor = openWithoutWaiting(path);
  const kind = kindOfFile(fstatSync(descriptor));
  if (kind === 'file') return descriptor;
  closeSync(descriptor);
  throw notAFile(kind, path);
}

/**
 * Opens anything for reading, pipes and devices included, without waiting for somebody who writes to it.
 * @returns the descriptor
 * @throws a system error
 */
export function openWithoutWaiting(path: string): number {
  return openSync(path, O_RDONLY | (NO_WAIT ?? 0));
}

function notAFile(kind: FileType, path: string): Error {
  return systemError(kind === 'folder' ? 'EISDIR' : 'ENOTSUP', `it is a ${kind}, not a file`, path);
}

function systemError(code: string, message: string, path: string): Error {
  return Object.assign(new Error(message), { code, path });
}

/** What something in a file system is, for messages. */
export type FileType = 'file' | 'folder' | 'named pipe' | 'socket' | 'device';

/** @param found what `stat` says, or an entry of a folder */
export function kindOfFile(found: Pick<Stats, 'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket'>): FileType {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'folder';
  if (found.isFIFO()) return 'named pipe';
  return found.isSocket() ? 'socket' : 'device';
}

/** The error for a link in a file's place, as `openFile` gives it. */
export function linkRefused(): Error {
  return Object.assign(new Error('a symbolic link is in its place'), { code: 'ELOOP' });
}
