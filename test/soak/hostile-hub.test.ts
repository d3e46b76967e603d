/** A datasets-server that means it ill. */

import { it, vi } from 'vitest';
import { foldersIn, pointingAt, temporaryFolder } from '../support/cli.js';
import { hostileRun, hostileServer } from '../support/hostile-run.js';
import { completion } from '../support/scripted-api.js';
import {
  dripping,
  endless,
  MEGABYTE,
  playHostile,
  poured,
  repeated,
  type Answer,
  type Cases,
} from './hostile.js';

vi.setConfig({ testTimeout: 3_600_000 });

/** Just below what an answer may have. */
const SIZE = 11.5 * MEGABYTE;
const DRIP_MS = 500;
const HEADERS = { 'content-type': 'application/json', 'x-revision': 'a'.repeat(40) };

const filled = (text: string, [before, after]: [string, string], status = 200): Answer =>
  poured(HEADERS, () => repeated(text, SIZE, before, after), status);
const pouring = (text: string, before = ''): Answer => poured(HEADERS, () => endless(text, before));
const page = (cell: string): [string, string] => {
  const rows = '{"row_idx":0,"row":{"prompt":@@,"response":"r"},"truncated_cells":[]}'.replace('@@', cell);
  const more = Array.from({ length: 99 }, () => '{"row":{"prompt":"p","response":"r"}}').join(',');
  const whole = `{"features":[{"name":"prompt"},{"name":"response"}],"num_rows_total":2000,"rows":[${rows},${more}]}`;
  const [before = '', after = ''] = whole.split('@@');
  return [before, after];
};
const SPLITS = JSON.stringify({ splits: [{ dataset: 'a/b', config: 'default', split: 'train' }] });

/** What `/splits` or, if requested, `/rows` answers; and after how long the user gives up. */
const HUBS: Record<string, { splits?: Answer; rows?: Answer; interrupt?: number }> = {
  'a cell of 11 MB, and so on each page': { rows: filled('x', page('"@@"')) },
  'a cell of emoji': { rows: filled('😀', page('"@@"')) },
  'a cell of escapes': { rows: filled('\\u0073%6b', page('"@@"')) },
  'a cell of numbers': { rows: filled('1,', page('[@@0]')) },
  'a cell of lists': { rows: filled('[],', page('[@@0]')) },
  'rows without end': { rows: filled('{},', ['{"num_rows_total":2000,"rows":[', '{}]}']) },
  'features without end': {
    rows: filled('{"name":"x"},', ['{"num_rows_total":2,"rows":[],"features":[', '{}]}']),
  },
  'splits without end': { splits: filled('{"config":"a","split":"b"},', ['{"splits":[', '{}]}']) },
  nesting: { splits: filled('[', ['{"splits":', '']) },
  'an endless answer': { splits: pouring('x', '{"splits":"') },
  'endless spaces': { rows: pouring(' ') },
  'an error of 11 MB': { splits: filled('limit 1 ', ['{"error":"', '"}'], 403) },
  'redirections in a circle': {
    splits: (response) => response.writeHead(302, { location: '/splits?again' }).end(),
  },
  'a body that drips': {
    splits: dripping(
      DRIP_MS,
      (response) => response.writeHead(200, HEADERS),
      (response) => response.write(' '),
    ),
    interrupt: 5000,
  },
  'headers that drip': {
    rows: dripping(
      DRIP_MS,
      ({ socket }) => socket?.write('HTTP/1.1 200 OK\r\nx-a: '),
      ({ socket }) => socket?.write('a'),
    ),
    interrupt: 5000,
  },
  'no answer at all': { splits: () => undefined, interrupt: 5000 },
};

it('no Hub makes the program use much memory or miss a signal', async () => {
  const cases: Cases = Object.fromEntries(
    Object.entries(HUBS).map(([name, { splits, rows, interrupt }]) => [
      name,
      async () => {
        const hub = await hostileServer(({ url = '' }, response) => {
          if (url.startsWith('/v1')) {
            response.writeHead(200, { 'content-type': 'application/json' });
            response.end(JSON.stringify(completion('x')));
          } else if (url.startsWith('/splits')) {
            if (splits === undefined) response.writeHead(200, HEADERS).end(SPLITS);
            else splits(response);
          } else if (url.startsWith('/rows') && rows !== undefined) rows(response);
          else response.writeHead(404, HEADERS).end('{"error":"no"}');
        });
        const columns = ['--prompt_column', 'prompt', '--response_column', 'response', '--limit', '300'];
        const flags = ['--dataset', 'a/b', ...columns, ...foldersIn(temporaryFolder())];
        return hostileRun(
          flags,
          { env: pointingAt(hub, { HF_TOKEN: 'hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567' }) },
          interrupt ?? null,
        );
      },
    ]),
  );
  await playHostile('hostile Hubs: huge, deep, endless, dripping, in circles', cases, ['nesting']);
});
