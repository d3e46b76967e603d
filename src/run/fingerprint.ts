/** What the files of a local dataset hold: kept in `run.json`, so that a run never mixes two versions of a file. */

import { createHash } from 'node:crypto';
import { closeSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { cooperativePause, fileProblem, openInput, readAt } from '../lib/files.js';

const CHUNK_BYTES = 1 << 20;
/**
 * Below this size a file is always read again. Above it, an unchanged size and modification time are taken as proof,
 * so that resuming a run on a file of many gigabytes starts at once.
 */
const ALWAYS_READ_BYTES = 256 << 20;

export interface FileFingerprint {
  /** Absolute, with symbolic links resolved. */
  path: string;
  /** Bytes. */
  size: number;
  /** Milliseconds since 1970. */
  mtime: number;
  /** SHA-256 of the content, hexadecimal. */
  sha256: string;
}

/** How a file of a dataset compares with its fingerprint. */
export type FileChange =
  | { kind: 'same' | 'gone' | 'edited' }
  /** The earlier content is unchanged, and more follows it. */
  | { kind: 'appended'; bytes: number };

/** The path that a file is compared by: absolute, and with symbolic links resolved where it exists. */
export function resolvedPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}

/** Reads a file once, in bounded memory. */
export async function fingerprint(path: string): Promise<FileFingerprint> {
  const { size, mtimeMs } = statSync(path);
  return { path: resolvedPath(path), size, mtime: mtimeMs, sha256: await digestOfStart(path, size) };
}

/** Whether a file was written to since its fingerprint was taken, judged by size and time alone. */
export function isUntouched(taken: FileFingerprint): boolean {
  const { size, mtimeMs } = statSync(taken.path);
  return size === taken.size && mtimeMs === taken.mtime;
}

/** Compares a file with an earlier fingerprint of it, or of another file. */
export async function compareFile(earlier: FileFingerprint, path: string): Promise<FileChange> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return { kind: 'gone' };
  const { size, mtimeMs } = found;
  const isEarlierFile = resolvedPath(path) === earlier.path;
  if (size === earlier.size) {
    if (isEarlierFile && mtimeMs === earlier.mtime && size > ALWAYS_READ_BYTES) return { kind: 'same' };
    return { kind: (await digestOfStart(path, size)) === earlier.sha256 ? 'same' : 'edited' };
  }
  if (size < earlier.size) return { kind: 'edited' };
  const isPrefix = (await digestOfStart(path, earlier.size)) === earlier.sha256;
  return isPrefix ? { kind: 'appended', bytes: size - earlier.size } : { kind: 'edited' };
}

/** The SHA-256 of a file's first bytes. */
async function digestOfStart(path: string, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  const pause = cooperativePause();
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(CHUNK_BYTES, bytes)));
  try {
    const descriptor = openInput(path);
    try {
      for (let offset = 0; offset < bytes;) {
        const part = readAt(descriptor, offset, Math.min(buffer.length, bytes - offset), buffer);
        if (part.length === 0) break;
        hash.update(part);
        offset += part.length;
        await pause();
      }
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw fileProblem(error, `read ${path}`);
  }
  return hash.digest('hex');
}
