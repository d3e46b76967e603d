/** What the formats with one JSON object a line have in common. */

import { replaceFile } from '../lib/files.js';
import type { Exported, Results } from './exporter.js';
import { leadingRows } from './leading-rows.js';
import { readResults, type ResultLine, type ResultRow } from './rows.js';

/**
 * Writes JSON Lines.
 * @param toObject the line or lines of a row; `leaveOut` with a reason where it has no place in this format
 */
export async function writeLines(
  results: Results,
  path: string,
  toObject: (row: ResultRow, leaveOut: (why: string) => null) => object | readonly object[] | null,
): Promise<Exported> {
  const leftOut = new Map<string, number>();
  const objectsOf = (line: ResultLine, leaveOut: (why: string) => null): readonly object[] => {
    const value = toObject(line.parse(), leaveOut);
    if (value === null) return [];
    return Array.isArray(value) ? (value as readonly object[]) : [value];
  };
  const leading = await leadingRows(results, null, (line) => objectsOf(line, () => null));
  let rows = 0;
  await replaceFile(path, async (file) => {
    for (const line of leading.lines) file.write(`${line}\n`);
    await readResults(results, (line) => {
      const objects = objectsOf(line, (why) => {
        leftOut.set(why, (leftOut.get(why) ?? 0) + 1);
        return null;
      });
      for (const one of objects) {
        if (!leading.places.has(rows)) file.write(`${JSON.stringify(one)}\n`);
        rows += 1;
      }
    });
  });
  return { rows, leftOut, leading: leading.lines.length };
}
