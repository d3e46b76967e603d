import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { ParquetProcess, readParquetFiles, type ParquetOrigin } from '../../src/datasets/parquet-process.js';
import { jsonText } from '../../src/lib/json.js';
import type { SourceRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';
import {
  CONVERTED,
  craftedParquet,
  emptyParquet,
  ENCODINGS,
  growingTexts,
  plainText,
  run,
  trailer,
} from '../support/parquet-file.js';

const COLUMNS = ['prompt', 'response'];
const dictionary = { bytes: plainText('hi'), claimedValues: 1 };

function saved(bytes: Uint8Array): ParquetOrigin {
  const path = join(temporaryFolder(), 'data.parquet');
  writeFileSync(path, bytes);
  return { path, size: statSync(path).size };
}

/** What refuses a file at its claims reads the next one. */
const shared = new ParquetProcess();

async function readAll(
  origin: ParquetOrigin,
  { decoder = shared, signal }: { decoder?: ParquetProcess; signal?: AbortSignal } = {},
): Promise<unknown[]> {
  const table = await decoder.open(origin, 'data.parquet', signal);
  const rows: unknown[] = [];
  for await (const row of table.read(table.columns, 0, table.rows, signal)) rows.push(row);
  return rows;
}

/** One value in the page, and a run of 400 million: the decoder takes the run's word for it. */
const endlessRun = craftedParquet(COLUMNS, 1, {
  bytes: Buffer.concat([Buffer.of(1), run(400_000_000, 0)]),
  claimedValues: 1,
  encoding: ENCODINGS.dictionary,
  dictionary,
});

const growing = craftedParquet(COLUMNS, 300_000, growingTexts(300_000));

it('a Parquet file whose page holds one value millions of times is read', async () => {
  const rows = 5_000_000;
  const bytes = craftedParquet(COLUMNS, rows, {
    bytes: Buffer.concat([Buffer.of(1), run(rows, 0)]),
    claimedValues: rows,
    encoding: ENCODINGS.dictionary,
    dictionary,
  });
  const table = await shared.open(saved(bytes), 'data.parquet');
  const last: unknown[] = [];
  for await (const row of table.read(['prompt'], rows - 2, rows)) last.push(row);
  expect(last).toEqual([{ prompt: 'hi' }, { prompt: 'hi' }]);
});

describe('a Parquet file that claims more than it holds is refused', () => {
  const claimsValues = craftedParquet(COLUMNS, 400_000_000, {
    bytes: Buffer.concat([Buffer.of(1), run(400_000_000, 0)]),
    claimedValues: 400_000_000,
    encoding: ENCODINGS.dictionary,
    dictionary,
  });
  const page = { bytes: plainText('hi'), claimedValues: 1, encoding: ENCODINGS.plain };
  it.each<[string, Buffer, RegExp]>([
    [
      'values of a page',
      claimsValues,
      /row group 1, column "prompt": a page of 7 bytes claims to hold 400000000/,
    ],
    [
      'values of a dictionary',
      craftedParquet(COLUMNS, 1, { ...page, dictionary: { ...dictionary, claimedValues: 300_000_000 } }),
      /claims to hold 300000000 values/,
    ],
    [
      'uncompressed bytes',
      craftedParquet(COLUMNS, 1, { ...page, gzip: true, claimedSize: 2_000_000_000 }),
      /a page of 6 bytes claims to unpack to 2000000000 bytes/,
    ],
    ['metadata', Buffer.concat([Buffer.alloc(100), trailer(90_000_000)]), /claims 90000000 bytes, more than/],
    ['negative rows', craftedParquet(COLUMNS, -5, page), /a row group claims -5 rows/],
  ])('%s', async (_, bytes, sentence) => {
    await expect(readAll(saved(bytes))).rejects.toThrow(sentence);
  });

  it('by its memory, where no claim shows it', async () => {
    await expect(readAll(saved(endlessRun))).rejects.toThrow(
      /row group 1, column "prompt" needs far more memory than its bytes justify/,
    );
    await expect(readAll(saved(growing))).rejects.toThrow(/needs far more memory/);
  });

  it('by its time', async () => {
    const open = new ParquetProcess(1).open(saved(growing), 'data.parquet');
    await expect(open).rejects.toThrow(/decoding .* took more than 0 s|needs far more/);
  });

  it('before more is requested of a remote file than it has', async () => {
    const asked: number[] = [];
    const size = 8_000_000_000;
    const range = (start: number, end: number): Promise<ArrayBuffer> => {
      asked.push(end - start);
      const bytes = new Uint8Array(end - start);
      bytes.set(trailer(3_900_000_000), bytes.length - 8);
      return Promise.resolve(bytes.buffer);
    };
    await expect(readAll({ size, range })).rejects.toThrow(/its metadata claims 3900000000 bytes/);
    expect(asked).toEqual([1 << 19]);
  });
});

describe('the Parquet decoder', () => {
  it('stops immediately when aborted, even while it decodes', async () => {
    const stop = new AbortController();
    const reading = readAll(saved(growing), { signal: stop.signal });
    const stopped = expect(reading).rejects.toThrow('stopped');
    stop.abort(new Error('stopped'));
    await stopped;
  });

  it('keeps what a cell is: spelled numbers, names of prototypes, nested values', async () => {
    const json = '{"n":12345678901234567890,"__proto__":[1.0,{"e":1e3}],"constructor":null}';
    const page = {
      bytes: plainText(json),
      claimedValues: 1,
      encoding: ENCODINGS.plain,
      meaning: CONVERTED.json,
    };
    const [row] = (await readAll(saved(craftedParquet(['__proto__', 'q'], 1, page)))) as [object];
    expect(Object.keys(row)).toEqual(['__proto__', 'q']);
    for (const cell of Object.values(row)) expect(jsonText(cell)).toBe(json);
  });

  it('reads many rows in pieces, any stretch of them, and again after it was stopped', async () => {
    const data = Array.from({ length: 5000 }, (_, index) => `row ${index}`);
    const bytes = parquetWriteBuffer({
      columnData: [{ name: 'q', data, type: 'STRING' }],
      rowGroupSize: 1500,
    });
    const origin = saved(new Uint8Array(bytes));
    const table = await new ParquetProcess().open(origin, 'data.parquet');
    const read = async (start: number, end: number, most = Infinity): Promise<unknown[]> => {
      const rows: unknown[] = [];
      for await (const row of table.read(['q', 'no such column'], start, end))
        if (rows.push('q' in row ? row['q'] : null) >= most) break;
      return rows;
    };
    expect(await read(1400, 3100)).toEqual(data.slice(1400, 3100));
    expect(await read(0, 5000, 3)).toEqual(data.slice(0, 3));
    expect(await read(0, 5000)).toEqual(data);
  });

  it('says of a row with too many values that it has them, and reads the others', async () => {
    const data = [[1], Array.from({ length: 600_000 }, () => 0), [2], 'x'.repeat(25 << 20)];
    const bytes = parquetWriteBuffer({ columnData: [{ name: 'q', data, type: 'JSON' }] });
    const table = await shared.open(saved(new Uint8Array(bytes)), 'data.parquet');
    const rows: SourceRow[] = [];
    const selection = { columns: ['q'], offset: 0, limit: null };
    for await (const row of readParquetFiles([table], selection)) rows.push(row);
    expect(rows).toEqual([
      { index: 0, value: { q: [1] } },
      { index: 1, problem: 'row 1 holds more than 500,000 values (in column "q")' },
      { index: 2, value: { q: [2] } },
      { index: 3, problem: 'row 3 is longer than 24 MB (in column "q")' },
    ]);
  });

  it('reads more files than it keeps open, in any order', async () => {
    const decoder = new ParquetProcess();
    const tables = [];
    for (let file = 0; file < 130; file++) {
      const bytes = parquetWriteBuffer({ columnData: [{ name: 'q', data: [`file ${file}`] }] });
      tables.push(await decoder.open(saved(new Uint8Array(bytes)), `${file}.parquet`));
    }
    for (const file of [0, 129, 1, 0, 60]) {
      const rows = [];
      for await (const row of tables[file]?.read(['q'], 0, 1) ?? []) rows.push(row);
      expect(rows).toEqual([{ q: `file ${file}` }]);
    }
  });

  it('knows the first 10,000 columns', async () => {
    const names = Array.from({ length: 12_000 }, (_, index) => `c${index}`);
    const table = await shared.open(saved(emptyParquet(names)), 'data.parquet');
    expect([table.columns.length, table.isCut, table.rows]).toEqual([10_000, true, 0]);
  });
});
