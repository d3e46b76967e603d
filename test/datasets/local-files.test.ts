import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  Dictionary,
  Int64,
  List,
  makeBuilder,
  makeData,
  makeVector,
  Struct,
  Table,
  TimestampMicrosecond,
  tableFromArrays,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
  Int32,
  Field,
} from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { localFiles, openDataset } from '../../src/datasets/index.js';
import { cpuTimeOf } from '../support/cpu-time.js';
import { chooseSplit, splitOfPath } from '../../src/datasets/splits.js';
import { ArrowFile } from '../../src/datasets/arrow.js';
import { columnarOpener } from '../../src/datasets/local-columnar.js';
import { ParquetProcess } from '../../src/datasets/parquet-process.js';
import { UnpackedFiles } from '../../src/datasets/unpacked.js';
import type { OpenDataset, RowSelection } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

const HUB = { endpoint: '', datasetsServerUrl: '', token: null };
const ignore = (): void => undefined;
const silent = { debug: ignore, info: ignore, warning: ignore, error: ignore };

interface Folder {
  path: string;
  open: (name: string, split?: string) => Promise<OpenDataset>;
}

/** A folder with files of these contents. */
function folderOf(files: Record<string, string | Uint8Array>): Folder {
  const path = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return {
    path,
    open: (name, split) =>
      openDataset(
        { dataset: join(path, name), subset: null, split: split ?? null, workFolder: join(path, 'work') },
        HUB,
        silent,
      ),
  };
}

async function rowsOf(dataset: OpenDataset, selection: Partial<RowSelection> = {}): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const row of dataset.rows({ columns: dataset.columns, offset: 0, limit: null, ...selection })) {
    rows.push('value' in row ? { '#': row.index, ...row.value } : row.problem);
  }
  return rows;
}

const jsonl = (...rows: object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const ROWS = jsonl({ prompt: '2+2?', completion: '4' }, { prompt: '3+3?', completion: '6' });
const READ = [
  { '#': 0, prompt: '2+2?', completion: '4' },
  { '#': 1, prompt: '3+3?', completion: '6' },
];

/** The same rows as `zstd` and `bzip2` compress them, whole and as two frames or streams that follow each other. */
const PACKED = {
  'a.jsonl.gz': gzipSync(ROWS),
  'two.jsonl.gz': Buffer.concat([gzipSync(ROWS.slice(0, 35)), gzipSync(ROWS.slice(35))]),
  'a.jsonl.zst': Buffer.from(
    'KLUv/SBGpQEApAJ7InByb21wdCI6IjIrMj8iLCJjb21wbGV0aW9uIjoiNCJ9CjMrMzYifQoCAGCOmVg9AQ==',
    'base64',
  ),
  'two.jsonl.zst': Buffer.from(
    'KLUv/SAjGQEAeyJwcm9tcHQiOiIyKzI/IiwiY29tcGxldGlvbiI6IjQifQootS/9ICMZAQB7InByb21wdCI6IjMrMz8iLCJjb21wbGV0aW9uIjoiNiJ9Cg==',
    'base64',
  ),
  'a.jsonl.bz2': Buffer.from(
    'QlpoOTFBWSZTWRbhOaMAACFZgAAQEAwdEIon1AogAEhKKaaNPU2oeo8oJUAAANKGGCSDBQ75fKOqqJa2hAxJIkFElGBZAEEHHxdyRThQkBbhOaM=',
    'base64',
  ),
  'two.jsonl.bz2': Buffer.from(
    'QlpoOTFBWSZTWanhV8cAABDZgAAQEAwUEIon1AogACImoyb1TaJ6T8oUwmmgNMRAMZCiMND06eQTSUUH8ZKvBdyRThQkKnhV8cBCWmg5MUFZJlNZsNZVXgAAENmAABAQDAkQiifUCiAAIiajJvVNonpPyhTCaaA0xEAxkKIw0PTp5BNJRQfxkq8F3JFOFCQsNZVXgA==',
    'base64',
  ),
};

const zstdFrame = (windowLog: number, blocks: Buffer[], flags = 0, checksum = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, flags, (windowLog - 10) << 3]), ...blocks, checksum]);
const zstdHeader = (size: number, type: number, isLast: boolean): Buffer => {
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (type << 1) | (isLast ? 1 : 0), 0, 3);
  return header;
};
const zstdBlock = (text: string, isLast = false): Buffer =>
  Buffer.concat([zstdHeader(Buffer.byteLength(text), 0, isLast), Buffer.from(text)]);
const zstdRun = (character: string, times: number): Buffer =>
  Buffer.concat([zstdHeader(times, 1, false), Buffer.from(character)]);
const zstdSkipped = (bytes: number): Buffer => {
  const header = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  header.writeUInt32LE(bytes, 4);
  return header;
};
const WHOLE_FRAME = zstdFrame(17, [zstdBlock(ROWS, true)]);
const REFUSED_ZSTD: Readonly<Record<string, [Buffer, string]>> = {
  'a zstd frame that claims a window of two gigabytes': [
    zstdFrame(31, [zstdBlock(ROWS, true)]),
    'it needs a window of more than 128 MB',
  ],
  'a later frame that does': [
    Buffer.concat([WHOLE_FRAME, zstdSkipped(0), zstdFrame(30, [zstdBlock(ROWS, true)])]),
    'it needs a window of more than 128 MB',
  ],
  'one in a single segment of three gigabytes': [
    Buffer.concat([WHOLE_FRAME, Buffer.from('KLUv/aAAAADA', 'base64'), zstdBlock(ROWS, true)]),
    'it needs a window of more than 128 MB',
  ],
  'a run longer than a block may be': [
    zstdFrame(17, [zstdRun(' ', 2_000_000), zstdBlock(ROWS, true)]),
    'it has a block of more than 128 KB',
  ],
  'a frame to skip that is longer than the file': [
    Buffer.concat([WHOLE_FRAME, zstdSkipped(0xffffffff)]),
    'it ends too early',
  ],
  'something else after a frame': [
    Buffer.concat([WHOLE_FRAME, Buffer.from('more than a header')]),
    'it holds something that is not Zstandard',
  ],
};

describe('compressed files', () => {
  it.each(Object.entries(PACKED))('%s is read, twice and in part', async (name, content) => {
    const folder = folderOf({ [name]: content });
    const dataset = await folder.open(name);
    expect(dataset.totalRows).toBe(2);
    expect(await rowsOf(dataset)).toEqual(READ);
    expect(await rowsOf(dataset, { offset: 1, limit: 5 })).toEqual(READ.slice(1));
  });

  it.each(['csv', 'tsv', 'json', 'ndjson'])('.%s.gz is read as its inner ending says', async (ending) => {
    const cells = [
      ['prompt', 'completion'],
      ['2+2?', '4'],
      ['3+3?', '6'],
    ];
    const delimiter = ending === 'tsv' ? '\t' : ',';
    const content = ending.endsWith('json') ? ROWS : cells.map((row) => row.join(delimiter)).join('\n');
    const dataset = await folderOf({ [`a.${ending}.gz`]: gzipSync(content) }).open(`a.${ending}.gz`);
    expect(await rowsOf(dataset)).toEqual(READ);
  });

  it('only one of many is unpacked at a time', async () => {
    const names = Array.from({ length: 5 }, (_, place) => `part-${place}.jsonl.gz`);
    const folder = folderOf(Object.fromEntries(names.map((name) => [name, gzipSync(ROWS)])));
    const listeners = process.listenerCount('exit');
    const dataset = await folder.open('.');
    let most = 0;
    for await (const row of dataset.rows({ columns: ['prompt'], offset: 0, limit: null })) {
      most = Math.max(most, readdirSync(join(folder.path, 'work')).length, row.index < 0 ? 99 : 0);
    }
    expect(most).toBe(1);
    expect(dataset.totalRows).toBe(10);
    expect(process.listenerCount('exit')).toBe(listeners + 1);
  });

  it.each(Object.entries(PACKED))(
    '%s, cut off or damaged, is an error that names it',
    async (name, content) => {
      const bytes = Buffer.from(content);
      const damages = [bytes.subarray(0, bytes.length - 9), bytes.subarray(0, 12), Buffer.from('no archive')];
      for (const [place, damaged] of damages.entries()) {
        const file = `${place}-${name}`;
        const folder = folderOf({ [file]: damaged });
        await expect(folder.open(file)).rejects.toThrow(
          new RegExp(`${file} cannot be unpacked as \\w+: .*download it again`),
        );
        expect(readdirSync(join(folder.path, 'work'))).toEqual([]);
      }
    },
  );

  it('a file that unpacks to many times its size is refused', async () => {
    const folder = folderOf({ 'a.jsonl.gz': gzipSync(Buffer.alloc(4 << 20, ' ')) });
    const path = join(folder.path, 'a.jsonl.gz');
    const unpacked = new UnpackedFiles(join(folder.path, 'work'), { bytes: 1 << 20, ratio: 100 });
    await expect(unpacked.pathOf({ path, shown: path }, 'gzip', undefined)).rejects.toThrow(
      /unpacks to more than 1 MB/,
    );
    expect(readdirSync(join(folder.path, 'work'))).toEqual([]);
  });

  it.each(Object.entries(REFUSED_ZSTD))('%s is refused', async (_, [content, problem]) => {
    await expect(folderOf({ 'a.jsonl.zst': content }).open('a.jsonl.zst')).rejects.toThrow(
      `a.jsonl.zst cannot be unpacked as zstd: ${problem}`,
    );
  });

  it('zstd frames may have a checksum, empty blocks, runs, and frames to skip between them', async () => {
    const runs = zstdFrame(17, [
      zstdBlock('{"prompt":"'),
      zstdRun('x', 3),
      zstdRun('y', 0),
      zstdBlock('"}\n', true),
    ]);
    const checked = zstdFrame(
      17,
      [zstdBlock('{"prompt":"z"}\n'), zstdBlock('', true)],
      0x04,
      Buffer.alloc(4),
    );
    const skipped = Buffer.concat([zstdSkipped(5), Buffer.from('other')]);
    const content = Buffer.concat([skipped, runs, zstdSkipped(0), checked, skipped]);
    const dataset = await folderOf({ 'a.jsonl.zst': content }).open('a.jsonl.zst');
    expect(await rowsOf(dataset)).toEqual([
      { '#': 0, prompt: 'xxx' },
      { '#': 1, prompt: 'z' },
    ]);
  });

  it('other archive formats are named, with the tool that unpacks them', async () => {
    for (const [name, command] of [
      ['a.jsonl.xz', 'xz -d'],
      ['a.tar.gz', 'tar -xf'],
      ['a.zip', 'unzip'],
    ] as const) {
      await expect(folderOf({ [name]: 'x' }).open(name)).rejects.toThrow(`Unpack it with ${command}`);
    }
  });
});

/** How many files of a folder this process has open. */
function openIn(folder: string): number {
  const links = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.startsWith(folder)).length;
}

it.runIf(existsSync('/proc/self/fd'))('no file stays open once it was looked at or read', async () => {
  const folder = folderOf({
    'array/a.json': `[${ROWS.trim().replace('\n', ',')}]`,
    'columns/a.json': JSON.stringify({ prompt: ['2+2?', '3+3?'], completion: ['4', '6'] }),
    'objects/a.json': ROWS,
    'table/a.csv': 'prompt,completion\n2+2?,4\n3+3?,6\n',
  });
  for (const name of ['array', 'columns', 'objects', 'table']) {
    const dataset = await folder.open(name);
    expect(openIn(folder.path), name).toBe(0);
    expect(await rowsOf(dataset, { limit: 1 })).toEqual(READ.slice(0, 1));
    expect(await rowsOf(dataset)).toEqual(READ);
    expect(openIn(folder.path), name).toBe(0);
  }
});

describe('folders and globs', () => {
  const shard = (first: number): string =>
    jsonl({ prompt: `${first}?` }, { prompt: `${first + 1}?`, extra: 1 });

  it('are read in the order of names, rows numbered through', async () => {
    const folder = folderOf({
      'b/2.jsonl': shard(4),
      'a/1.jsonl': shard(2),
      '0.jsonl': shard(0),
      'README.md': '# x',
    });
    for (const name of ['.', '**/*.jsonl']) {
      const dataset = await folder.open(name);
      expect(dataset.totalRows).toBe(6);
      expect(dataset.columns).toEqual(['prompt', 'extra']);
      const prompts = (await rowsOf(dataset)).map((row) => (row as { prompt: string }).prompt);
      expect(prompts).toEqual(['0?', '1?', '2?', '3?', '4?', '5?']);
      expect(
        (await rowsOf(dataset, { offset: 3, limit: 2 })).map((row) => (row as { '#': number })['#']),
      ).toEqual([3, 4]);
    }
  });

  it('give the split that is wanted, else train', async () => {
    const folder = folderOf({
      'data/train-00000-of-00002.jsonl': shard(0),
      'data/train-00001-of-00002.jsonl': shard(2),
      'data/test-00000-of-00001.jsonl': shard(9),
    });
    expect((await folder.open('.')).totalRows).toBe(4);
    const test = await folder.open('.', 'test');
    expect([test.totalRows, test.split]).toEqual([2, 'test']);
    await expect(folder.open('.', 'dev')).rejects.toThrow('It has test, train');
    expect(await localFiles(folder.path, 'test')).toEqual([
      join(folder.path, 'data/test-00000-of-00001.jsonl'),
    ]);
  });

  it.each([
    ['train.jsonl', 'train'],
    ['data/validation-00000-of-00003.parquet', 'validation'],
    ['my_dev_set.csv', 'validation'],
    ['test/part.0.parquet', 'test'],
    ['train_sft-00000-of-00001.parquet', 'train'],
    ['chinese-00000-of-00001.parquet', 'chinese'],
    ['data-00000-of-00002.arrow', null],
    ['contest.jsonl', null],
    ['part-0.jsonl', null],
  ])('%s belongs to the split %s', (path, split) => {
    expect(splitOfPath(path)).toBe(split);
  });

  it('that do not fit together are an error that says why', async () => {
    const folder = folderOf({
      'mixed/a.jsonl': ROWS,
      'mixed/b.csv': 'prompt\n1',
      'splits/test.jsonl': ROWS,
      'splits/dev.jsonl': ROWS,
      'partly/train.jsonl': ROWS,
      'partly/more.jsonl': ROWS,
      'empty/README.md': '',
    });
    await expect(folder.open('mixed')).rejects.toThrow(/several kinds: JSON \(.*a\.jsonl\), CSV/);
    await expect(folder.open('splits')).rejects.toThrow(
      'several splits: validation, test. Choose one with --split',
    );
    await expect(folder.open('partly')).rejects.toThrow('others to none, such as more.jsonl');
    await expect(folder.open('empty')).rejects.toThrow('is a folder without data files');
    await expect(folder.open('*.jsonl')).rejects.toThrow('No file matches');
  });

  it('skip hidden files, files of other tools, and links that lead upwards', async () => {
    const folder = folderOf({
      'a.jsonl': ROWS,
      '.b.jsonl': 'x',
      '_SUCCESS.json': 'x',
      'dataset_info.json': '{}',
      'notes.txt': 'x',
    });
    symlinkSync(folder.path, join(folder.path, 'loop'));
    expect((await folder.open('.')).totalRows).toBe(2);
  });

  it('follow links to data, in the folder or out of it, and to files that a cache names by their digest', async () => {
    const folder = folderOf({
      'data/a.jsonl': ROWS,
      'elsewhere/b.jsonl': ROWS,
      [`blobs/${'0123456789'.repeat(4)}`]: ROWS,
    });
    symlinkSync('a.jsonl', join(folder.path, 'data/inside.jsonl'));
    symlinkSync('../elsewhere/b.jsonl', join(folder.path, 'data/outside.jsonl'));
    symlinkSync(`../blobs/${'0123456789'.repeat(4)}`, join(folder.path, 'data/cached.jsonl'));
    symlinkSync('../elsewhere', join(folder.path, 'data/folder.jsonl'));
    expect((await folder.open('data')).totalRows).toBe(8);
    expect((await folder.open('data/*.jsonl')).totalRows).toBe(8);
  });

  it.each(['data', 'data/*.jsonl'])('%s names what is not a file, and opens nothing', async (name) => {
    const without = folderOf({ 'data/a.jsonl': ROWS, id_rsa: 'secret' });
    const place = join(without.path, 'data/b.jsonl');
    const refusedAs = async (problem: string): Promise<void> => {
      await expect(without.open(name)).rejects.toThrow(problem);
      rmSync(place, { force: true });
    };
    symlinkSync('../id_rsa', place);
    await refusedAs('which does not look like data, so it is not followed');
    symlinkSync('/dev/zero', place);
    await refusedAs('b.jsonl is a device, but a file is needed');
  });

  it('a folder with a pipe, or a link that leads nowhere, is not read without that part', async () => {
    const folder = folderOf({ 'data/a.jsonl': ROWS, 'circle/a.jsonl': ROWS, 'piped/a.jsonl': ROWS });
    execFileSync('mkfifo', [join(folder.path, 'piped/b.jsonl')]);
    await expect(folder.open('piped')).rejects.toThrow('b.jsonl is a named pipe, but a file is needed');
    symlinkSync('nothing', join(folder.path, 'data/b.jsonl'));
    symlinkSync('b.jsonl', join(folder.path, 'circle/b.jsonl'));
    await expect(folder.open('data')).rejects.toThrow(
      'b.jsonl is a symbolic link that leads to a file that does not exist',
    );
    await expect(folder.open('circle')).rejects.toThrow('b.jsonl is a symbolic link that is part of a loop');
  });

  it('refuses a pipe, a device and links in a loop as a dataset', async () => {
    const folder = folderOf({});
    execFileSync('mkfifo', [join(folder.path, 'pipe.jsonl')]);
    symlinkSync('circle.jsonl', join(folder.path, 'circle.jsonl'));
    symlinkSync('/dev/zero', join(folder.path, 'zero.jsonl'));
    await expect(folder.open('pipe.jsonl')).rejects.toThrow(
      'is a named pipe, which, unlike a file, cannot be read twice',
    );
    await expect(folder.open('zero.jsonl')).rejects.toThrow(
      'is a device, which, unlike a file, cannot be read twice',
    );
    await expect(folder.open('circle.jsonl')).rejects.toThrow('its symbolic links form a loop');
  });

  it('of many files react to signals while they are opened', async () => {
    const names = Array.from({ length: 400 }, (_, place) => `part-${place}.jsonl`);
    const folder = folderOf(Object.fromEntries(names.map((name) => [name, ROWS])));
    const stop = new AbortController();
    setImmediate(() => {
      stop.abort(new Error('stopped'));
    });
    const request = {
      dataset: folder.path,
      subset: null,
      split: null,
      workFolder: join(folder.path, 'work'),
    };
    await expect(openDataset(request, HUB, silent, stop.signal)).rejects.toThrow('stopped');
  });

  it('a file whose name looks like a glob is that file', async () => {
    const folder = folderOf({ 'a[1].jsonl': ROWS });
    expect((await folder.open('a[1].jsonl')).totalRows).toBe(2);
  });
});

describe('JSON in other layouts', () => {
  it.each([
    ['columns', { prompt: ['2+2?', '3+3?'], completion: ['4', '6'] }],
    [
      'columns of numbered cells, as pandas writes them',
      { prompt: { 0: '2+2?', 1: '3+3?' }, completion: { 0: '4', 1: '6' } },
    ],
    [
      'rows under one name',
      {
        version: '1.1',
        data: [
          { prompt: '2+2?', completion: '4' },
          { prompt: '3+3?', completion: '6' },
        ],
      },
    ],
    [
      'splits',
      {
        train: [
          { prompt: '2+2?', completion: '4' },
          { prompt: '3+3?', completion: '6' },
        ],
        test: [],
      },
    ],
  ])('%s', async (_, value) => {
    const folder = folderOf({ 'a.json': JSON.stringify(value), 'b.json': JSON.stringify(value, null, 2) });
    for (const name of ['a.json', 'b.json']) {
      const dataset = await folder.open(name);
      expect(dataset.totalRows).toBe(2);
      expect(await rowsOf(dataset)).toEqual(READ);
    }
  });

  it.each([
    [
      'a chat',
      {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
        ],
        images: ['x', 'y'],
      },
    ],
    ['an object with another inside', { prompt: 'a', meta: { source: 'x' } }],
  ])('%s is a single row', async (_, value) => {
    const dataset = await folderOf({ 'a.json': JSON.stringify(value) }).open('a.json');
    expect(await rowsOf(dataset)).toEqual([{ '#': 0, ...value }]);
  });

  it('column tables give their rows back', async () => {
    const cell = fc.oneof(
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(fc.string(), { maxLength: 3 }),
    );
    const table = fc.array(fc.record({ one: cell, two: cell }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const columns = { one: rows.map(({ one }) => one), two: rows.map(({ two }) => two) };
        const dataset = await folderOf({ 'a.json': JSON.stringify(columns) }).open('a.json');
        expect(await rowsOf(dataset)).toEqual(rows.map((row, index) => ({ '#': index, ...row })));
      }),
      { numRuns: 20 },
    );
  });
});

describe('files whose name does not say what they hold', () => {
  it.each([
    ['lines of JSON', ROWS, 2],
    ['an array', JSON.stringify(JSON.parse(`[${ROWS.trim().replace('\n', ',')}]`)), 2],
    ['a table', 'prompt,completion\n2+2?,4\n3+3?,6\n', 2],
    ['compressed lines of JSON', gzipSync(ROWS), 2],
  ])('%s', async (_, content, rows) => {
    const folder = folderOf({ 'a.txt': content, plain: content });
    for (const name of ['a.txt', 'plain']) expect((await folder.open(name)).totalRows).toBe(rows);
  });

  it('lines of text are prompts in .txt, and refused elsewhere', async () => {
    const folder = folderOf({
      'a.txt': 'Name a tree, please.\n\nName a bird.\r\n',
      'a.dat': 'Name a tree.\n',
    });
    expect(await rowsOf(await folder.open('a.txt'))).toEqual([
      { '#': 0, text: 'Name a tree, please.' },
      { '#': 1, text: 'Name a bird.' },
    ]);
    await expect(folder.open('a.dat')).rejects.toThrow("can't be recognised from its name or its content");
  });
});

/** The file format as C++ and Python write it: the stream between the magic and a footer. */
function arrowFile(table: Table): Buffer {
  const end = Buffer.alloc(4);
  end.writeInt32LE(16);
  return Buffer.concat([
    Buffer.from('ARROW1\0\0'),
    tableToIPC(table, 'stream'),
    Buffer.alloc(16),
    end,
    Buffer.from('ARROW1'),
  ]);
}

const FORMATS = { stream: (table: Table) => tableToIPC(table, 'stream'), file: arrowFile };

describe('Arrow', () => {
  const table = tableFromArrays({ prompt: ['2+2?', '3+3?'], completion: ['4', '6'] });

  it.each(['stream', 'file'] as const)('in the %s format', async (format) => {
    const folder = folderOf({
      'a.arrow': FORMATS[format](table),
      'b.arrow.gz': gzipSync(FORMATS[format](table)),
    });
    for (const name of ['a.arrow', 'b.arrow.gz']) {
      const dataset = await folder.open(name);
      expect(dataset.columns).toEqual(['prompt', 'completion']);
      expect(await rowsOf(dataset)).toEqual(READ);
      expect(await rowsOf(dataset, { offset: 1, columns: ['prompt'] })).toEqual([{ '#': 1, prompt: '3+3?' }]);
    }
  });

  it('in several batches, some of which are passed over', async () => {
    const table = tableFromArrays({ prompt: Array.from({ length: 30 }, (_, row) => `${row}?`) });
    const parts = [0, 10, 20].flatMap((first) => table.slice(first, first + 10).batches);
    const folder = folderOf({ 'a.arrow': tableToIPC(new Table(parts), 'stream') });
    const rows = await rowsOf(await folder.open('a.arrow'), { offset: 18, limit: 5 });
    expect(rows).toEqual([18, 19, 20, 21, 22].map((row) => ({ '#': row, prompt: `${row}?` })));
  });

  it('as save_to_disk writes it, with the split that is wanted', async () => {
    const state = JSON.stringify({ _data_files: [{ filename: 'data-00000-of-00001.arrow' }] });
    const stream = tableToIPC(table, 'stream');
    const folder = folderOf({
      'saved/dataset_dict.json': JSON.stringify({ splits: ['train', 'test'] }),
      'saved/train/state.json': state,
      'saved/train/data-00000-of-00001.arrow': stream,
      'saved/train/cache-1.arrow': 'left behind',
      'saved/test/state.json': state,
      'saved/test/data-00000-of-00001.arrow': tableToIPC(table.slice(1), 'stream'),
      'one/state.json': state,
      'one/data-00000-of-00001.arrow': stream,
      'evil/state.json': JSON.stringify({ _data_files: [{ filename: '../one/data-00000-of-00001.arrow' }] }),
    });
    expect(await rowsOf(await folder.open('saved'))).toEqual(READ);
    expect(await rowsOf(await folder.open('saved', 'test'))).toEqual([{ ...READ[1], '#': 0 }]);
    expect(await rowsOf(await folder.open('one'))).toEqual(READ);
    await expect(folder.open('saved', 'dev')).rejects.toThrow('It has train, test');
    await expect(folder.open('evil')).rejects.toThrow('without data files');
  });

  it('with values of other types, spelled as Parquet’s', async () => {
    const turns = new List(
      new Field(
        'item',
        new Struct([new Field('role', new Utf8(), true), new Field('content', new Utf8(), true)]),
        true,
      ),
    );
    const chat = makeBuilder({ type: turns, nullValues: [null] });
    chat.append([{ role: 'user', content: '\ufeffHi' }] as never);
    chat.append(null);
    const microseconds = makeData({
      type: new TimestampMicrosecond(),
      data: new BigInt64Array([1_700_000_000_123_456n, 0n]),
    });
    const columns = {
      id: vectorFromArray([9007199254740993n, 1n], new Int64()),
      when: makeVector(microseconds),
      kind: vectorFromArray(['a', 'b'], new Dictionary(new Utf8(), new Int32())),
      ok: vectorFromArray([true, null]),
      score: vectorFromArray([0.5, Number.NaN]),
      chat: new Vector([chat.finish().flush()]),
    };
    const dataset = await folderOf({ 'a.arrow': tableToIPC(new Table(columns), 'stream') }).open('a.arrow');
    expect(await rowsOf(dataset)).toEqual([
      {
        ...{ '#': 0, id: '9007199254740993', kind: 'a', ok: true, score: 0.5 },
        chat: [{ role: 'user', content: '\ufeffHi' }],
        when: '2023-11-14T22:13:20.123456Z',
      },
      { '#': 1, id: 1, when: '1970-01-01T00:00:00.000Z', kind: 'b', ok: null, score: null, chat: null },
    ]);
  });

  it('truncated anywhere, it is a clear error', async () => {
    const whole = arrowFile(table);
    const path = join(temporaryFolder(), 'a.arrow');
    for (let bytes = 0; bytes < whole.length; bytes += 7) {
      writeFileSync(path, whole.subarray(0, bytes));
      await expect(ArrowFile.open(path, 'a.arrow')).rejects.toThrow(/a\.arrow can't be read as Arrow/);
    }
  });

  // In these places the schema has offsets and lengths that a reader believes.
  it.each([
    [52, 1],
    [58, 128],
    [59, 3],
  ])('with byte %i changed to %i, it ends its decoder and nothing else', async (at, value) => {
    const bytes = arrowFile(table);
    bytes[at] = value;
    const open = columnarOpener('Arrow', new ParquetProcess(500));
    const path = join(temporaryFolder(), 'a.arrow');
    writeFileSync(path, bytes);
    const opened = open({ file: { path, shown: path, encoding: 'utf-8' }, split: null, signal: undefined });
    await expect(opened.then(rowsOf)).rejects.toThrow(/can't be read as Arrow/);
  });
});

it('a name that is a folder here is never one of the Hub', async () => {
  const folder = folderOf({ 'owner/data/a.jsonl': ROWS });
  const before = process.cwd();
  process.chdir(folder.path);
  try {
    const dataset = await openDataset({ dataset: 'owner/data', subset: null, split: null }, HUB, silent);
    expect(await rowsOf(dataset)).toEqual(READ);
  } finally {
    process.chdir(before);
  }
  expect(gunzipSync(gzipSync(ROWS)).toString()).toBe(ROWS);
});

it('a folder with a hundred thousand files is sorted into splits in time that grows with their number alone', () => {
  const files = (count: number): { relative: string }[] =>
    Array.from({ length: count }, (_, place) => ({ relative: `${place}.jsonl` }));
  const all = files(100_000);
  expect(cpuTimeOf(() => chooseSplit(all, null, 'data'))).toBeLessThan(1000);
  expect(chooseSplit(all, null, 'data')).toEqual({ split: null, files: all });
  const named = Array.from({ length: 100 }, (_, place) => ({ relative: `n${place}-00000-of-00001.csv` }));
  expect(() => chooseSplit(named, null, 'data')).toThrow(
    / n0, n1, .*, n19, 80 more\. Choose one with --split/,
  );
});
