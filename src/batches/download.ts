/** Downloads a result file, streamed to disk and bounded; one that was cut off continues where it stopped. */

import { closeSync, existsSync, fsyncSync, renameSync, rmSync, statSync } from 'node:fs';
import { UserError, systemErrorCode } from '../lib/errors.js';
import { fileProblem, openFile, writeAll } from '../lib/files.js';
import { TooSlow } from '../http/minimum-rate.js';
import type { Redactor } from '../secrets/redactor.js';
import { noteDiscarded } from '../lib/memory.js';
import {
  callFailed,
  type CallFailed,
  Interrupted,
  isTransient,
  pause,
  pauseAfter,
  type Waiting,
} from './calls.js';
import type { BatchApi, FileBounds } from './apis/batch-api.js';
import { FileTooLarge, makeLines } from './result-file.js';
import { cleanLines } from './clean-lines.js';

/** How an unfinished download is named; it stays when the program ends, and the next start continues it. */
const PARTIAL_SUFFIX = '.part';
/** Failures one after the other without progress between them. */
const TRIES = 8;

/** What a download works with. */
export interface DownloadParts {
  client: Pick<BatchApi, 'download'>;
  waiting: Waiting;
  redactor: Redactor;
  bounds: FileBounds;
}

/**
 * Brings a file of the API onto the disk. A file that is there already is complete.
 * @returns false where the API does not give the file
 * @throws CallFailed, Interrupted (what came is kept) or FileTooLarge
 */
export async function download(fileId: string, path: string, parts: DownloadParts): Promise<boolean> {
  const { client, waiting, redactor, bounds } = parts;
  if (existsSync(path)) return true;
  const partial = `${path}${PARTIAL_SUFFIX}`;
  let failures = 0;
  for (;;) {
    const before = sizeOf(partial);
    try {
      if (await downloadOnce(client, fileId, partial, bounds)) {
        await makeLines(partial, bounds.bytes, waiting.signal);
        await cleanLines(partial, redactor, bounds.line, waiting.signal);
        renameSync(partial, path);
        return true;
      }
      throw new Error('the connection was cut');
    } catch (error) {
      if (waiting.signal.aborted) throw new Interrupted();
      const code = systemErrorCode(error);
      if (error instanceof FileTooLarge) rmSync(partial, { force: true });
      if (error instanceof FileTooLarge || error instanceof UserError) throw error;
      if (code === 'ENOSPC' || code === 'EIO') throw error;
      const failure = callFailed(error);
      if (isRefused(failure)) return false;
      // More bytes are here than there: they are not this file's.
      if (failure.status === 416) rmSync(partial, { force: true });
      // What drips brings some bytes each time.
      const isProgress = sizeOf(partial) > before && !isTooSlow(error);
      failures = isProgress ? 1 : failures + 1;
      if (failures >= TRIES || (!isTransient(failure) && failure.status !== 416)) throw failure;
      await pause(pauseAfter(failure, failures, waiting.random), waiting);
    }
  }
}

/**
 * True where the server does not give this file: it has none, it is another project's (403), or a page of its proxy comes
 * in its place (302). 401 is about the key.
 */
function isRefused(failure: CallFailed): boolean {
  const { status } = failure;
  return status !== null && ![401, 416, 429].includes(status) && !isTransient(failure);
}

function isTooSlow(error: unknown): boolean {
  return error instanceof TooSlow || (error instanceof Error && error.cause instanceof TooSlow);
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

/** One connection's worth. Returns whether the file is complete. */
async function downloadOnce(
  client: DownloadParts['client'],
  fileId: string,
  path: string,
  bounds: FileBounds,
): Promise<boolean> {
  const { bytes: maximumBytes } = bounds;
  const have = sizeOf(path);
  const { offset, total, bytes } = await client.download(fileId, have, bounds);
  // What lies between would be missing in the middle of the file.
  if (offset > have) throw new Error(`the server sent bytes from ${offset} on where ${have} are here`);
  if (total !== null && total > maximumBytes) throw new FileTooLarge(`${total} bytes`);
  const descriptor = openFile(path, 'append');
  // A server that knows no ranges sends the file from its start; what is here already is skipped.
  let skip = Math.max(0, have - offset);
  let size = have;
  try {
    for await (const piece of bytes) {
      const fresh = piece.subarray(Math.min(skip, piece.length));
      skip -= piece.length - fresh.length;
      writeAll(descriptor, fresh);
      size += fresh.length;
      if (size > maximumBytes) throw new FileTooLarge(`more than ${maximumBytes} bytes`);
      noteDiscarded(piece.length);
    }
    fsyncSync(descriptor);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EIO') throw fileProblem(error, `write ${path}`);
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return total === null || size >= total;
}
