/**
 * `rows.jsonl`: the run's rows with their prompts, in order, one line each. It is what makes a resumed run
 * independent of the Hub: existing means complete. A larger `--limit` replaces it as a whole by one with more rows.
 *
 * A usable row's line is the row as it will be in `reannotated.json`, without its annotation; a row that can't be
 * used is `{"problem": "…", "row": {…}}`.
 */

import { rowLine as lineOf } from './row-line.js';
import { matchesAt } from '../lib/bytes.js';
import { cooperativePause, endOfLine, readBlocks, replaceFile, type BufferedFile } from '../lib/files.js';
import type { ChosenFormat } from '../formats/index.js';
import { RowProblem } from '../formats/row-problem.js';
import { sanitize } from '../lib/text.js';
import type { PromptRow, RowImage, SourceRow } from '../types.js';

const PROBLEM_PREFIX = Buffer.from('{"problem":');

/** The rows of a file. */
export interface RowCounts {
  total: number;
  /** The positions of those that can't be used, from 0 on. */
  unusable: readonly number[];
}

/** How rows are written. */
interface RowWriting {
  format: ChosenFormat;
  /** True where the rows that the file has already stay before the new ones. */
  keep?: boolean;
  onProblem: (index: number, problem: string) => void;
  /** Called with the new rows so far. */
  onProgress?: (rows: number) => void;
}

/**
 * Writes the rows of a dataset as prompts; a crash leaves the old file or the whole new one.
 * @returns what was added, with positions among the added rows
 */
export async function writeRows(
  path: string,
  source: AsyncIterable<SourceRow>,
  { format, keep = false, onProblem, onProgress = () => undefined }: RowWriting,
): Promise<RowCounts> {
  const unusable: number[] = [];
  let total = 0;
  await replaceFile(path, async (file) => {
    if (keep) await copyInto(file, path);
    for await (const row of source) {
      const { line, problem } = rowLine(row, format);
      if (problem !== null) {
        unusable.push(total);
        onProblem(row.index, problem);
      }
      file.write(`${line}\n`);
      total += 1;
      onProgress(total);
    }
  });
  return { total, unusable };
}

async function copyInto(file: BufferedFile, path: string): Promise<void> {
  const pause = cooperativePause();
  for (const { bytes } of readBlocks(path)) {
    file.write(bytes);
    await pause();
  }
}

/** The line of a row, without its line break, and why it cannot be used; null where it can. */
export function rowLine(row: SourceRow, format: ChosenFormat): { line: string; problem: string | null } {
  if ('problem' in row) return unusableLine(sanitize(row.problem, 500), null);
  try {
    return { line: lineOf(wellFormed(format.apply(row.value))), problem: null };
  } catch (error) {
    if (!(error instanceof RowProblem)) throw error;
    const original = format.roles.response === null ? null : row.value[format.roles.response];
    return unusableLine(
      `row ${row.index}: ${sanitize(error.message, 400)}`,
      typeof original === 'string' ? original : null,
    );
  }
}

function unusableLine(problem: string, original: string | null): { line: string; problem: string } {
  const row = { system_prompt: '', user_prompt: null, annotation_original: original };
  return { line: JSON.stringify({ problem, row }), problem };
}

/** APIs refuse half a surrogate pair, which is not a character. Columns that are kept are well-formed already. */
function wellFormed(row: PromptRow): PromptRow {
  // Nearly every row is, and copying it would take longer than checking it.
  return isPlain(row) && hasWellFormedTexts(row) ? row : rewritten(row);
}

/** True for a row without turns, tools or images. */
function isPlain({ messages, tools, images, annotation_original_tool_calls: calls }: PromptRow): boolean {
  return messages === undefined && tools === undefined && images === undefined && calls === undefined;
}

function hasWellFormedTexts(row: PromptRow): boolean {
  return (
    row.system_prompt.isWellFormed() &&
    row.user_prompt.isWellFormed() &&
    row.annotation_original?.isWellFormed() !== false
  );
}

function rewritten(row: PromptRow): PromptRow {
  const { messages, tools, annotation_original_tool_calls: calls } = row;
  return {
    ...row,
    system_prompt: row.system_prompt.toWellFormed(),
    user_prompt: row.user_prompt.toWellFormed(),
    annotation_original: row.annotation_original?.toWellFormed() ?? null,
    ...(messages === undefined ? {} : { messages: messages.map(wellFormedValue) }),
    ...(tools === undefined ? {} : { tools: tools.map(wellFormedValue) }),
    ...(row.images === undefined ? {} : { images: row.images.map(wellFormedReference) }),
    ...(calls === undefined ? {} : { annotation_original_tool_calls: calls.map(wellFormedValue) }),
  };
}

function wellFormedReference({ reference, url }: RowImage): RowImage {
  return { reference: reference.toWellFormed(), url };
}

/** The same for all texts of a JSON value. */
function wellFormedValue<Value>(value: Value): Value {
  const text = JSON.stringify(value);
  // Half of a pair is always written as an escape.
  if (!text.includes('\\ud')) return value;
  return JSON.parse(text, (_, one: unknown) => (typeof one === 'string' ? one.toWellFormed() : one)) as Value;
}

/** True for the line of a row that can't be used. */
export function isUnusable(line: Buffer): boolean {
  return matchesAt(line, PROBLEM_PREFIX, 0);
}

/** A line of `rows.jsonl` that `isUnusable`. */
export interface UnusableRow {
  problem: string;
  row: { system_prompt: string; user_prompt: null; annotation_original: string | null };
}

/** Counts the rows of an existing file, and finds those that can't be used. */
export async function countRows(path: string): Promise<RowCounts> {
  const unusable: number[] = [];
  let total = 0;
  const pause = cooperativePause();
  for (const { bytes } of readBlocks(path)) {
    for (let start = 0; start < bytes.length; start = endOfLine(bytes, start) + 1) {
      if (matchesAt(bytes, PROBLEM_PREFIX, start)) unusable.push(total);
      total += 1;
    }
    await pause();
  }
  return { total, unusable };
}
