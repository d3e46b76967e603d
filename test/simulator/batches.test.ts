import { readdirSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { UsageError } from '../../src/lib/errors.js';
import { BATCH_FAULTS, parseBatchFaults, type BatchFault } from '../../src/simulator/batch-faults.js';
import { promptHash } from '../../src/simulator/chat.js';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import type { Simulator } from '../../src/simulator/server.js';
import {
  BATCH,
  BATCH_LIST,
  ERROR_BODY,
  ERROR_LINE,
  FILE_DELETED,
  FILE_LIST,
  FILE_OBJECT,
  OUTPUT_LINE,
  problemsOf,
  type Shape,
} from './openai-shapes.js';
import { ask, complete, refused, simulate, temporaryFolder } from './support.js';

const QUICK: SimulatorOptions = { batchValidationMs: 0, batchDurationMs: 0 };
const ENDED = ['failed', 'completed', 'expired', 'cancelled'];

interface Batch {
  id: string;
  status: string;
  model: string | null;
  output_file_id: string | null;
  error_file_id: string | null;
  errors: { data: { code: string; message: string; param: string | null; line: number | null }[] } | null;
  request_counts: { total: number; completed: number; failed: number };
  usage: { input_tokens: number; output_tokens: number; total_tokens: number } | null;
  created_at: number;
  [field: string]: unknown;
}

interface Line {
  id: string;
  custom_id: string;
  response: { status_code: number; body: unknown } | null;
  error?: { code: string } | null;
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

/** The JSON of an answer that has to succeed and to have a shape. */
async function get<Value>(answer: Promise<Response>, shape: Shape): Promise<Value> {
  const response = await answer;
  const value: unknown = await response.json();
  expect(problemsOf(value, shape)).toEqual([]);
  expect(response.status).toBe(200);
  return value as Value;
}

const row = (index: number): Record<string, unknown> => ({
  custom_id: `row-${index}`,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-4o-mini', ...ask(`Question ${index}?`) },
});

const rows = (count: number): Record<string, unknown>[] =>
  Array.from({ length: count }, (_, index) => row(index));

const jsonl = (lines: readonly unknown[]): string =>
  lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');

function formOf(content: string, fields: Record<string, string> = { purpose: 'batch' }): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('file', new Blob([content]), 'input.jsonl');
  return form;
}

const post = (
  simulator: Simulator,
  path: string,
  body: FormData | string,
  headers: Record<string, string> = {},
): Promise<Response> => fetch(`${simulator.url}/v1/${path}`, { method: 'POST', body, headers });

async function upload(simulator: Simulator, lines: readonly unknown[], key = 'key'): Promise<string> {
  const file = await get<{ id: string }>(
    post(simulator, 'files', formOf(jsonl(lines)), bearer(key)),
    FILE_OBJECT,
  );
  return file.id;
}

const order = (fileId: string, more: Record<string, unknown> = {}): string =>
  JSON.stringify({
    input_file_id: fileId,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
    ...more,
  });

const create = (simulator: Simulator, fileId: string, key = 'key'): Promise<Batch> =>
  get(post(simulator, 'batches', order(fileId), bearer(key)), BATCH);

const retrieve = (simulator: Simulator, id: string): Promise<Batch> =>
  get(fetch(`${simulator.url}/v1/batches/${id}`, { headers: bearer('key') }), BATCH);

const cancel = (simulator: Simulator, id: string): Promise<Response> =>
  post(simulator, `batches/${id}/cancel`, '', bearer('key'));

async function until(simulator: Simulator, id: string, there: (batch: Batch) => boolean): Promise<Batch> {
  for (;;) {
    const batch = await retrieve(simulator, id);
    if (there(batch)) return batch;
    await delay(1);
  }
}

const end = (simulator: Simulator, id: string): Promise<Batch> =>
  until(simulator, id, ({ status }) => ENDED.includes(status));

/** Uploads, creates and waits for the end. */
async function run(simulator: Simulator, lines: readonly unknown[]): Promise<Batch> {
  return end(simulator, (await create(simulator, await upload(simulator, lines))).id);
}

const content = (
  simulator: Simulator,
  id: string | null,
  headers: Record<string, string> = {},
): Promise<Response> =>
  fetch(`${simulator.url}/v1/files/${id ?? 'none'}/content`, { headers: { ...bearer('key'), ...headers } });

async function linesOf(simulator: Simulator, id: string | null): Promise<string[]> {
  if (id === null) return [];
  const text = await (await content(simulator, id)).text();
  expect(text.endsWith('\n')).toBe(true);
  return text.slice(0, -1).split('\n');
}

async function resultsOf(simulator: Simulator, batch: Batch): Promise<{ output: Line[]; errors: Line[] }> {
  const parse = async (id: string | null): Promise<Line[]> =>
    (await linesOf(simulator, id)).map((line) => JSON.parse(line) as Line);
  return { output: await parse(batch.output_file_id), errors: await parse(batch.error_file_id) };
}

const idsOf = (lines: readonly Line[]): string[] => lines.map((line) => line.custom_id).sort();
const idsOfRows = (count: number): string[] =>
  rows(count)
    .map((one) => one['custom_id'] as string)
    .sort();

function clientOf(simulator: Simulator, apiKey = 'key'): OpenAI {
  return new OpenAI({ apiKey, baseURL: `${simulator.url}/v1`, maxRetries: 0 });
}

/** A simulator whose first batches have the faults, and that is quick. */
const planned = (...batchPlans: BatchFault[][]): Promise<Simulator> => simulate({ ...QUICK, batchPlans });

/** Makes the system's folder for temporary files an empty one, for this test. */
function ownTemporaryFolder(): string {
  const folder = temporaryFolder();
  vi.stubEnv('TMPDIR', folder);
  return folder;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a batch', () => {
  it('answers each request as it would be answered online', async () => {
    const simulator = await simulate();
    const lines = rows(30);
    const batch = await run(simulator, lines);
    expect(batch).toMatchObject({
      status: 'completed',
      model: 'gpt-4o-mini-2024-07-18',
      errors: null,
      error_file_id: null,
      request_counts: { total: 30, completed: 30, failed: 0 },
      expires_at: batch.created_at + 86_400,
      metadata: null,
    });
    for (const time of ['in_progress_at', 'finalizing_at', 'completed_at'])
      expect(batch[time]).not.toBeNull();
    for (const time of ['failed_at', 'expired_at', 'cancelled_at']) expect(batch[time]).toBeNull();
    const { output } = await resultsOf(simulator, batch);
    expect(output.flatMap((line) => problemsOf(line, OUTPUT_LINE))).toEqual([]);
    expect(idsOf(output)).toEqual(idsOfRows(30));
    expect(output.map((line) => line.custom_id)).not.toEqual(lines.map((line) => line['custom_id']));
    expect(new Set(output.map((line) => line.id)).size).toBe(30);
    const usages = output.map((line) => (line.response?.body as OpenAI.ChatCompletion | undefined)?.usage);
    expect(batch.usage?.total_tokens).toBe(
      usages.reduce((sum, usage) => sum + (usage?.total_tokens ?? 0), 0),
    );
    const { answersByPrompt, ...counts } = simulator.statistics();
    expect(counts).toMatchObject({
      requests: 0,
      answered: 30,
      batchesCreated: 1,
      filesUploaded: 1,
      fileDownloads: 1,
    });
    expect(counts.batchRequests).toBeGreaterThan(3);
    expect(answersByPrompt[promptHash(ask('Question 3?').messages)]).toBe(1);
    const online = await complete(simulator, ask('Question 3?'));
    const line = output.find((one) => one.custom_id === 'row-3');
    expect((line?.response?.body as OpenAI.ChatCompletion | undefined)?.choices).toEqual(online.choices);
  });

  it('works with the official SDK', async () => {
    const simulator = await simulate(QUICK);
    const client = clientOf(simulator);
    const file = await client.files.create({
      file: await toFile(Buffer.from(jsonl(rows(3))), 'requests.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    expect(file).toMatchObject({ filename: 'requests.jsonl', bytes: jsonl(rows(3)).length });
    expect(file.expires_at).toBe(file.created_at + 3_600);
    const created = await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { purpose: 'test' },
      output_expires_after: { anchor: 'created_at', seconds: 7_200 },
    });
    expect(created).toMatchObject({ status: 'validating', metadata: { purpose: 'test' } });
    await end(simulator, created.id);
    const batch = await client.batches.retrieve(created.id);
    const output = await client.files.retrieve(batch.output_file_id ?? '');
    expect(output).toMatchObject({ purpose: 'batch_output', expires_at: output.created_at + 7_200 });
    const text = await (await client.files.content(output.id)).text();
    expect(Buffer.byteLength(text)).toBe(output.bytes);
    expect(text.split('\n').length - 1).toBe(3);
    const listed = [];
    for await (const one of client.batches.list({ limit: 1 })) listed.push(one.id);
    expect(listed).toEqual([batch.id]);
    const files = [];
    for await (const one of client.files.list({ limit: 1, order: 'asc' })) files.push(one.id);
    expect(files).toEqual([file.id, output.id]);
    await expect(client.batches.cancel(batch.id)).rejects.toMatchObject({ status: 409 });
    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    await expect(client.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
  });

  it('progresses over time', async () => {
    const simulator = await simulate({ batchDurationMs: 20_000 });
    const { id, ...created } = await create(simulator, await upload(simulator, rows(2_000)));
    expect(created).toMatchObject({
      status: 'validating',
      model: null,
      usage: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
    });
    const some = await until(simulator, id, ({ request_counts: counts }) => counts.completed > 0);
    expect(some).toMatchObject({ status: 'in_progress', output_file_id: null, usage: null });
    const { completed } = some.request_counts;
    const more = await until(simulator, id, ({ request_counts: counts }) => counts.completed > completed);
    expect(more.status).toBe('in_progress');
    expect(more.request_counts.completed).toBeLessThan(2_000);
  });

  it('has requests that are refused in its error file', async () => {
    const simulator = await simulate(QUICK);
    const wrong = { ...row(1), body: { model: 'gpt-4o-mini', messages: [] } };
    const batch = await run(simulator, [row(0), wrong]);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 2, completed: 1, failed: 1 },
    });
    const { output, errors } = await resultsOf(simulator, batch);
    expect(idsOf(output)).toEqual(['row-0']);
    expect(errors).toMatchObject([
      {
        custom_id: 'row-1',
        response: { status_code: 400, body: { error: { code: 'empty_array', param: 'messages' } } },
        error: null,
      },
    ]);
    expect(errors.flatMap((line) => problemsOf(line, ERROR_LINE))).toEqual([]);
    const { url } = await simulate(QUICK);
    expect(problemsOf(await (await fetch(`${url}/v1/batches/x`)).json(), ERROR_BODY)).toEqual([]);
  });

  it('has no output file where no request succeeds', async () => {
    const simulator = await simulate({ ...QUICK, models: ['gpt-4o'] });
    const batch = await run(simulator, rows(2));
    expect(batch).toMatchObject({ status: 'completed', output_file_id: null });
    const { errors } = await resultsOf(simulator, batch);
    expect(errors.map((line) => line.response?.status_code)).toEqual([404, 404]);
  });

  it('says the same in the same order each time', async () => {
    const outputOf = async (seed: number): Promise<string[]> => {
      const simulator = await simulate({ ...QUICK, seed });
      const { output } = await resultsOf(simulator, await run(simulator, rows(20)));
      return output.map((line) => line.custom_id);
    };
    expect(await outputOf(1)).toEqual(await outputOf(1));
    expect(await outputOf(1)).not.toEqual(await outputOf(2));
  });

  it('has many requests', async () => {
    const simulator = await simulate(QUICK);
    const batch = await run(simulator, rows(1_500));
    expect(batch.request_counts).toEqual({ total: 1_500, completed: 1_500, failed: 0 });
    expect(idsOf((await resultsOf(simulator, batch)).output)).toEqual(idsOfRows(1_500));
  });
});

describe('cancelling', () => {
  it('keeps finished requests, and reports the others as not done', async () => {
    const simulator = await simulate({ batchValidationMs: 0, batchDurationMs: 20_000 });
    const { id } = await create(simulator, await upload(simulator, rows(2_000)));
    await until(simulator, id, ({ request_counts: counts }) => counts.completed > 0);
    const cancelling = await get<Batch>(cancel(simulator, id), BATCH);
    expect(cancelling.status).toBe('cancelling');
    const batch = await end(simulator, id);
    expect(batch).toMatchObject({ status: 'cancelled', completed_at: null, request_counts: { failed: 0 } });
    expect(batch['cancelling_at']).not.toBeNull();
    expect(batch['cancelled_at']).not.toBeNull();
    const { output, errors } = await resultsOf(simulator, batch);
    expect(output.length).toBe(batch.request_counts.completed);
    expect(idsOf([...output, ...errors])).toEqual(idsOfRows(2_000));
    expect(errors.flatMap((line) => problemsOf(line, ERROR_LINE))).toEqual([]);
    expect(errors.every((line) => line.error?.code === 'batch_cancelled')).toBe(true);
    expect(await refused(cancel(simulator, id))).toMatchObject({
      status: 409,
      message: "Cannot cancel a batch with status 'cancelled'.",
    });
  });

  it('keeps nothing of a batch that was not validated yet', async () => {
    const simulator = await simulate({ batchValidationMs: 60_000 });
    const { id } = await create(simulator, await upload(simulator, rows(2)));
    await cancel(simulator, id);
    expect(await end(simulator, id)).toMatchObject({
      status: 'cancelled',
      output_file_id: null,
      error_file_id: null,
    });
    expect((await refused(cancel(simulator, 'batch_x'))).status).toBe(404);
    expect((await refused(post(simulator, `batches/${id}/other`, '', bearer('key')))).status).toBe(404);
  });
});

describe('the check of an input file', () => {
  const changed = (change: Record<string, unknown>): unknown => ({ ...row(1), ...change });

  it.each([
    ['a duplicate', changed({ custom_id: 'row-0' }), { code: 'duplicate_custom_id', param: 'custom_id' }],
    ['no JSON', '{"custom_id":', { code: 'invalid_json_line', param: null }],
    ['no object', '[]', { code: 'invalid_json_line', param: null }],
    ['no id', changed({ custom_id: undefined }), { code: 'missing_required_parameter', param: 'custom_id' }],
    ['a number as id', changed({ custom_id: 1 }), { code: 'invalid_type', param: 'custom_id' }],
    ['another method', changed({ method: 'GET' }), { code: 'invalid_method', param: 'method' }],
    ['another URL', changed({ url: '/v1/embeddings' }), { code: 'invalid_url', param: 'url' }],
    ['no body', changed({ body: null }), { code: 'missing_required_parameter', param: 'body' }],
    ['a text as body', changed({ body: 'text' }), { code: 'invalid_type', param: 'body' }],
    ['no model', changed({ body: ask('x') }), { code: 'missing_required_parameter', param: 'body.model' }],
    ['another model', changed({ body: { model: 'gpt-4o', ...ask('x') } }), { code: 'mismatched_model' }],
  ])('finds %s', async (_, line, expected) => {
    const simulator = await simulate(QUICK);
    const batch = await run(simulator, [row(0), line]);
    expect(batch).toMatchObject({
      status: 'failed',
      errors: { object: 'list', data: [{ line: 2, ...expected }] },
      request_counts: { total: 0, completed: 0, failed: 0 },
      output_file_id: null,
      error_file_id: null,
    });
    expect(batch['failed_at']).not.toBeNull();
    expect(simulator.statistics().answered).toBe(0);
  });

  it('finds an empty file', async () => {
    const batch = await run(await simulate(QUICK), []);
    expect(batch.errors?.data).toMatchObject([{ code: 'empty_file', line: null }]);
  });

  it('finds too many requests', async () => {
    const batch = await run(await simulate(QUICK), rows(50_001));
    expect(batch.errors?.data).toMatchObject([{ code: 'too_many_tasks', line: null }]);
  });

  it('reports a hundred errors at most', async () => {
    const batch = await run(
      await simulate(QUICK),
      Array.from({ length: 150 }, () => '{'),
    );
    expect(batch.errors?.data.map(({ line }) => line)).toEqual(
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
  });
});

describe('the limit of enqueued tokens', () => {
  // 400 characters are 100 tokens.
  const large = (index: number): unknown => ({
    ...row(index),
    body: { model: 'gpt-4o-mini', ...ask('x'.repeat(400)) },
  });

  it('counts batches in progress, of one account only', async () => {
    const simulator = await simulate({
      batchValidationMs: 0,
      batchDurationMs: 60_000,
      enqueuedTokenLimit: 1_100,
    });
    const lines = Array.from({ length: 10 }, (_, index) => large(index));
    const first = await create(simulator, await upload(simulator, lines));
    await until(simulator, first.id, ({ status }) => status === 'in_progress');
    const second = await end(
      simulator,
      (await create(simulator, await upload(simulator, [large(0), large(1)]))).id,
    );
    expect(second.status).toBe('failed');
    expect(second.errors?.data).toEqual([
      {
        code: 'token_limit_exceeded',
        message:
          'Enqueued token limit reached for gpt-4o-mini in organization org-simulator. Limit: 1,100 enqueued tokens. ' +
          'Please try again once some in_progress batches have been completed.',
        param: null,
        line: null,
      },
    ]);
    const small = await create(simulator, await upload(simulator, [large(0)]));
    await until(simulator, small.id, ({ status }) => status === 'in_progress');
    const other = await create(simulator, await upload(simulator, lines, 'other'), 'other');
    const { id } = first;
    await cancel(simulator, id);
    await end(simulator, id);
    const third = await create(simulator, await upload(simulator, [large(0), large(1)]));
    await until(simulator, third.id, ({ status }) => status === 'in_progress');
    const seen = await fetch(`${simulator.url}/v1/batches/${other.id}`, { headers: bearer('other') });
    expect(await seen.json()).toMatchObject({ status: 'in_progress' });
  });
});

describe('creating a batch', () => {
  it.each([
    ['no file', { input_file_id: undefined }, { param: 'input_file_id', code: 'missing_required_parameter' }],
    ['an unknown file', { input_file_id: 'file-x' }, { message: 'No such File object: file-x' }],
    [
      'another endpoint',
      { endpoint: '/v1/embeddings' },
      {
        message:
          "Invalid value: '/v1/embeddings'. Supported values are: '/v1/chat/completions', '/v1/responses'.",
        param: 'endpoint',
        code: 'invalid_value',
      },
    ],
    ['another window', { completion_window: '48h' }, { param: 'completion_window', code: 'invalid_value' }],
    ['an unknown parameter', { model: 'gpt-4o' }, { param: 'model', code: 'unknown_parameter' }],
    [
      'too much metadata',
      { metadata: Object.fromEntries(rows(17).map((_, index) => [`key${index}`, ''])) },
      { param: 'metadata', code: 'object_above_max_properties' },
    ],
    ['a long key', { metadata: { ['k'.repeat(65)]: '' } }, { code: 'string_above_max_length' }],
    ['a long value', { metadata: { key: 'v'.repeat(513) } }, { code: 'string_above_max_length' }],
    ['a number as value', { metadata: { key: 1 } }, { code: 'invalid_type' }],
    ['a list as metadata', { metadata: [] }, { code: 'invalid_type' }],
    [
      'results for a minute',
      { output_expires_after: { anchor: 'created_at', seconds: 60 } },
      { param: 'output_expires_after.seconds', code: 'integer_below_min_value' },
    ],
  ])('is refused with %s', async (_, change, expected) => {
    const simulator = await simulate(QUICK);
    const id = await upload(simulator, rows(1));
    expect(await refused(post(simulator, 'batches', order(id, change), bearer('key')))).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      ...expected,
    });
    expect(simulator.statistics().batchesCreated).toBe(0);
  });

  it('takes all the metadata that is allowed', async () => {
    const simulator = await simulate(QUICK);
    const id = await upload(simulator, rows(1));
    const metadata = Object.fromEntries(
      rows(16).map((_, index) => [`${index}`.padEnd(64, 'k'), 'v'.repeat(512)]),
    );
    const batch = await get<Batch>(post(simulator, 'batches', order(id, { metadata }), bearer('key')), BATCH);
    expect(batch['metadata']).toEqual(metadata);
  });

  it('is refused without JSON and with results as input', async () => {
    const simulator = await simulate(QUICK);
    expect((await refused(post(simulator, 'batches', '{', bearer('key')))).status).toBe(400);
    const { output_file_id: id } = await run(simulator, rows(1));
    expect((await refused(post(simulator, 'batches', order(id ?? ''), bearer('key')))).message).toBe(
      "Invalid file purpose: expected 'batch', but got 'batch_output' instead.",
    );
  });

  it('fails later if the file was deleted', async () => {
    const folder = ownTemporaryFolder();
    const simulator = await simulate(QUICK);
    const id = await upload(simulator, rows(1));
    rmSync(join(folder, readdirSync(folder)[0] ?? '', '1'));
    const batch = await end(simulator, (await create(simulator, id)).id);
    expect(batch.errors?.data).toMatchObject([{ code: 'server_error', line: null }]);
  });
});

describe('lists', () => {
  it('have the newest batch first, page by page', async () => {
    const simulator = await simulate(QUICK);
    const file = await upload(simulator, rows(1));
    const ids: string[] = [];
    for (let count = 0; count < 5; count++) ids.unshift((await create(simulator, file)).id);
    const list = (query: string): Promise<Record<string, unknown> & { data: Batch[] }> =>
      get(fetch(`${simulator.url}/v1/batches${query}`, { headers: bearer('key') }), BATCH_LIST);
    const first = await list('?limit=2');
    expect(first).toMatchObject({ object: 'list', first_id: ids[0], last_id: ids[1], has_more: true });
    const second = await list(`?limit=3&after=${ids[1] ?? ''}`);
    expect(second.data.map(({ id }) => id)).toEqual(ids.slice(2));
    expect(second['has_more']).toBe(false);
    expect((await list('')).data.length).toBe(5);
    const bad = (query: string): Promise<{ status: number; message: string }> =>
      refused(fetch(`${simulator.url}/v1/batches?${query}`, { headers: bearer('key') }));
    expect(await bad('limit=0')).toMatchObject({ status: 400, param: 'limit' });
    expect(await bad('limit=101')).toMatchObject({ status: 400, param: 'limit' });
    expect(await bad('after=batch_x')).toMatchObject({ status: 404 });
  });

  it('have the files of a purpose', async () => {
    const simulator = await simulate(QUICK);
    const batch = await run(simulator, rows(1));
    const list = async (query: string): Promise<string[]> => {
      const answer = fetch(`${simulator.url}/v1/files${query}`, { headers: bearer('key') });
      return (await get<{ data: { id: string }[] }>(answer, FILE_LIST)).data.map(({ id }) => id);
    };
    expect(await list('')).toEqual([batch.output_file_id, batch['input_file_id']]);
    expect(await list('?order=asc&limit=1')).toEqual([batch['input_file_id']]);
    expect(await list('?purpose=batch_output')).toEqual([batch.output_file_id]);
    expect(await list('?purpose=vision')).toEqual([]);
  });
});

describe('keys', () => {
  it('see their own files and batches alone', async () => {
    const simulator = await simulate(QUICK);
    const batch = await run(simulator, rows(1));
    const file = batch.output_file_id ?? '';
    const other = (path: string, method = 'GET'): Promise<Response> =>
      fetch(`${simulator.url}/v1/${path}`, { method, headers: bearer('other') });
    expect(await refused(other(`batches/${batch.id}`))).toMatchObject({
      status: 404,
      message: `No batch found with id '${batch.id}'.`,
    });
    expect((await refused(other(`batches/${batch.id}/cancel`, 'POST'))).status).toBe(404);
    for (const path of [`files/${file}`, `files/${file}/content`]) {
      expect(await refused(other(path))).toMatchObject({
        status: 404,
        message: `No such File object: ${file}`,
      });
    }
    expect((await refused(other(`files/${file}`, 'DELETE'))).status).toBe(404);
    expect(await (await other('batches')).json()).toMatchObject({ data: [], first_id: null, last_id: null });
    expect(await (await other('files')).json()).toMatchObject({ data: [], has_more: false });
    const input = String(batch['input_file_id']);
    expect((await refused(post(simulator, 'batches', order(input), bearer('other')))).status).toBe(400);
    expect((await content(simulator, file)).status).toBe(200);
  });

  it('are asked for where there is one', async () => {
    const simulator = await simulate({ ...QUICK, apiKey: 'key' });
    expect((await run(simulator, rows(1))).status).toBe('completed');
    expect((await refused(fetch(`${simulator.url}/v1/batches`))).status).toBe(401);
    const wrong = post(simulator, 'files', formOf(''), bearer('other'));
    expect(await refused(wrong)).toMatchObject({ status: 401, code: 'invalid_api_key' });
  });
});

/** Sends a body in pieces, as they are given. */
async function sendRaw(
  simulator: Simulator,
  headers: Record<string, string | number>,
  pieces: readonly Buffer[],
): Promise<{ status: number; body: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = httpRequest(`${simulator.url}/v1/files`, { method: 'POST', headers }, resolve);
    request.on('error', reject);
    for (const piece of pieces) request.write(piece);
    if (headers['content-length'] === undefined) request.end();
    else request.flushHeaders();
  });
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise((resolve) => response.on('close', resolve));
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') };
}

describe('an upload', () => {
  it('is the same when it comes in pieces', async () => {
    const simulator = await simulate();
    const file = 'a\r\n--b\r\n--bounda\r\n\r\nü\u2028\n';
    const form = Buffer.from(
      'preamble\r\n--boundary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch' +
        '\r\n--boundary\r\ncontent-disposition: form-data; name="file"; filename="ä.jsonl"\r\n' +
        `Content-Type: application/jsonl\r\n\r\n${file}\r\n--boundary--\r\nepilogue`,
    );
    const type = { 'content-type': 'multipart/form-data; boundary="boundary"', ...bearer('key') };
    for (const size of [1, 7, 1_000]) {
      const pieces: Buffer[] = [];
      for (let start = 0; start < form.length; start += size) pieces.push(form.subarray(start, start + size));
      const { status, body } = await sendRaw(simulator, type, pieces);
      expect(status).toBe(200);
      const stored = JSON.parse(body) as { id: string; bytes: number };
      expect(stored).toMatchObject({ bytes: Buffer.byteLength(file), filename: 'ä.jsonl' });
      expect(await (await content(simulator, stored.id)).text()).toBe(file);
    }
    const torn = await sendRaw(simulator, type, [form.subarray(0, -30)]);
    expect(torn).toMatchObject({ status: 400, body: expect.stringContaining('multipart') as string });
  });

  it('is refused where it is wrong', async () => {
    const simulator = await simulate();
    const send = (fields: Record<string, string>): ReturnType<typeof refused> =>
      refused(post(simulator, 'files', formOf('{}', fields), bearer('key')));
    expect(await send({})).toMatchObject({ status: 400, message: "'purpose' is a required property" });
    expect(await send({ purpose: 'fine-tune' })).toMatchObject({ status: 400, param: 'purpose' });
    const lifetime = { purpose: 'batch', 'expires_after[anchor]': 'created_at' };
    for (const seconds of ['3599', '2592001', 'long', '']) {
      expect(await send({ ...lifetime, 'expires_after[seconds]': seconds })).toMatchObject({
        status: 400,
        param: 'expires_after.seconds',
      });
    }
    expect(await send({ purpose: 'batch', 'expires_after[seconds]': '3600' })).toMatchObject({
      param: 'expires_after.anchor',
    });
    expect(await send({ purpose: 'batch', more: 'x'.repeat(70_000) })).toMatchObject({ status: 400 });
    const noFile = new FormData();
    noFile.set('purpose', 'batch');
    expect((await refused(post(simulator, 'files', noFile, bearer('key')))).message).toBe(
      "'file' is a required property",
    );
    expect((await refused(post(simulator, 'files', '{}', bearer('key')))).message).toContain(
      'expected multipart/form-data',
    );
    expect(simulator.statistics().filesUploaded).toBe(0);
  });

  it('is refused where it is too large', async () => {
    const headers = {
      'content-type': 'multipart/form-data; boundary=b',
      'content-length': 600_000_000,
      authorization: 'Bearer key',
    };
    const { status, body } = await sendRaw(await simulate(), headers, []);
    expect(status).toBe(413);
    expect(body).toContain('Maximum content size limit (536870912) exceeded');
  });

  it('is on disk until the simulator stops', async () => {
    const folder = ownTemporaryFolder();
    const simulator = await simulate({ batchValidationMs: 0, batchDurationMs: 60_000 });
    expect(readdirSync(folder)).toEqual([]);
    await create(simulator, await upload(simulator, rows(10)));
    expect(readdirSync(folder).length).toBe(1);
    await simulator.close();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a download', () => {
  it('can begin anywhere', async () => {
    const simulator = await simulate();
    const text = jsonl(rows(3));
    const id = await upload(simulator, rows(3));
    const whole = await content(simulator, id);
    expect(whole.headers.get('content-length')).toBe(String(text.length));
    expect(await whole.text()).toBe(text);
    const part = await content(simulator, id, { range: 'bytes=10-' });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe(`bytes 10-${text.length - 1}/${text.length}`);
    expect(await part.text()).toBe(text.slice(10));
    expect(await (await content(simulator, id, { range: 'bytes=10-19' })).text()).toBe(text.slice(10, 20));
    const beyond = await content(simulator, id, { range: `bytes=${text.length}-` });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get('content-range')).toBe(`bytes */${text.length}`);
    expect(await (await content(simulator, await upload(simulator, []))).text()).toBe('');
  });

  it('ends once the file is deleted', async () => {
    const simulator = await simulate();
    const id = await upload(simulator, rows(1));
    const url = `${simulator.url}/v1/files/${id}`;
    await get(fetch(url, { method: 'DELETE', headers: bearer('key') }), FILE_DELETED);
    expect((await refused(content(simulator, id))).status).toBe(404);
    expect((await refused(fetch(`${url}/other`, { headers: bearer('key') }))).status).toBe(404);
  });
});

describe('faults of batches', () => {
  it('expire: half of it is done', async () => {
    const simulator = await planned(['expire']);
    const batch = await run(simulator, rows(10));
    expect(batch).toMatchObject({
      status: 'expired',
      completed_at: null,
      request_counts: { total: 10, completed: 5, failed: 0 },
    });
    expect(batch['expired_at']).not.toBeNull();
    const { output, errors } = await resultsOf(simulator, batch);
    expect(output.length).toBe(5);
    expect(idsOf([...output, ...errors])).toEqual(idsOfRows(10));
    expect(errors[0]).toMatchObject({
      response: null,
      error: {
        code: 'batch_expired',
        message: 'This request could not be executed before the completion window expired.',
      },
    });
    expect(errors.flatMap((line) => problemsOf(line, ERROR_LINE))).toEqual([]);
    expect(simulator.statistics().answered).toBe(5);
  });

  it.each([
    ['row_errors', 500, { error: { type: 'server_error' } }],
    ['row_refused', 400, { error: { type: 'invalid_request_error' } }],
    ['status_zero', 0, ''],
  ] as const)('%s: some rows fail, other ones each time', async (fault, status, body) => {
    const simulator = await planned([fault], [fault], []);
    const failed = async (): Promise<string[]> => {
      const batch = await run(simulator, rows(100));
      expect(batch).toMatchObject({
        status: 'completed',
        request_counts: { total: 100, completed: 95, failed: 5 },
      });
      const { output, errors } = await resultsOf(simulator, batch);
      expect(idsOf([...output, ...errors])).toEqual(idsOfRows(100));
      for (const line of errors) {
        expect(line.response?.status_code).toBe(status);
        expect(line.error).toBeNull();
        if (body === '') expect(line.response?.body).toBe('');
        else expect(line.response?.body).toMatchObject(body);
      }
      return idsOf(errors);
    };
    expect(await failed()).not.toEqual(await failed());
    expect((await run(simulator, rows(100))).error_file_id).toBeNull();
  });

  it('row_errors: at least one row, and each kind its own', async () => {
    const simulator = await planned(['row_errors'], ['row_errors', 'row_refused', 'status_zero']);
    expect((await run(simulator, rows(1))).request_counts).toEqual({ total: 1, completed: 0, failed: 1 });
    const { errors } = await resultsOf(simulator, await run(simulator, rows(20)));
    expect(errors.map((line) => line.response?.status_code).sort()).toEqual([0, 400, 500]);
  });

  it('null_error_missing: lines without the field error', async () => {
    const simulator = await planned(['null_error_missing', 'row_errors']);
    const { output, errors } = await resultsOf(simulator, await run(simulator, rows(5)));
    expect([...output, ...errors].some((line) => 'error' in line)).toBe(false);
    expect([...output, ...errors].length).toBe(5);
  });

  it('lying_counts: every request is reported as completed', async () => {
    const batch = await run(await planned(['lying_counts', 'row_errors']), rows(5));
    expect(batch.request_counts).toEqual({ total: 5, completed: 5, failed: 0 });
    expect(batch.error_file_id).not.toBeNull();
  });

  it('no_output: nothing but errors', async () => {
    const simulator = await planned(['no_output']);
    const batch = await run(simulator, rows(5));
    expect(batch).toMatchObject({ status: 'completed', output_file_id: null });
    const { errors } = await resultsOf(simulator, batch);
    expect(errors.map((line) => line.response?.status_code)).toEqual([500, 500, 500, 500, 500]);
    expect(simulator.statistics().answered).toBe(0);
  });

  it('validation, queue: it fails', async () => {
    const simulator = await planned(['validation'], ['validation'], ['queue'], []);
    const code = 'invalid_json_line';
    expect((await run(simulator, rows(3))).errors?.data).toMatchObject([{ code, line: 2 }]);
    expect((await run(simulator, rows(1))).errors?.data).toMatchObject([{ code, line: 1 }]);
    const queued = await run(simulator, rows(1));
    expect(queued.status).toBe('failed');
    expect(queued.errors?.data).toMatchObject([
      { code: 'token_limit_exceeded', message: expect.stringContaining('Limit: 90,000 enqueued') as string },
    ]);
    expect((await run(simulator, rows(1))).status).toBe('completed');
  });

  it('hang_create, error_create: the batch is created nevertheless', async () => {
    const simulator = await planned(['hang_create'], ['error_create']);
    const id = await upload(simulator, rows(1));
    const controller = new AbortController();
    const hanging = fetch(`${simulator.url}/v1/batches`, {
      method: 'POST',
      body: order(id),
      headers: bearer('key'),
      signal: controller.signal,
    });
    while (simulator.statistics().batchesCreated === 0) await delay(1);
    controller.abort();
    await expect(hanging).rejects.toThrow();
    expect(await refused(post(simulator, 'batches', order(id), bearer('key')))).toMatchObject({
      status: 500,
      type: 'server_error',
    });
    const listed = await clientOf(simulator).batches.list();
    expect(listed.data.length).toBe(2);
    for (const batch of listed.data) expect((await end(simulator, batch.id)).status).toBe('completed');
  });

  it('refuse_create, busy_create: nothing is made', async () => {
    const simulator = await planned(['refuse_create'], ['busy_create', 'expire'], []);
    const id = await upload(simulator, rows(2));
    const send = (): Promise<Response> => post(simulator, 'batches', order(id), bearer('key'));
    expect(await refused(send())).toMatchObject({ status: 400, type: 'invalid_request_error' });
    const busy = await send();
    expect(busy.status).toBe(429);
    expect(busy.headers.get('retry-after-ms')).toBe('20');
    expect(await busy.json()).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
    expect(simulator.statistics().batchesCreated).toBe(0);
    expect((await end(simulator, (await create(simulator, id)).id)).status).toBe('expired');
    expect((await end(simulator, (await create(simulator, id)).id)).status).toBe('completed');
  });

  it('stuck: it makes no progress and can only be cancelled', async () => {
    const simulator = await planned(['stuck']);
    const { id } = await create(simulator, await upload(simulator, rows(10)));
    const stuck = await until(simulator, id, ({ request_counts: counts }) => counts.completed === 5);
    expect(stuck.status).toBe('in_progress');
    await cancel(simulator, id);
    const batch = await end(simulator, id);
    expect(batch).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 10, completed: 5, failed: 0 },
    });
    const { output, errors } = await resultsOf(simulator, batch);
    expect([output.length, errors.length]).toEqual([5, 5]);
  });

  it('cut_download: downloads break off and can be resumed', async () => {
    const simulator = await planned(['cut_download', 'row_errors']);
    const batch = await run(simulator, rows(10));
    /** What came of a download before it ended or was cut. */
    const read = async (id: string | null, from: number): Promise<Buffer> => {
      const response = await content(simulator, id, from === 0 ? {} : { range: `bytes=${from}-` });
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of response.body ?? []) chunks.push(chunk as Uint8Array);
      } catch {
        expect(Buffer.concat(chunks).length).toBe(Number(response.headers.get('content-length')) >> 1);
      }
      return Buffer.concat(chunks);
    };
    for (const id of [batch.output_file_id, batch.error_file_id]) {
      const half = await read(id, 0);
      const more = await read(id, half.length);
      const rest = await read(id, half.length);
      const whole = await read(id, 0);
      expect(half.length).toBe(whole.length >> 1);
      expect(rest.subarray(0, more.length).equals(more)).toBe(true);
      expect(more.length).toBe(rest.length >> 1);
      expect(Buffer.concat([half, rest]).equals(whole)).toBe(true);
    }
    expect(simulator.statistics().fileDownloads).toBe(8);
  });

  it('duplicate_line, foreign_line, torn_line: one line each', async () => {
    const simulator = await planned(['duplicate_line'], ['foreign_line'], ['torn_line']);
    const twice = idsOf((await resultsOf(simulator, await run(simulator, rows(5)))).output);
    expect(twice.length).toBe(6);
    expect([...new Set(twice)]).toEqual(idsOfRows(5));
    const foreign = idsOf((await resultsOf(simulator, await run(simulator, rows(5)))).output);
    expect(foreign).toEqual(['foreign-1', ...idsOfRows(5)]);
    expect(simulator.statistics().answered).toBe(10);
    const torn = await linesOf(simulator, (await run(simulator, rows(5))).output_file_id);
    const readable = torn.filter((line) => {
      try {
        return problemsOf(JSON.parse(line), OUTPUT_LINE).length === 0;
      } catch {
        return false;
      }
    });
    expect([torn.length, readable.length]).toEqual([5, 4]);
    expect(simulator.statistics().answered).toBe(14);
  });

  it('are drawn beyond the plan, the same each time', async () => {
    const statuses = async (seed: number): Promise<string[]> => {
      const batchFaults = { expire: 0.3, validation: 0.3 };
      const simulator = await simulate({ ...QUICK, batchPlans: [['queue']], batchFaults, seed });
      const file = await upload(simulator, rows(2));
      const seen = [];
      for (let count = 0; count < 20; count++) {
        seen.push((await end(simulator, (await create(simulator, file)).id)).status);
      }
      return seen;
    };
    const first = await statuses(1);
    expect(first[0]).toBe('failed');
    expect(new Set(first)).toEqual(new Set(['failed', 'expired', 'completed']));
    expect(await statuses(1)).toEqual(first);
    expect(await statuses(2)).not.toEqual(first);
  });
});

describe('the text form of faults of batches', () => {
  it('is read', () => {
    expect(parseBatchFaults('expire=0.1, row_errors=0.2')).toEqual({ expire: 0.1, row_errors: 0.2 });
  });

  it.each([
    '',
    'unknown=0.1',
    'expire',
    'expire=',
    'expire=2',
    'expire=much',
    'toString=0.1',
    'expire=0.6,queue=0.6',
  ])('is refused where it is wrong: %j', (text) => {
    expect(() => parseBatchFaults(text)).toThrow(UsageError);
  });

  it('is explained with the names of all faults', () => {
    expect(() => parseBatchFaults('slow=0.1')).toThrow(Object.keys(BATCH_FAULTS).join(', '));
  });
});
