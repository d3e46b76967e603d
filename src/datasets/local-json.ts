import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { JSONParser } from '@streamparser/json';
import { UserError, messageOf } from '../errors.js';
import { kindOf } from '../formats/cells.js';
import { inert } from '../text.js';
import type { DatasetRequest, OpenDataset, SourceRow } from '../types.js';
import { columnsOf, firstRows, localDataset, select } from './local.js';

/** A JSON file: an array of rows, or an object of splits (`{"train": [...], "test": [...]}`), larger than memory. */
export async function openLocalJson(request: DatasetRequest): Promise<OpenDataset> {
  const path = request.dataset;
  const split = await findSplit(path, request.split);
  const first = await firstRows(jsonRows(path, split));
  const good = first.filter((row) => 'value' in row).map((row) => row.value);
  const problem = first.find((row) => 'problem' in row);
  if (good.length === 0 && problem !== undefined) throw new UserError(`${path}: ${problem.problem}.`);
  const rows: OpenDataset['rows'] = (selection) => select(jsonRows(path, split), selection);
  return { ...localDataset(columnsOf(good), first.length === 0 ? 0 : null, rows), split };
}

/** The split to read; null where the file is an array. */
async function findSplit(path: string, wanted: string | null): Promise<string | null> {
  const start = await firstCharacter(path);
  if (start === null) throw new UserError(`${path} is empty.`);
  if (start === '[') {
    if (wanted !== null && wanted !== 'train') {
      throw new UserError(`${path} is an array without splits; leave --split ${inert(wanted, 40)} out.`);
    }
    return null;
  }
  if (start !== '{') throw new UserError(`${path} is not JSON: it begins with "${inert(start, 4)}".`);
  return wanted ?? 'train';
}

async function firstCharacter(path: string): Promise<string | null> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    const text = buffer
      .toString('utf8', 0, bytesRead)
      .replace(/^\ufeff/, '')
      .trimStart();
    return text === '' ? null : String.fromCodePoint(text.codePointAt(0) ?? 0);
  } finally {
    await handle.close();
  }
}

/** What the parser has found and nobody has taken yet. */
interface Found {
  rows: SourceRow[];
  /** Top-level names of an object that hold arrays or objects. */
  names: Set<string>;
  seenSplit: boolean;
  count: number;
}

async function* jsonRows(path: string, split: string | null): AsyncGenerator<SourceRow> {
  const found: Found = { rows: [], names: new Set(), seenSplit: false, count: 0 };
  const parser = makeParser(found, split, basename(path));
  const stream = createReadStream(path, { highWaterMark: 1 << 18 });
  let isFirst = true;
  let bytesRead = 0;
  for await (const chunk of stream) {
    let bytes = chunk as Buffer;
    bytesRead += bytes.length;
    if (isFirst && bytes.length >= 3 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
      bytes = bytes.subarray(3);
    isFirst = false;
    feed(parser, bytes, path, found, bytesRead);
    yield* found.rows;
    found.rows = [];
  }
  if (!parser.isEnded) throw incomplete(path, found);
  if (split !== null && !found.seenSplit) throw noSplit(path, split, found.names);
}

function makeParser(found: Found, split: string | null, name: string): JSONParser {
  const paths = split === null ? ['$.*'] : ['$.*.*'];
  const parser = new JSONParser({ paths, keepStack: false, emitPartialTokens: false });
  parser.onValue = ({ value, key, stack }) => {
    if (split !== null) {
      const top = stack[1]?.key;
      if (typeof top === 'string') found.names.add(top);
      if (top !== split) return;
      found.seenSplit = true;
      if (typeof key === 'string')
        throw new UserError(`"${inert(split, 40)}" in ${name} is an object, not an array of rows.`);
    }
    const index = found.count;
    found.count += 1;
    found.rows.push(rowOf(value, index, name));
  };
  return parser;
}

function rowOf(value: unknown, index: number, name: string): SourceRow {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return { index, value: value as Record<string, unknown> };
  }
  return { index, problem: `row ${index} of ${name} is ${kindOf(value)}, not an object` };
}

function feed(parser: JSONParser, bytes: Buffer, path: string, found: Found, bytesRead: number): void {
  if (parser.isEnded) {
    if (bytes.toString('utf8').trim() !== '') {
      throw new UserError(
        `${path} is not JSON: text follows its end. A file of one object a line is named .jsonl.`,
      );
    }
    return;
  }
  try {
    parser.write(bytes);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const reason = inert(messageOf(error), 160);
    throw new UserError(
      `${path} is not JSON: ${reason} (after row ${found.count}, near byte ${bytesRead}). ` +
        'A file of one object a line is named .jsonl.',
    );
  }
}

function incomplete(path: string, found: Found): UserError {
  return new UserError(`${path} is not complete JSON: it ends after row ${found.count}.`);
}

function noSplit(path: string, split: string, names: Set<string>): UserError {
  const known = [...names]
    .slice(0, 20)
    .map((name) => inert(name, 40))
    .join(', ');
  const has = known === '' ? 'no array of rows' : known;
  return new UserError(`${path} has no split "${inert(split, 40)}"; it has ${has}. Name one with --split.`);
}
