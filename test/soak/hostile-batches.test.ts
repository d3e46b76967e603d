/** Result files of a server that means it ill. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it, vi } from 'vitest';
import { alpacaRows, writeJson } from '../support/data.js';
import { temporaryFolder, pointingAt } from '../support/cli.js';
import { batchArguments, submit } from '../support/batch-cli.js';
import { hostileRun, hostileServer, pour } from '../support/hostile-run.js';
import { completion } from '../support/scripted-api.js';
import { around, endless, MEGABYTE, playHostile, repeated, type Cases } from './hostile.js';

vi.setConfig({ testTimeout: 3_600_000 });

/** Just below what a line may have. */
const LINE = 15.5 * MEGABYTE;
const ROWS = 20;

const result = (row: number, body: unknown, status = 200): unknown => ({
  id: 'r',
  custom_id: String(row),
  response: { status_code: status, request_id: 'x', body },
  error: null,
});
const LAST = `${JSON.stringify(result(1, completion('x')))}\n`;

type Pieces = () => Iterable<string | Buffer>;

const line =
  (text: string, value: unknown, size = LINE): Pieces =>
  () => {
    const [before, after] = around(value);
    return repeated(text, size, before, `${after}\n${LAST}`);
  };
const inList =
  (text: string): Pieces =>
  () => {
    const [before, after] = around(result(0, { ...completion('x'), extra: '@@' }), '"@@"');
    return repeated(text, LINE, `${before}[`, `0]${after}\n${LAST}`);
  };

const FILES: Record<string, Pieces> = {
  'a line of 700 MB': line('x', result(0, completion('@@')), 700 * MEGABYTE),
  'a line of 60 MB': line('x', result(0, completion('@@')), 60 * MEGABYTE),
  'an answer of 15 MB': line('x', result(0, completion('@@'))),
  'an answer of 15 MB with an emoji': line('x', result(0, completion('😀@@'))),
  'an answer of escapes': line('\\u0073%6b&#45;', result(0, completion('@@'))),
  'an error of 15 MB': line('limit 1 ', result(0, { error: { message: '@@' } }, 429)),
  'errors of 3 MB': function* () {
    const [before, after] = around(result(0, { error: { message: '@@' } }, 429));
    for (let row = 0; row < ROWS; row++)
      yield* repeated('limit 1 ', 3 * MEGABYTE, before.replace('"0"', `"${row}"`), `${after}\n`);
  },
  'a list of numbers': inList('1,'),
  'a list of lists': inList('[],'),
  nesting: () => repeated('[', LINE, '{"custom_id":"0","response":', `\n${LAST}`),
  'an array of one line': () => repeated(`${LAST.trim()},`, 60 * MEGABYTE, '[', `${LAST.trim()}]`),
  'an array that never ends': () => repeated('[', 60 * MEGABYTE, '[', ''),
  'a gzip bomb': () => [gzipSync(Buffer.alloc(700 * MEGABYTE, 'a'))],
  'blank lines': () => repeated('\n', 60 * MEGABYTE, '', LAST),
  'lines of nobody': () => repeated(LAST.replace('"1"', '"999"'), 60 * MEGABYTE, '', LAST),
  'an endless file': () => endless('x', '{"custom_id":"0","x":"'),
};

/** What a batch itself is, where a server puts the results into it. */
const BATCHES: Record<string, Pieces> = {
  'a batch with a text of 700 MB in it': () =>
    repeated('x', 700 * MEGABYTE, '{"id":"batch_1","results":"', '"}'),
  'a batch with results of 700 MB in it': () =>
    repeated(LAST.replace('\n', ','), 700 * MEGABYTE, '{"id":"batch_1","outputs":[', '0]}'),
  'a batch of opening brackets': () => repeated('[', 700 * MEGABYTE, '{"id":"batch_1","response":', ''),
  'a batch with results of 15 MB in it': () =>
    repeated(LAST.replace('\n', ','), LINE, '{"id":"batch_1","status":"completed","outputs":[', '0]}'),
};

/** A Files and Batch API whose result file, or batch, is hostile. */
function answer(
  pieces: Pieces,
  isBatch: boolean,
): (request: IncomingMessage, response: ServerResponse) => void {
  return ({ url = '', method }, response) => {
    const send = (value: unknown): void => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    const batch = (status: string): unknown => ({
      ...{ id: 'batch_1', object: 'batch', endpoint: '/v1/chat/completions', status, errors: null },
      ...{
        input_file_id: 'file-in',
        output_file_id: status === 'completed' ? 'file-out' : null,
        error_file_id: null,
      },
      ...{ created_at: 1, in_progress_at: 2, completed_at: 3, completion_window: '24h' },
      request_counts: { total: ROWS, completed: ROWS, failed: 0 },
    });
    if (isBatch && method === 'GET' && url.startsWith('/v1/batches/'))
      pour(response, pieces()[Symbol.iterator]());
    else if (url.endsWith('/content')) pour(response, pieces()[Symbol.iterator]());
    else if (url.startsWith('/v1/files')) send({ id: 'file-in' });
    else if (url.startsWith('/v1/batches/')) send(batch('completed'));
    else if (url.startsWith('/v1/batches'))
      send(method === 'POST' ? batch('validating') : { data: [batch('completed')] });
    else response.writeHead(404).end('{}');
  };
}

it('no result file makes the program use much memory or miss a signal', async () => {
  const cases: Cases = Object.fromEntries(
    Object.entries({ ...FILES, ...BATCHES }).map(([name, pieces]) => [
      name,
      async () => {
        const folder = temporaryFolder();
        const data = writeJson(folder, 'data.json', alpacaRows(ROWS));
        const api = await hostileServer(answer(pieces, name in BATCHES));
        const work = join(folder, 'work');
        const submitted = await submit(api, data, work);
        expect(submitted.code, submitted.stderr).toBe(0);
        // The batch says that more was answered than there is: the program looks again until it is stopped.
        const flags = [...batchArguments(data, work), '--check_interval', '0.2'];
        return hostileRun(flags, { program: 'watch-batch', cwd: work, env: pointingAt(api) }, 12_000);
      },
    ]),
  );
  await playHostile('hostile result files: huge, deep, packed, endless', cases, []);
});
