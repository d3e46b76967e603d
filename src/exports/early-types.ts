/**
 * What reads JSON Lines into a table takes each column's type from the first megabytes (10 MB for `datasets`), and fails
 * where a column that was null so far has a value later. So the first row has a value wherever no other does in time.
 */

import { readFileSync } from 'node:fs';
import { endOfLine, replaceFile } from '../lib/files.js';
import { requestMessages } from './chat.js';
import { LOOKED_AT_BYTES } from './leading-rows.js';
import type { ResultRow } from './rows.js';

/** Columns of text: an empty one says as little as null. Calls of tools have no such value. */
const TEXTS = ['user_prompt', 'annotation_original', 'annotation', 'reasoning', 'tools'] as const;

/** What the first row may be given; a call of a tool cannot be made up, so other types come with the rows that have them. */
export const TYPED_FIRST_ROW = {
  ...Object.fromEntries(['system_prompt', ...TEXTS].map((name) => [name, ''])),
  request_messages: [{ role: '', content: '' }],
};

/** Holds the first rows back until it is known what their columns need. */
export class EarlyTypes {
  #held: Buffer[] = [];
  #bytes = 0;
  #first: ResultRow | null = null;
  /** Columns that were null in all rows so far. */
  #untyped: (keyof ResultRow)[] = [];
  #isDone = false;

  /**
   * @param json a row, valid until the next one is read
   * @param parse gives the row itself
   * @returns the lines that can be written now
   */
  add(json: Buffer, parse: () => ResultRow): readonly Buffer[] {
    if (this.#isDone) return [json];
    const row = parse();
    this.#held.push(Buffer.from(json));
    this.#bytes += json.length;
    if (this.#first === null) {
      this.#first = row;
      this.#untyped = [...TEXTS, 'request_messages' as const].filter((name) => row[name] === null);
    } else this.#untyped = this.#untyped.filter((name) => row[name] === null || row[name] === undefined);
    return this.#untyped.length === 0 || this.#bytes >= LOOKED_AT_BYTES ? this.end() : [];
  }

  /** After the end: the columns whose type no row shows. */
  get untyped(): readonly (keyof ResultRow)[] {
    return this.#untyped;
  }

  /** The lines that are still held. */
  end(): readonly Buffer[] {
    if (this.#isDone) return [];
    const lines = this.#held;
    // A short file is read as a whole.
    const isLong = this.#bytes >= LOOKED_AT_BYTES;
    if (isLong && this.#first !== null && this.#untyped.length > 0) {
      lines[0] = typed(this.#first, this.#untyped);
      this.#untyped = [];
    }
    this.#held = [];
    this.#isDone = true;
    return lines;
  }
}

/**
 * Gives columns of a short file a type, because other files of the same table have one: what reads a folder of files fails
 * where a column is null in one and a text in the next.
 * @param path of JSON Lines with a row
 */
export async function giveTypes(path: string, columns: readonly (keyof ResultRow)[]): Promise<void> {
  const content = readFileSync(path);
  const end = endOfLine(content, 0);
  const row = JSON.parse(content.toString('utf8', 0, end)) as ResultRow;
  // The first row may have come from another part.
  const untyped = columns.filter((name) => row[name] === null || row[name] === undefined);
  await replaceFile(path, (file) => {
    file.write(typed(row, untyped));
    file.write(content.subarray(end));
  });
}

function typed(row: ResultRow, columns: readonly (keyof ResultRow)[]): Buffer {
  const values = columns.map((name) => [name, name === 'request_messages' ? requestMessages(row) : '']);
  return Buffer.from(JSON.stringify({ ...row, ...(Object.fromEntries(values) as Partial<ResultRow>) }));
}
