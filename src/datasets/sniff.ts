/** What a file holds whose name does not say, by its first bytes: standard input, `.txt`, and files without an ending. */

import { findFirst } from '../formats/column-names.js';
import { PROMPT_NAMES } from '../formats/shapes.js';
import { parseJson } from '../lib/json.js';
import { readStart } from '../lib/files.js';
import type { Compression, FileKind } from './file-names.js';

const LOOKED_AT_BYTES = 1 << 16;

const COMPRESSIONS: readonly (readonly [Compression, Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ['bzip2', Buffer.from('BZh')],
];

/** Begins an Arrow stream, too: a message's length follows. */
const BINARY: readonly (readonly [FileKind, Buffer])[] = [
  ['parquet', Buffer.from('PAR1')],
  ['arrow', Buffer.from('ARROW1')],
  ['arrow', Buffer.from([0xff, 0xff, 0xff, 0xff])],
];

/** How a file is compressed; null where it is not, or in a way that is not known. */
export function sniffCompression(path: string): Compression | null {
  const start = readStart(path, 8);
  return COMPRESSIONS.find(([, magic]) => start.subarray(0, magic.length).equals(magic))?.[0] ?? null;
}

/** What a file holds: lines of text where nothing else fits. */
export function sniffKind(path: string): FileKind {
  const start = readStart(path, LOOKED_AT_BYTES);
  const binary = BINARY.find(([, magic]) => start.subarray(0, magic.length).equals(magic));
  if (binary !== undefined) return binary[0];
  const text = start
    .toString('utf8')
    .replace(/^\ufeff/, '')
    .trimStart();
  if (text.startsWith('[')) return 'json';
  const [first = ''] = text.split(/\r?\n/, 1);
  if (text.startsWith('{')) return isWholeObject(first, start.length === LOOKED_AT_BYTES) ? 'jsonl' : 'json';
  return isHeader(first) ? 'csv' : 'text';
}

/** True for a line that is an object, or that is too long to check. */
function isWholeObject(line: string, isCut: boolean): boolean {
  return parseJson(line) !== undefined || (isCut && Buffer.byteLength(line) >= LOOKED_AT_BYTES - 8);
}

/** True for a first line of several short names of which one is that of a prompt's column. */
function isHeader(line: string): boolean {
  return [',', ';', '\t', '|'].some((delimiter) => {
    const names = line.split(delimiter).map((name) => name.replace(/^\s*"|"\s*$/g, '').trim());
    const areNames = names.length > 1 && names.every((name) => /^[\w .-]{1,60}$/.test(name));
    return areNames && findFirst(names, PROMPT_NAMES) !== null;
  });
}
