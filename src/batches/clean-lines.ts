/** What is done to a file from a server before anything else reads it: no line is too large, and none holds a secret. */

import type { AnswerBounds } from '../http/answer-bounds.js';
import { holdsMoreValues } from '../lib/json-scan.js';
import { cooperativePause, readLines, replaceFile, type Line } from '../lib/files.js';
import { Interrupted } from './calls.js';
import { Unsearchable, type Redactor } from '../secrets/redactor.js';

/** The code of a line that is in the place of one that is too large. */
export const TOO_LARGE = 'line_too_large';
/** Every server writes it near the beginning. */
const CUSTOM_ID = /"custom_id"\s{0,20}:\s{0,20}("[^"\\]{1,64}"|\d{1,15})/;

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
function cleanLine({ bytes, isCut }: Line, redactor: Redactor, bounds: AnswerBounds): Buffer {
  if (isCut) return replacement(bytes, `is longer than ${bounds.bytes >> 20} MB`);
  if (holdsMoreValues(bytes, bounds.values))
    return replacement(bytes, `holds more than ${bounds.values / 1e6} million JSON values`);
  try {
    return redactor.bytes(bytes);
  } catch (error) {
    if (error instanceof Unsearchable) return replacement(bytes, error.message);
    throw error;
  }
}

/** A line that says of the same row why there is no answer. */
function replacement(line: Buffer, reason: string): Buffer {
  const id = CUSTOM_ID.exec(line.toString('latin1', 0, 1024))?.[1] ?? 'null';
  const error = JSON.stringify({ code: TOO_LARGE, message: `the row's line in the result file ${reason}` });
  return Buffer.from(`{"custom_id":${id},"response":null,"error":${error}}`);
}
