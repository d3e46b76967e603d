import { describe, expect, it } from 'vitest';
import { HubClient } from '../../src/datasets/hub-client.js';
import { openDataset } from '../../src/datasets/index.js';
import { jsonText } from '../../src/lib/json.js';
import type { HubEnvironment, OpenDataset, Reporter, SourceRow } from '../../src/types.js';
import { scriptedApi, type ApiAnswer, type ApiRequest } from '../support/scripted-api.js';

const silent: Reporter & { said: string[] } = {
  said: [],
  debug: () => undefined,
  info: (message) => silent.said.push(message),
  warning: (message) => silent.said.push(message),
  error: (message) => silent.said.push(message),
};

const request = { dataset: 'me/data', subset: null, split: null };
const SPLITS = { splits: [{ dataset: 'me/data', config: 'default', split: 'train' }] };

function hubAt(url: string, token: string | null = null): HubEnvironment {
  return { endpoint: url, datasetsServerUrl: url, token };
}

async function read(
  dataset: OpenDataset,
  columns = ['q', 'a'],
  offset = 0,
  limit: number | null = null,
): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for await (const row of dataset.rows({ columns, offset, limit })) rows.push(row);
  return rows;
}

/** A page of rows `q0`, `q1` … of a table with `total` rows. */
function page({ path }: ApiRequest, total: number, more: Record<string, unknown> = {}): { body: unknown } {
  const query = new URL(path, 'http://x').searchParams;
  const offset = Number(query.get('offset'));
  const length = Math.min(Number(query.get('length')), Math.max(0, total - offset));
  const rows = Array.from({ length }, (_, position) => ({
    row_idx: offset + position,
    row: { q: `q${offset + position}`, a: 'a' },
    truncated_cells: [],
  }));
  return {
    body: {
      features: [{ name: 'q' }, { name: 'a' }],
      rows,
      num_rows_total: total,
      num_rows_per_page: 100,
      partial: false,
      ...more,
    },
  };
}

/** A client that does not wait, but notes how long it would have: milliseconds. */
function patientClient(url: string, random = 0.5): { client: HubClient; waits: number[] } {
  const waits: number[] = [];
  const clock = { now: () => 0, sleep: (wait: number) => Promise.resolve(void waits.push(wait)) };
  const parts = { hub: hubAt(url), dataset: 'me/data', reporter: silent, clock, random: () => random };
  return { client: new HubClient(parts), waits };
}

function isRows({ path }: ApiRequest): boolean {
  return path.startsWith('/rows');
}

describe('pages of the datasets-server', () => {
  it('come in order, several at a time, with at most 100 rows each', async () => {
    let inFlight = 0;
    let most = 0;
    const api = await scriptedApi(async (asked) => {
      if (!isRows(asked)) return { body: SPLITS };
      inFlight += 1;
      most = Math.max(most, inFlight);
      await new Promise((resolve) => setTimeout(resolve, 30 * Math.random()));
      inFlight -= 1;
      return page(asked, 1234);
    });
    const dataset = await openDataset(request, hubAt(api.url), silent);
    expect(dataset).toMatchObject({
      columns: ['q', 'a'],
      totalRows: 1234,
      subset: 'default',
      split: 'train',
      warnings: [],
    });
    const rows = await read(dataset, ['q'], 5, 1000);
    expect(rows.map((row) => row.index)).toEqual(Array.from({ length: 1000 }, (_, index) => index + 5));
    expect(rows[0]).toMatchObject({ value: { q: 'q5' } });
    expect(most).toBeGreaterThan(1);
    expect(
      Math.max(
        ...api.requests.map(({ path }) => Number(new URL(path, 'http://x').searchParams.get('length'))),
      ),
    ).toBe(100);
  });

  it('are asked for again after 429, 500, ResponseNotReady and a page, after growing pauses', async () => {
    const answers: ApiAnswer[] = [
      { status: 429, headers: { 'retry-after': '0' }, body: '{}' },
      { status: 500, headers: { 'x-error-code': 'ResponseNotReady' }, body: '{"error":"being computed"}' },
      { status: 502, body: '<html>' },
    ];
    const api = await scriptedApi((_asked, number) => answers[number] ?? { body: SPLITS });
    const { client, waits } = patientClient(api.url);
    expect(await client.get('splits', { dataset: 'me/data' })).toEqual(SPLITS);
    expect(waits).toHaveLength(answers.length);
    expect(Math.max(...waits)).toBeGreaterThan(0);
    await client.close();
  });

  it.each<[string, Record<string, string>, number]>([
    ['Retry-After', { 'retry-after': '7' }, 7000],
    ['the end of the window in RateLimit', { ratelimit: '"api";r=0;t=55' }, 55_000],
  ])('wait for as long as %s says', async (_, headers, expected) => {
    const api = await scriptedApi((_asked, number) =>
      number === 0 ? { status: 429, headers, body: '{}' } : { body: SPLITS },
    );
    const { client, waits } = patientClient(api.url, 0);
    expect(await client.get('splits', { dataset: 'me/data' })).toEqual(SPLITS);
    expect(waits).toEqual([expected]);
    await client.close();
  });

  it('of another revision are an error, not a mixture', async () => {
    let pages = 0;
    const api = await scriptedApi((asked) => {
      const revision = { 'x-revision': isRows(asked) && ++pages > 3 ? 'second' : 'first' };
      return isRows(asked) ? { ...page(asked, 900), headers: revision } : { body: SPLITS, headers: revision };
    });
    const dataset = await openDataset(request, hubAt(api.url), silent);
    expect(dataset.revision).toBe('first');
    await expect(read(dataset)).rejects.toThrow(
      /changed on the Hub while it was being read \(revision first, then second\)/,
    );
  });

  it('keep the spelling of numbers that JavaScript would lose', async () => {
    const api = await scriptedApi((asked) => {
      if (!isRows(asked)) return { body: SPLITS };
      const text = JSON.stringify(page(asked, 2).body).replaceAll(
        '"a":"a"',
        '"a":12345678901234567890,"b":1.0',
      );
      return { body: text.replace('"q":"q1"', '"q":{"x":[1.0,9007199254740993]}') };
    });
    const rows = await read(await openDataset(request, hubAt(api.url), silent), ['q', 'a']);
    expect(rows.map((row) => ('value' in row ? jsonText(row.value) : row.problem))).toEqual([
      '{"q":"q0","a":12345678901234567890,"b":1.0}',
      '{"q":{"x":[1.0,9007199254740993]},"a":12345678901234567890,"b":1.0}',
    ]);
  });

  it('with a truncated cell in a column that is used give a problem, never a prompt', async () => {
    const api = await scriptedApi((asked) => {
      if (!isRows(asked)) return { body: SPLITS };
      const one = page(asked, 3).body as { rows: { truncated_cells: string[] }[] };
      one.rows.forEach((row, position) => (row.truncated_cells = position === 1 ? ['q'] : ['other']));
      return { body: one };
    });
    const rows = await read(await openDataset(request, hubAt(api.url), silent), ['q']);
    expect(rows.map((row) => 'problem' in row)).toEqual([false, true, false]);
    expect(rows[1]).toMatchObject({
      problem: expect.stringContaining('row 1: the Hub sent only a part of "q"') as string,
    });
  });

  it('of a part of the data are announced with their number', async () => {
    const api = await scriptedApi((asked) =>
      isRows(asked) ? page(asked, 1500, { partial: true }) : { body: SPLITS },
    );
    const dataset = await openDataset(request, hubAt(api.url), silent);
    expect(dataset.warnings).toEqual([expect.stringContaining('only the first 1,500 rows of me/data')]);
  });

  it('that fall short are an error', async () => {
    const api = await scriptedApi((asked) =>
      isRows(asked) ? page(asked, 250, { num_rows_total: 400 }) : { body: SPLITS },
    );
    const dataset = await openDataset(request, hubAt(api.url), silent);
    await expect(read(dataset)).rejects.toThrow(/50 rows from row 200 on instead of 100/);
  });

  it('are used where Parquet files are listed but can’t be read', async () => {
    const api = await scriptedApi((asked) => {
      if (isRows(asked)) return page(asked, 3500);
      if (!asked.path.startsWith('/parquet')) return { body: SPLITS };
      const file = {
        dataset: 'me/data',
        config: 'default',
        split: 'train',
        url: `${api.url}/file.parquet`,
        filename: '0000.parquet',
        size: 900,
      };
      return asked.path.startsWith('/parquet?') ? { body: { parquet_files: [file] } } : null;
    });
    const dataset = await openDataset(request, hubAt(api.url), silent);
    expect(await read(dataset, ['q'])).toHaveLength(3500);
  });
});

describe('errors of the Hub', () => {
  it.each([
    [
      401,
      'ExternalUnauthenticatedError',
      /does not exist, or it is private or gated.*accept its terms.*set HF_TOKEN/,
    ],
    [404, 'ExternalAuthenticatedError', /does not exist, or the account of HF_TOKEN cannot access/],
    [404, 'RenamedDatasetError', /was renamed/],
    [404, 'ResponseNotFound', /check the spelling, --subset and --split/],
    [422, 'InvalidParameter', /refuses the request.*--subset and --split/],
    [501, 'DatasetWithScriptNotSupportedError', /built by a script.*convert it to Parquet/],
    [501, 'DisabledViewerError', /viewer of me\/data is disabled.*download a file/],
    [501, 'NotSupportedPrivateRepositoryError', /is private.*PRO and Enterprise/],
    [501, 'TooBigContentError', /too large for the Hub's viewer/],
    [501, 'SomethingNew', /SomethingNew: said so.*use that/],
    [403, null, /requires a login.*set HF_TOKEN/],
  ])('%i %s becomes a sentence', async (status, code, message) => {
    const headers = code === null ? {} : { 'x-error-code': code };
    const api = await scriptedApi(() => ({ status, headers, body: { error: 'said so' } }));
    await expect(openDataset(request, hubAt(api.url), silent)).rejects.toThrow(message);
    expect(api.requests).toHaveLength(1);
  });
});

describe('the token', () => {
  it('goes to the Hub alone, never after a redirect to another host', async () => {
    const other = await scriptedApi(() => ({ body: SPLITS }));
    const api = await scriptedApi((asked) =>
      asked.path.startsWith('/splits')
        ? { status: 302, headers: { location: `${other.url}${asked.path}` }, body: '' }
        : page(asked, 1),
    );
    await read(await openDataset(request, hubAt(api.url, 'hf_secret_token'), silent));
    expect(api.requests[0]?.headers.authorization).toBe('Bearer hf_secret_token');
    expect(other.requests).toHaveLength(1);
    expect(other.requests[0]?.headers.authorization).toBeUndefined();
  });
});
