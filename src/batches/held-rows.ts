/** Which rows must not be sent again, because a batch may still answer them or has answered them out of reach. */

import { existsSync } from 'node:fs';
import { cooperativePause, readLines } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';
import type { RunFolder } from '../run/folder.js';
import type { Chunk } from './chunk.js';
import type { Ledger } from './ledger.js';
import { rowOf, rowOfId } from './request-line.js';
import { resultPath } from './result-files.js';
import { readResultLine } from './results.js';

/** Marks the rows of all chunks whose batch may still answer them: sending them again would pay twice. */
export async function rowsHeld(ledger: Ledger, folder: RunFolder, rows: number): Promise<Uint8Array> {
  const isShort = ({ state }: Chunk): boolean => state === 'short';
  const held = await rowsIn(
    ledger.holding.filter((chunk) => !isShort(chunk)),
    ledger,
    rows,
  );
  for (const chunk of ledger.holding.filter(isShort)) {
    const marks = await rowsIn([chunk], ledger, rows);
    await releaseAnswered(marks, chunk, folder);
    for (let row = 0; row < rows; row++) if (marks[row] === 1) held[row] = 1;
  }
  return held;
}

/** Rows with a line in a result file got their answer, if only that they failed: nothing more comes for them. */
async function releaseAnswered(marks: Uint8Array, { batch }: Chunk, folder: RunFolder): Promise<void> {
  if (batch === null) return;
  for (const kind of ['output', 'error'] as const) {
    const path = resultPath(folder, batch, kind);
    if (path === null || !existsSync(path)) continue;
    const pause = cooperativePause();
    for (const { bytes } of readLines(path)) {
      const row = rowOfId(readResultLine(bytes)?.id ?? null);
      if (row !== null && row < marks.length) marks[row] = 0;
      noteDiscarded(bytes.length * 3);
      await pause();
    }
  }
}

/** Marks the rows of chunks; all rows where the file of one is not available. */
export async function rowsIn(chunks: readonly Chunk[], ledger: Ledger, rows: number): Promise<Uint8Array> {
  const marks = new Uint8Array(rows);
  for (const chunk of chunks) {
    const path = ledger.pathOf(chunk);
    if (path === null || !existsSync(path)) {
      marks.fill(1);
      continue;
    }
    const pause = cooperativePause();
    for (const { bytes } of readLines(path)) {
      const row = rowOf(bytes);
      if (row !== null && row < rows) marks[row] = 1;
      await pause();
    }
  }
  return marks;
}
