/** What the formats with one JSON object a line have in common. */

import { replaceFile } from '../lib/files.js';
import type { Exported, Results } from './exporter.js';
import { readResults, type ResultRow } from './rows.js';

/**
 * Writes JSON Lines.
 * @param toObject the line or lines of a row; `leaveOut` with a reason where it has no place in this format
 */
export async function writeLines(
  results: Results,
  path: string,
  toObject: (row: ResultRow, leaveOut: (why: string) => null) => object | readonly object[] | null,
): Promise<Exported> {
  const exported: Exported = { rows: 0, leftOut: new Map() };
  const leaveOut = (why: string): null => {
    exported.leftOut.set(why, (exported.leftOut.get(why) ?? 0) + 1);
    return null;
  };
  await replaceFile(path, async (file) => {
    await readResults(results, (line) => {
      const value = toObject(line.parse(), leaveOut);
      if (value === null) return;
      for (const one of Array.isArray(value) ? (value as readonly object[]) : [value]) {
        file.write(`${JSON.stringify(one)}\n`);
        exported.rows += 1;
      }
    });
  });
  return exported;
}
