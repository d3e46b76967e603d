/** The rows of a complete `reannotated.json`, read back one by one: the file is ours, and has one row a line. */

import { UserError } from '../lib/errors.js';
import { cooperativePause, endOfLine, readBlocks } from '../lib/files.js';
import type { ChatMessage, RowState, ToolCall } from '../types.js';
import type { Results } from './exporter.js';

const OPENING_BRACE = 0x7b;
const COMMA = 0x2c;
/** How half of a surrogate pair is written in JSON, as it may be in an answer; a text may hold the same letters. */
const MAYBE_HALF_A_PAIR = Buffer.from('\\ud');

/** A row of `reannotated.json`. */
export interface ResultRow {
  system_prompt: string;
  /** Null where the dataset's row can't be used. */
  user_prompt: string | null;
  annotation_original: string | null;
  /** The request of a chat of several turns; present in all rows of a file where a row has one. */
  request_messages?: ChatMessage[] | null;
  /** Definitions of tools as JSON text; this key and those of calls are in all rows of a file where a row has some. */
  tools?: string | null;
  annotation_original_tool_calls?: ToolCall[] | null;
  /** References to the images at the `<image>` marks of the user turns. */
  images?: string[] | null;
  /** Other columns of the dataset. */
  source?: unknown;
  annotation: string | null;
  annotation_tool_calls?: ToolCall[] | null;
  /** Present in all rows of a file where a row has some; null where a row has none. */
  reasoning?: string | null;
  annotations?: (string | null)[];
  reasonings?: (string | null)[];
  /** Present in runs with `--check answer`: whether the final answer is the original's. */
  agrees?: boolean | null;
  metadata?: { state: RowState; model: string | null; finish_reason: string | null; usage: unknown };
}

/** The line of a row. */
export class ResultLine {
  constructor(
    /** The row as JSON without a line end, all of its text well-formed; valid until the next line is read. */
    readonly json: Buffer,
    /** Its number in the run. */
    readonly row: number,
    private readonly path: string,
  ) {}

  /** The row itself. */
  parse(): ResultRow {
    const row = parse(this.json, this.row, this.path) as ResultRow & { messages?: ChatMessage[] };
    // Version 0.1 called a chat's request `messages`.
    if (row.messages !== undefined) row.request_messages ??= row.messages;
    return row;
  }
}

/** Reads all rows in their order that are not dropped; with a review those that it does not reject, as it has them. */
export async function readResults(
  {
    path,
    review = null,
    dropped = null,
    onProgress,
  }: Pick<Results, 'path' | 'review' | 'dropped' | 'onProgress'>,
  onRow: (line: ResultLine) => void,
): Promise<void> {
  const pause = cooperativePause();
  let rows = 0;
  for (const { bytes } of readBlocks(path)) {
    for (let start = 0; start < bytes.length;) {
      const end = endOfLine(bytes, start);
      // The other lines are the array's brackets.
      if (bytes[start] === OPENING_BRACE) {
        const json = bytes.subarray(start, bytes[end - 1] === COMMA ? end - 1 : end);
        if (review?.rejected.has(rows) !== true && dropped?.has(rows) !== true) {
          const edited = review?.edited.get(rows);
          const own = wellFormed(json, rows, path);
          onRow(new ResultLine(edited === undefined ? own : withAnswer(own, edited, rows, path), rows, path));
        }
        rows += 1;
      }
      start = end + 1;
    }
    onProgress(rows);
    await pause();
  }
}

function withAnswer(json: Buffer, annotation: string, row: number, path: string): Buffer {
  return Buffer.from(JSON.stringify({ ...(parse(json, row, path) as ResultRow), annotation }));
}

/** A single answer with half of a surrogate pair would make Arrow and others refuse the whole file. */
function wellFormed(json: Buffer, row: number, path: string): Buffer {
  if (!json.includes(MAYBE_HALF_A_PAIR)) return json;
  // A reviver keeps keys such as `__proto__` mere keys.
  const value = parse(json, row, path, (_, one) => (typeof one === 'string' ? one.toWellFormed() : one));
  return Buffer.from(JSON.stringify(value));
}

function parse(
  json: Buffer,
  row: number,
  path: string,
  reviver?: (key: string, value: unknown) => unknown,
): unknown {
  try {
    return JSON.parse(json.toString('utf8'), reviver);
  } catch (error) {
    throw new UserError(`Row ${row} of ${path} can't be read; --resume rewrites the file.`, undefined, {
      cause: error,
    });
  }
}
