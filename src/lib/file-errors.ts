/** Errors of a file system in words. */

import { TemporaryError, UserError, messageOf, systemErrorCode } from './errors.js';

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full. Free some space',
  EDQUOT: 'the disk quota is used up. Free some space',
  EACCES:
    'permission denied. Choose another folder with --save_dir and --temp_dir, or change its permissions',
  EPERM: 'permission denied. Choose another folder with --save_dir and --temp_dir, or change its permissions',
  EROFS: 'the file system is read-only. Choose another folder with --save_dir and --temp_dir',
  EMFILE: 'too many files are open. Lower --max_concurrency or raise the limit (ulimit -n)',
  ENAMETOOLONG: 'the name is too long. Choose a shorter path with --save_dir and --temp_dir',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'a file is in the place of a folder',
  ELOOP:
    'a symbolic link is in its place, and links are not followed here. Remove the link, or give the path that it leads to',
  EISDIR: 'it is a folder',
  ENOTSUP: 'it is a pipe, a socket or a device, not a file',
  EFBIG: 'the file is too large',
  ENOENT: 'there is no such file or folder',
  EIO: 'the disk reported an error',
};

/** True for an error of a file system that a sentence is known for. */
export function isFileProblem(error: unknown): boolean {
  return Object.hasOwn(HINTS, systemErrorCode(error) ?? '');
}

/** Troubles of a disk or a network file system that may pass without a change to the command. */
const PASSING_CODES = new Set([
  ...['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBUSY', 'ENOLCK'],
  ...['ESTALE', 'ETIMEDOUT', 'EREMOTEIO', 'ENOTCONN', 'EHOSTDOWN', 'ENXIO'],
]);

/** A sentence for a failed file operation that says what to do; `action` reads like "write /path/file". */
export function fileProblem(error: unknown, action: string): UserError {
  const message = `Cannot ${action}: ${fileReason(error)}.`;
  return PASSING_CODES.has(systemErrorCode(error) ?? '')
    ? new TemporaryError(message, { cause: error })
    : new UserError(message, undefined, { cause: error });
}

/** What was being done when the system reported an error, for `fileProblem`. */
export function failedAction(error: unknown): string {
  const path = error instanceof Error ? (error as NodeJS.ErrnoException).path : undefined;
  return path === undefined ? "use the run's files" : `use ${path}`;
}

/** Why a file operation failed, in words, and what to do about it. */
function fileReason(error: unknown): string {
  return HINTS[systemErrorCode(error) ?? ''] ?? messageOf(error);
}

/** The same without the advice. */
export function bareFileReason(error: unknown): string {
  return fileReason(error).split('. ', 1)[0] ?? '';
}
