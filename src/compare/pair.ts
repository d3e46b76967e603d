/** Two annotators' answers to the same rows, side by side in the form in which old and new answers are judged. */

import { existsSync } from 'node:fs';
import { readResults, type ResultRow } from '../exports/rows.js';
import { readLines, replaceFile } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { RowVerdicts } from './ranking.js';

/**
 * Writes a `reannotated.json` whose old answers are those of one annotator, and whose new ones those of another.
 * @param one path of its own `reannotated.json`
 */
export async function writePair(one: string, other: string, path: string): Promise<void> {
  const answers = await answersIn(one);
  await replaceFile(path, async (file) => {
    let row = 0;
    file.write('[');
    await readAll(other, (result) => {
      const pair = { ...result, annotation_original: answers[row] ?? null, annotation: result.annotation };
      file.write(`${row === 0 ? '' : ','}\n${JSON.stringify(pair)}`);
      row += 1;
    });
    file.write('\n]\n');
  });
}

async function answersIn(path: string): Promise<(string | null)[]> {
  const answers: (string | null)[] = [];
  await readAll(path, ({ annotation }) => answers.push(annotation));
  return answers;
}

async function readAll(path: string, onRow: (row: ResultRow) => void): Promise<void> {
  await readResults({ path, onProgress: () => undefined }, (line) => {
    onRow(line.parse());
  });
}

const VERDICTS: Readonly<Record<string, RowVerdicts[number]>> = { old: 'one', new: 'other', tie: 'tie' };

/** The verdicts of a `judgements.jsonl`, by row; rows that were not judged have none. */
export function verdictsIn(path: string): Map<number, RowVerdicts[number]> {
  const verdicts = new Map<number, RowVerdicts[number]>();
  if (!existsSync(path)) return verdicts;
  for (const { bytes } of readLines(path)) {
    const line = parseJson(bytes.toString('utf8'));
    if (!isObject(line) || typeof line['request_idx'] !== 'number') continue;
    verdicts.set(line['request_idx'], VERDICTS[String(line['verdict'])] ?? null);
  }
  return verdicts;
}
