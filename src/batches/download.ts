/** Downloads a result file, streamed to disk; what was cut off goes on where it stopped. */

import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { UserError, systemErrorCode } from '../errors.js';
import { fileProblem, readLines, replaceFile, writeAll } from '../files.js';
import type { Redactor } from '../text.js';
import { dropped } from '../memory.js';
import { callFailed, Interrupted, mayPass, pause, pauseAfter, type Waiting } from './calls.js';
import type { BatchClient } from './client.js';

/** How a download that is not finished yet ends; it stays when the program goes, and goes on with the next start. */
const PARTIAL_SUFFIX = '.part';
/** Failures one after the other without a byte between them. */
const TRIES = 8;

/**
 * Brings a file of the API onto the disk. A file that is there already is complete.
 * @returns false where the API has no such file (any more)
 * @throws CallFailed or Interrupted; what came is kept
 */
export async function download(
  client: BatchClient,
  fileId: string,
  path: string,
  waiting: Waiting,
  redactor: Redactor,
): Promise<boolean> {
  if (existsSync(path)) return true;
  const partial = `${path}${PARTIAL_SUFFIX}`;
  let failures = 0;
  for (;;) {
    const before = sizeOf(partial);
    try {
      if (await downloadOnce(client, fileId, partial)) {
        await redact(partial, redactor);
        renameSync(partial, path);
        return true;
      }
      throw new Error('the connection was cut');
    } catch (error) {
      if (waiting.signal.aborted) throw new Interrupted();
      const code = systemErrorCode(error);
      if (error instanceof UserError || code === 'ENOSPC' || code === 'EIO') throw error;
      const failure = callFailed(error);
      if (failure.status === 404) return false;
      // More bytes are here than there: they are not this file's.
      if (failure.status === 416) rmSync(partial, { force: true });
      failures = sizeOf(partial) > before ? 1 : failures + 1;
      if (failures >= TRIES || (!mayPass(failure) && failure.status !== 416)) throw failure;
      await pause(pauseAfter(failure, failures, waiting.random), waiting);
    }
  }
}

function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

/** One connection's worth. Returns whether the file is complete. */
async function downloadOnce(client: BatchClient, fileId: string, path: string): Promise<boolean> {
  const have = sizeOf(path);
  const { offset, total, bytes } = await client.download(fileId, have);
  const descriptor = openSync(path, 'a', 0o600);
  // A server that knows no ranges begins anew; what is here already is skipped.
  let skip = Math.max(0, have - offset);
  let size = have;
  try {
    for await (const piece of bytes) {
      const fresh = piece.subarray(Math.min(skip, piece.length));
      skip -= piece.length - fresh.length;
      writeAll(descriptor, fresh);
      size += fresh.length;
      dropped(piece.length);
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

/** Takes keys out of a file that a server echoed them into; nearly always there is nothing to do. */
async function redact(path: string, redactor: Redactor): Promise<void> {
  for (const { bytes } of readLines(path)) {
    if (redactor.bytes(bytes) === bytes) continue;
    await replaceFile(path, (file) => {
      for (const line of readLines(path)) {
        file.write(redactor.bytes(line.bytes));
        if (line.complete) file.write('\n');
      }
    });
    return;
  }
}
