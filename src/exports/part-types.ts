/**
 * Parts of JSON Lines are read as one table, whose types come from the first part. A row of a later one that shows a type
 * which the first part lacks, such as the call of a tool, moves to the start of the first part.
 */

import { readLines, replaceFile } from '../lib/files.js';
import { LOOKED_AT_BYTES, MOST_LEADING_BYTES, MOST_LEADING_ROWS, SeenTypes } from './leading-rows.js';

/** Within these bytes a part shows all of its types: its own leading rows come first. */
const HEAD_BYTES = LOOKED_AT_BYTES + MOST_LEADING_BYTES;

/**
 * Moves the rows that the first part needs.
 * @param paths of the parts in their order
 * @param known has the types of columns that are typed without
 * @returns how many rows were taken from each part
 */
export async function leadAcrossParts(paths: readonly string[], known: unknown): Promise<number[]> {
  const [first, ...others] = paths;
  if (first === undefined) return [];
  const seen = new SeenTypes(known);
  for (const { value } of headOf(first)) seen.learn(value);
  const leading: string[] = [];
  const taken = [0];
  let bytes = 0;
  for (const path of others) {
    const places = new Set<number>();
    for (const { value, text, place } of headOf(path)) {
      if (!seen.learn(value) || leading.length >= MOST_LEADING_ROWS) continue;
      bytes += text.length;
      if (bytes > MOST_LEADING_BYTES) continue;
      leading.push(text);
      places.add(place);
    }
    if (places.size > 0) await rewrite(path, [], places);
    taken.push(places.size);
  }
  if (leading.length > 0) await rewrite(first, leading, new Set());
  return taken;
}

function* headOf(path: string): Generator<{ value: unknown; text: string; place: number }> {
  let place = 0;
  for (const { bytes, offset } of readLines(path)) {
    if (offset >= HEAD_BYTES) return;
    const text = bytes.toString('utf8');
    yield { value: JSON.parse(text) as unknown, text, place };
    place += 1;
  }
}

async function rewrite(
  path: string,
  leading: readonly string[],
  without: ReadonlySet<number>,
): Promise<void> {
  await replaceFile(path, (file) => {
    for (const line of leading) file.write(`${line}\n`);
    let place = 0;
    for (const { bytes } of readLines(path)) {
      if (!without.has(place)) {
        file.write(bytes);
        file.write('\n');
      }
      place += 1;
    }
  });
}
