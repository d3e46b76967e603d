/**
 * Standard output and standard error, whatever happens to them: a reader that has exited (`| head`, a `tee` that Ctrl-C
 * killed first), a full disk, a terminal that was closed. Messages are never worth the work that is in progress, so
 * errors of standard error are dropped. Standard output carries what was asked for: a failure there is an error, unless
 * the reader simply had enough.
 */

import { messageOf, systemErrorCode, UserError } from '../lib/errors.js';
import { sanitizeLines } from '../lib/text.js';

const ADVICE = 'Redirect it elsewhere and run the command again.';
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EIO: 'the terminal was closed or the disk failed',
  EFBIG: 'the file is larger than it may be',
};

/** The first error of standard output that nobody has seen yet. */
let failure: unknown = null;
/** True where something was written since the last `finishOutput`. */
let isPending = false;

/** Keeps write errors of both streams from ending the process; call it before anything is written. */
export function tolerateBrokenStreams(): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', noteFailure);
}

/** Writes to standard output; `finishOutput` says whether it arrived. */
export function writeOutput(text: string): void {
  isPending = true;
  try {
    process.stdout.write(text);
  } catch (error) {
    // Files are written synchronously, and some versions of Node throw.
    noteFailure(error);
  }
}

/**
 * Writes a result to standard output: without control characters to a terminal, unchanged to a pipe or a file.
 * @param advice what to do where it can't be written
 * @throws UserError
 */
export async function printResult(text: string, advice = ADVICE): Promise<void> {
  writeOutput(process.stdout.isTTY ? sanitizeLines(text) : text);
  await finishOutput(advice);
}

/**
 * Waits until everything has been passed to the system.
 * @throws UserError where something was lost; not where the reader closed the pipe
 */
export async function finishOutput(advice = ADVICE): Promise<void> {
  if (!isPending) return;
  isPending = false;
  await new Promise<void>((resolve) => {
    try {
      process.stdout.write('', () => {
        // An error of an earlier write is emitted in the same turn.
        setImmediate(resolve);
      });
    } catch (error) {
      noteFailure(error);
      resolve();
    }
  });
  const lost = failure;
  failure = null;
  if (lost === null || isReaderGone(lost)) return;
  const reason = REASONS[systemErrorCode(lost) ?? ''] ?? messageOf(lost);
  throw new UserError(`Cannot write to standard output: ${reason}. ${advice}`, undefined, { cause: lost });
}

function noteFailure(error: unknown): void {
  failure ??= error;
}

/** `ERR_STREAM_DESTROYED` and the like follow a first EPIPE. */
function isReaderGone(error: unknown): boolean {
  return ['EPIPE', 'ECONNRESET', 'EOF', 'ERR_STREAM_DESTROYED'].includes(systemErrorCode(error) ?? '');
}
