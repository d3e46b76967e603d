/** Files of somebody who means it ill: datasets in every format, each read by the whole program. */

import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { it, vi } from 'vitest';
import { foldersIn, temporaryFolder } from '../support/cli.js';
import { hostileRun, hostileServer } from '../support/hostile-run.js';
import { completion } from '../support/scripted-api.js';
import {
  CONVERTED,
  craftedParquet,
  ENCODINGS,
  growingTexts,
  plainText,
  run,
} from '../support/parquet-file.js';
import { MEGABYTE, playHostile, repeated, type Cases } from './hostile.js';

vi.setConfig({ testTimeout: 3_600_000 });

/** Just below what a row may have. */
const ROW = 23 * MEGABYTE;
const HUGE = 700 * MEGABYTE;
const LINE = '{"prompt":"fine","response":"r"}\n';
const FLAGS = ['--prompt_column', 'prompt', '--response_column', 'response'];

type Write = (path: string) => void;

const written =
  (pieces: () => Iterable<string>): Write =>
  (path) => {
    const file = openSync(path, 'w');
    for (const piece of pieces()) writeSync(file, piece);
    closeSync(file);
  };
/** A file that repeats a text between two others. */
const filled = (text: string, bytes: number, before = '', after = ''): Write =>
  written(() => repeated(text, bytes, before, after));
const jsonl = (text: string, bytes: number, before: string, after: string): Write =>
  filled(text, bytes, `${LINE}${before}`, `${after}\n${LINE}`);
const json = (text: string, bytes: number, before: string, after: string): Write =>
  filled(text, bytes, `[${LINE},${before}`, `${after},${LINE}]`);
const bytes =
  (make: () => Uint8Array): Write =>
  (path) => {
    writeFileSync(path, make());
  };
/** Zeros take no room on the disk. */
const zeros: Write = (path) => {
  const file = openSync(path, 'w');
  writeSync(file, LINE);
  ftruncateSync(file, 3 * 1024 * MEGABYTE);
  closeSync(file);
};

const PROMPT: [string, string] = ['{"response":"r","prompt":"', '"}'];
const OTHER: [string, string] = ['{"prompt":"p","response":"r","x":[', '0]}'];
const ESCAPES = '\\u0073%6b&#45;';
const dictionary = { bytes: plainText('hi'), claimedValues: 1 };
const columns = ['prompt', 'response'];

/** Lines in blocks as they are, with a window that is described by a byte (RFC 8878, 3.1.1.1.2). */
function zstdFrame(window: number, lines: number): Buffer {
  const blocks = Array.from({ length: lines }, (_, place) => {
    const header = Buffer.alloc(3);
    header.writeUIntLE((LINE.length << 3) | (place === lines - 1 ? 1 : 0), 0, 3);
    return Buffer.concat([header, Buffer.from(LINE)]);
  });
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, window]), ...blocks]);
}

const SMALL_PARQUET = new Uint8Array(
  parquetWriteBuffer({ columnData: columns.map((name) => ({ name, data: ['a'], type: 'STRING' as const })) }),
);

function folderOf(
  count: number,
  file: (place: number) => [name: string, content: string | Uint8Array],
): Write {
  return (path) => {
    mkdirSync(path);
    for (let place = 0; place < count; place++) {
      const [name, content] = file(place);
      writeFileSync(join(path, name), content);
    }
  };
}

/** Lists of numbers in the prompts of some rows, among small ones of others. */
function longList(
  count: number,
  pageSize: number,
  number = (place: number): bigint => BigInt(place) * 1_000_003n,
  longRows = 1,
): Uint8Array {
  const long = Array.from({ length: count }, (_, place) => number(place));
  const prompts = Array.from({ length: 25 }, (_, row) => (row > 3 && row < 4 + longRows ? long : [1n, 2n]));
  const schema = [
    { name: 'root', num_children: 2 },
    { name: 'prompt', repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'INT64', repetition_type: 'OPTIONAL' },
    { name: 'response', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  ] as const;
  const columnData = [
    { name: 'prompt', data: prompts },
    { name: 'response', data: prompts.map(() => 'r') },
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData, schema: [...schema], pageSize }));
}

const FILES: Record<string, [file: string, write: Write]> = {
  'a line of 700 MB': ['a.jsonl', jsonl('x', HUGE, ...PROMPT)],
  'a line of zeros, 3 GB': ['a.jsonl', zeros],
  'a prompt of 23 MB': ['a.jsonl', jsonl('x', ROW, ...PROMPT)],
  'a prompt of 23 MB beyond ASCII': ['a.jsonl', jsonl('é', ROW, ...PROMPT)],
  'a prompt of escapes': ['a.jsonl', jsonl(ESCAPES, ROW, ...PROMPT)],
  'a prompt of line ends': ['a.jsonl', jsonl('\\n', ROW, ...PROMPT)],
  'a prompt of hidden characters': ['a.jsonl', jsonl('\u2060\u202e', ROW, ...PROMPT)],
  'a line of numbers': ['a.jsonl', jsonl('0,', ROW, ...OTHER)],
  'a line of fewer numbers': ['a.jsonl', jsonl('1.0,', 1.9 * MEGABYTE, '{"response":"r","prompt":[', '0]}')],
  'a line of lists': ['a.jsonl', jsonl('[],', ROW, ...OTHER)],
  'a line of opening brackets': ['a.jsonl', jsonl('[', ROW, ...OTHER)],
  'opening brackets as a prompt': ['a.jsonl', jsonl('[', MEGABYTE, '{"response":"r","prompt":', '}')],
  'a line of names': [
    'a.jsonl',
    written(() => [
      LINE,
      '{',
      ...Array.from({ length: 900_000 }, (_, index) => `"k${index}":1,`),
      '"z":1}\n',
    ]),
  ],
  'a line of spaces': ['a.jsonl', jsonl(' ', HUGE, '', '')],
  'an element of 700 MB': ['a.json', json('x', HUGE, ...PROMPT)],
  'an element of quotes': ['a.json', json('\\"', HUGE, ...PROMPT)],
  'an element of numbers': ['a.json', json('0,', ROW, ...OTHER)],
  'an array of numbers': ['a.json', filled('0,', HUGE / 4, '[', '0]')],
  'an array of lists': ['a.json', filled('[],', HUGE / 4, '[', '0]')],
  'brackets alone': ['a.json', filled('[', HUGE / 4)],
  'spaces before an array': ['a.json', filled(' ', HUGE, '', `[${LINE}]`)],
  'a split that is not read': [
    'a.json',
    filled('{"a":[]},', HUGE / 2, '{"other":[', `{}],"train":[${LINE}]}`),
  ],
  'a value that is no split': ['a.json', filled('x', HUGE, '{"info":"', `","train":[${LINE}]}`)],
  'a name of 700 MB': ['a.json', filled('x', HUGE, '{"', `":[${LINE}]}`)],
  'a quote that is not closed': ['a.csv', filled('x\n', HUGE, 'prompt,response\n"', '')],
  'a record of 700 MB': ['a.csv', filled('x\n', HUGE, 'prompt,response\n"', '",r\na,b\n')],
  'a record of delimiters': ['a.csv', filled(',', HUGE / 4, 'prompt,response\n', '\na,b\n')],
  'a cell of quotes': ['a.csv', filled('""', ROW, 'prompt,response\n"', '",r\na,b\n')],
  'a cell of escaped quotes': ['a.csv', filled('\\"x', ROW, 'prompt,response\n"', '",r\na,b\n')],
  'a header of a million columns': ['a.csv', filled('a,', 2 * MEGABYTE, 'prompt,response,', 'z\n1,2\n')],
  'a header of 700 MB': ['a.csv', filled('a,', HUGE / 4, '', 'z\n1,2\n')],
  'a million cells a record': [
    'a.csv',
    filled(`x,y${','.repeat(90_000)}\n`, 90 * MEGABYTE, 'prompt,response\n'),
  ],
  'a run that claims 400 million values': [
    'a.parquet',
    bytes(() =>
      craftedParquet(columns, 400_000_000, {
        bytes: Buffer.concat([Buffer.of(1), run(400_000_000, 0)]),
        claimedValues: 400_000_000,
        encoding: ENCODINGS.dictionary,
        dictionary,
      }),
    ),
  ],
  'a run that hides 400 million values': [
    'a.parquet',
    bytes(() =>
      craftedParquet(columns, 1, {
        bytes: Buffer.concat([Buffer.of(1), run(400_000_000, 0)]),
        claimedValues: 1,
        encoding: ENCODINGS.dictionary,
        dictionary,
      }),
    ),
  ],
  'texts that grow': ['a.parquet', bytes(() => craftedParquet(columns, 300_000, growingTexts(300_000)))],
  'a page that unpacks to 500 MB': [
    'a.parquet',
    bytes(() => {
      const text = plainText('x'.repeat(500 * MEGABYTE));
      const packed = gzipSync(text);
      return craftedParquet(columns, 1, {
        bytes: packed,
        claimedSize: text.length,
        claimedValues: 1,
        encoding: ENCODINGS.plain,
        gzip: true,
      });
    }),
  ],
  'a cell of 60 MB': [
    'a.parquet',
    bytes(() => {
      const data = ['x'.repeat(60 * MEGABYTE), 'fine'];
      return new Uint8Array(
        parquetWriteBuffer({ columnData: columns.map((name) => ({ name, data, type: 'STRING' as const })) }),
      );
    }),
  ],
  'a list of ten million numbers in one page': ['a.parquet', bytes(() => longList(10_000_000, 1 << 30))],
  'a list of ten million numbers in many pages': ['a.parquet', bytes(() => longList(10_000_000, 1 << 20))],
  'a list of ten million times the same number': [
    'a.parquet',
    bytes(() => longList(10_000_000, 1 << 30, () => 0n)),
  ],
  'lists of as many numbers as a row may hold': [
    'a.parquet',
    bytes(() => longList(499_000, 1 << 20, undefined, 20)),
  ],
  'a cell of ten million decimals': [
    'a.parquet',
    bytes(() => {
      const json = Buffer.from(`[${'0.5,'.repeat(10_000_000)}0]`);
      const page = Buffer.concat([Buffer.alloc(4), json]);
      page.writeUInt32LE(json.length);
      const claims = { claimedValues: 1, encoding: ENCODINGS.plain, meaning: CONVERTED.json };
      return craftedParquet(columns, 1, { bytes: page, ...claims });
    }),
  ],
  'a folder of 99,999 files': ['data', folderOf(99_999, (place) => [`${place}.jsonl`, LINE])],
  'a folder of 99,999 Parquet files': [
    'data',
    folderOf(99_999, (place) => [`${place}.parquet`, SMALL_PARQUET]),
  ],
  'a folder of 99,999 splits': [
    'data',
    folderOf(99_999, (place) => [`n${place}-00000-of-00001.csv`, 'prompt,response\na,b\n']),
  ],
  'zstd frames with windows of 128 MB': [
    'a.jsonl.zst',
    bytes(() => Buffer.concat(Array(100).fill(zstdFrame(17 << 3, 1)))),
  ],
  'a zstd frame of small blocks with such a window': ['a.jsonl.zst', bytes(() => zstdFrame(17 << 3, 2000))],
  'zstd frames of which the last claims a gigabyte': [
    'a.jsonl.zst',
    bytes(() => Buffer.concat([zstdFrame(0, 1), zstdFrame(20 << 3, 1)])),
  ],
  'a gzip bomb': ['a.jsonl.gz', bytes(() => gzipSync(Buffer.alloc(HUGE, ' ')))],
  'a cell of three million numbers': [
    'a.parquet',
    bytes(() => {
      const prompts = {
        name: 'prompt',
        data: [Array.from({ length: 3_000_000 }, () => 0), [1]],
        type: 'JSON' as const,
      };
      const responses = { name: 'response', data: ['r', 'r'], type: 'STRING' as const };
      return new Uint8Array(parquetWriteBuffer({ columnData: [prompts, responses] }));
    }),
  ],
};

it('no file makes the program use much memory or miss a signal', async () => {
  const cases: Cases = Object.fromEntries(
    Object.entries(FILES).map(([name, [file, write]]) => [
      name,
      async () => {
        const folder = temporaryFolder();
        const path = join(folder, file);
        write(path);
        const api = await hostileServer((_, response) => {
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(JSON.stringify(completion('x')));
        });
        const server = ['--base_url', `${api.url}/v1`, '--max_attempts', '1', '--request_timeout', '10'];
        return hostileRun(['--dataset', path, ...FLAGS, ...server, '--limit', '1000', ...foldersIn(folder)], {
          env: { OPENAI_API_KEY: 'sk-test-key-0001-abcdEFGH' },
        });
      },
    ]),
  );
  await playHostile('hostile files: huge, deep, wide, torn, lying', cases, [
    'a run that claims 400 million values',
  ]);
});
