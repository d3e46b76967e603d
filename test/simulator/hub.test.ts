import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteFile } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { simulate, temporaryFolder } from './support.js';

const ROWS = Array.from({ length: 250 }, (_, index) => ({
  question: `Question ${index}?`,
  answer: index === 1 ? null : 'Yes.',
}));

function file(name: string, content: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, content);
  return path;
}

const jsonl = (): string => file('rows.jsonl', ROWS.map((row) => JSON.stringify(row)).join('\n'));

function parquet(): string {
  const path = join(temporaryFolder(), 'rows.parquet');
  parquetWriteFile({
    filename: path,
    columnData: [
      { name: 'question', data: ROWS.map(({ question }) => question) },
      { name: 'answer', data: ROWS.map(({ answer }) => answer) },
    ],
  });
  return path;
}

async function get(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; code: string | null; revision: string | null; body: Record<string, unknown> }> {
  const response = await fetch(url, { headers });
  return {
    status: response.status,
    code: response.headers.get('x-error-code'),
    revision: response.headers.get('x-revision'),
    body: (await response.json()) as Record<string, unknown>,
  };
}

describe('the simulated datasets-server', () => {
  it('lists splits and serves rows by the page', async () => {
    const { url } = await simulate({ datasets: { 'owner/name': jsonl() } });
    const splits = await get(`${url}/splits?dataset=owner%2Fname`);
    expect(splits.body).toEqual({
      splits: [{ dataset: 'owner/name', config: 'default', split: 'train' }],
      pending: [],
      failed: [],
    });
    expect(splits.revision).toMatch(/^[0-9a-f]{40}$/);
    const page = await get(`${url}/rows?dataset=owner/name&config=default&split=train&offset=200&length=100`);
    expect(page.revision).toBe(splits.revision);
    expect(page.body).toMatchObject({
      features: [
        { feature_idx: 0, name: 'question', type: { dtype: 'string', _type: 'Value' } },
        { feature_idx: 1, name: 'answer', type: { dtype: 'string', _type: 'Value' } },
      ],
      num_rows_total: 250,
      num_rows_per_page: 100,
      partial: false,
    });
    expect(page.body['rows']).toEqual(
      ROWS.slice(200).map((row, index) => ({ row_idx: 200 + index, row, truncated_cells: [] })),
    );
  });

  it('describes a dataset', async () => {
    const { url } = await simulate({ datasets: { name: jsonl() } });
    expect((await get(`${url}/size?dataset=name`)).body).toMatchObject({
      size: {
        dataset: { num_rows: 250 },
        splits: [{ config: 'default', split: 'train', num_rows: 250, num_columns: 2 }],
      },
    });
    expect((await get(`${url}/info?dataset=name`)).body).toMatchObject({
      dataset_info: { default: { splits: { train: { num_examples: 250 } } } },
    });
    expect((await get(`${url}/is-valid?dataset=name`)).body).toMatchObject({ viewer: true });
    expect((await get(`${url}/parquet?dataset=name`)).body).toMatchObject({
      parquet_files: [],
      partial: false,
    });
  });

  it('reads every kind of file', async () => {
    const messages = [{ role: 'user', content: 'Hi' }];
    const files = {
      array: file('a.json', '[{"n": 1, "x": 0.5, "ok": true}]'),
      splits: file('b.json', JSON.stringify({ train: [{ messages }], test: [] })),
      csv: file('c.csv', '\ufeffprompt,response\n"a, ""b""",c\n'),
      parquet: parquet(),
    };
    const { url } = await simulate({ datasets: files });
    const rows = async (id: string): Promise<Record<string, unknown>> =>
      (await get(`${url}/rows?dataset=${id}&config=default&split=train&length=2`)).body;
    expect(await rows('array')).toMatchObject({
      rows: [{ row: { n: 1, x: 0.5, ok: true } }],
      features: [{ type: { dtype: 'int64' } }, { type: { dtype: 'float64' } }, { type: { dtype: 'bool' } }],
    });
    expect(await rows('splits')).toMatchObject({
      rows: [{ row: { messages } }],
      features: [{ type: { _type: 'List', feature: { role: { dtype: 'string' } } } }],
    });
    expect((await get(`${url}/splits?dataset=splits`)).body).toMatchObject({
      splits: [{ split: 'train' }, { split: 'test' }],
    });
    expect(await rows('csv')).toMatchObject({ rows: [{ row: { prompt: 'a, "b"', response: 'c' } }] });
    expect(await rows('parquet')).toMatchObject({ rows: ROWS.slice(0, 2).map((row) => ({ row })) });
  });

  it('serves Parquet files whole and by range', async () => {
    const path = parquet();
    const bytes = readFileSync(path);
    const { url } = await simulate({ parquet: { 'owner/name': path } });
    const listed = (await get(`${url}/parquet?dataset=owner/name`)).body['parquet_files'] as {
      url: string;
      size: number;
    }[];
    const address = listed[0]?.url ?? '';
    expect(address.startsWith(url)).toBe(true);
    expect(listed[0]?.size).toBe(bytes.length);
    const read = async (range?: string): Promise<{ status: number; bytes: Buffer }> => {
      const response = await fetch(address, range === undefined ? {} : { headers: { range } });
      return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
    };
    expect(await read()).toEqual({ status: 200, bytes });
    expect(await read('bytes=4-9')).toEqual({ status: 206, bytes: bytes.subarray(4, 10) });
    expect(await read('bytes=10-')).toEqual({ status: 206, bytes: bytes.subarray(10) });
    expect(await read('bytes=-8')).toEqual({ status: 206, bytes: bytes.subarray(-8) });
    expect((await read(`bytes=${bytes.length}-`)).status).toBe(416);
    const head = await fetch(address, { method: 'HEAD' });
    expect(head.headers.get('content-length')).toBe(String(bytes.length));
    expect(head.headers.get('accept-ranges')).toBe('bytes');
    const rows = await get(`${url}/rows?dataset=owner/name&config=default&split=train&length=1`);
    expect(rows.body).toMatchObject({ num_rows_total: 250 });
    expect((await get(`${url}/datasets/owner/other/resolve/x.parquet`)).code).toBe('EntryNotFound');
  });

  it('refuses what the real one refuses', async () => {
    const { url } = await simulate({ datasets: { name: jsonl() } });
    const rows = `${url}/rows?dataset=name&config=default&split=train`;
    expect(await get(`${rows}&length=101`)).toMatchObject({
      status: 422,
      code: 'InvalidParameter',
      body: { error: "Parameter 'length' must not be greater than 100" },
    });
    expect(await get(`${rows}&offset=-1`)).toMatchObject({ status: 422, code: 'InvalidParameter' });
    expect(await get(`${rows}&offset=x`)).toMatchObject({ status: 422, code: 'InvalidParameter' });
    expect(await get(`${url}/splits`)).toMatchObject({ status: 422, code: 'MissingRequiredParameter' });
    expect(await get(`${url}/rows?dataset=name`)).toMatchObject({
      status: 422,
      code: 'MissingRequiredParameter',
    });
    expect(await get(`${url}/rows?dataset=name&config=other&split=train`)).toMatchObject({
      status: 404,
      code: 'ResponseNotFound',
    });
  });

  it('keeps gated datasets to those with the token', async () => {
    const path = parquet();
    const simulator = await simulate({ parquet: { gated: path }, gated: ['gated'], hubToken: 'secret' });
    const { url } = simulator;
    const parquetFile = `${url}/datasets/gated/resolve/refs%2Fconvert%2Fparquet/default/train/0000.parquet`;
    for (const address of [`${url}/splits?dataset=gated`, `${url}/splits?dataset=missing`, parquetFile]) {
      expect(await get(address)).toMatchObject({ status: 401, code: 'ExternalUnauthenticatedError' });
      expect(await get(address, { authorization: 'Bearer wrong' })).toMatchObject({
        status: 404,
        code: 'ExternalAuthenticatedError',
      });
    }
    const authorization = 'Bearer secret';
    expect((await get(`${url}/splits?dataset=gated`, { authorization })).status).toBe(200);
    expect((await fetch(parquetFile, { headers: { authorization } })).status).toBe(200);
    expect(simulator.statistics().hubRequests).toBe(8);
  });

  it('has its own faults, drawn again at each attempt', async () => {
    const datasets = { name: jsonl() };
    const faulty = async (hubFaults: Record<string, number>): Promise<Response> =>
      fetch(`${(await simulate({ datasets, hubFaults })).url}/splits?dataset=name`);
    const throttled = await faulty({ '429': 1 });
    expect(throttled.status).toBe(429);
    expect(throttled.headers.get('retry-after')).toBe('1');
    expect(throttled.headers.get('ratelimit')).toBe('"api";r=0;t=1');
    expect((await faulty({ '500': 1 })).headers.get('x-error-code')).toBe('UnexpectedError');
    expect((await faulty({ ResponseNotReady: 1 })).headers.get('x-error-code')).toBe('ResponseNotReady');
    const simulator = await simulate({ datasets, hubFaults: { '500': 0.5 } });
    const statuses = new Set<number>();
    for (let count = 0; count < 20; count++)
      statuses.add((await fetch(`${simulator.url}/splits?dataset=name`)).status);
    expect([...statuses].sort()).toEqual([200, 500]);
    expect(simulator.statistics().hubFaults['500']).toBeGreaterThan(0);
  });

  it('says what is wrong with a file', async () => {
    await expect(simulate({ datasets: { name: 'missing.json' } })).rejects.toThrow(
      'Cannot read missing.json',
    );
    await expect(simulate({ datasets: { name: file('a.json', '"text"') } })).rejects.toThrow(
      'no list of objects',
    );
    await expect(simulate({ datasets: { name: file('a.txt', '') } })).rejects.toThrow(
      '.txt is none of .json',
    );
  });
});
