/** What is done to a file from a server before anything else reads it: no line is too large, and none holds a secret. */

import type { AnswerBounds } from '../http/answer-bounds.js';
import { cooperativePause, readLines, replaceFile, type Line } from '../lib/files.js';
import { Interrupted } from './calls.js';
import { Unsearchable, type Redactor } from '../secrets/redactor.js';
import { excessOfLine, lineInPlaceOf } from './too-large.js';

/**
 * Rewrites a file of lines without secrets, and with an error in the place of every line that is larger than an answer
 * may be. One that needs nothing of this, as nearly all, is only read.
 * @throws Interrupted
 */
export async function cleanLines(
  path: string,
  redactor: Redactor,
  bounds: AnswerBounds,
  signal: AbortSignal,
): Promise<void> {
  const pause = cooperativePause();
  for (const line of readLines(path, bounds.bytes)) {
    if (signal.aborted) throw new Interrupted();
    await pause();
    if (cleanLine(line, redactor, bounds) === line.bytes) continue;
    await replaceFile(path, async (file) => {
      for (const each of readLines(path, bounds.bytes)) {
        file.write(cleanLine(each, redactor, bounds));
        if (each.complete) file.write('\n');
        if (signal.aborted) throw new Interrupted();
        await pause();
      }
    });
    return;
  }
}

/** The line as it may be kept: its own bytes where nothing has to change. */
function cleanLine(line: Line, redactor: Redactor, bounds: AnswerBounds): Buffer {
  const { bytes } = line;
  const excess = excessOfLine(line, bounds);
  if (excess !== null) return lineInPlaceOf(bytes, excess);
  try {
    return redactor.bytes(bytes);
  } catch (error) {
    if (error instanceof Unsearchable) return lineInPlaceOf(bytes, error.message);
    throw error;
  }
}
