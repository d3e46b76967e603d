import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { parquetMetadata, parquetReadObjects, type SchemaElement } from 'hyparquet';
import { describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { exportFile, exportResults, OUTPUT_FORMATS } from '../../src/exports/index.js';
import { codePoint } from '../support/code-point.js';
import { submit, watch } from '../support/batch-cli.js';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  runCli,
  simulator,
  temporaryFolder,
  type ResultRow,
} from '../support/cli.js';
import { alpacaRows, writeJson, writeJsonl } from '../support/data.js';
import { apiError, completion, scriptedApi } from '../support/scripted-api.js';

vi.setConfig({ testTimeout: 120_000 });

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 20);
const ALL = ['--output_format', OUTPUT_FORMATS.join(',')];
const FILES = ['reannotated.jsonl', 'reannotated.parquet', 'sharegpt.jsonl', 'messages.jsonl', 'dpo.jsonl'];

interface Message {
  role: string;
  content: string;
}

/** The requests of rows, as the formats for training hold them. */
function request(row: ResultRow): Message[] | null {
  if (row.request_messages !== undefined && row.request_messages !== null) return row.request_messages;
  if (row.user_prompt === null) return null;
  const user = { role: 'user', content: row.user_prompt };
  return row.system_prompt === '' ? [user] : [{ role: 'system', content: row.system_prompt }, user];
}

function chat(row: ResultRow): Message[] {
  return [...(request(row) ?? []), { role: 'assistant', content: row.annotation ?? '' }];
}

const FROM: Record<string, string> = { system: 'system', user: 'human', assistant: 'gpt' };

/** What each file of JSON Lines is to hold. */
function expected(rows: readonly ResultRow[]): Record<string, unknown[]> {
  const annotated = rows.filter((row) => row.annotation !== null && request(row) !== null);
  return {
    'reannotated.jsonl': [...rows],
    'messages.jsonl': annotated.map((row) => ({ messages: chat(row) })),
    'sharegpt.jsonl': annotated.map((row) => ({
      conversations: chat(row).map(({ role, content }) => ({ from: FROM[role], value: content })),
    })),
    'dpo.jsonl': annotated
      .filter(({ annotation, annotation_original: old }) => (old ?? '') !== '' && old !== annotation)
      .map((row) => ({
        prompt: request(row),
        chosen: [{ role: 'assistant', content: row.annotation }],
        rejected: [{ role: 'assistant', content: row.annotation_original }],
      })),
  };
}

/** Checks that a file has all rows: first some that were moved there for their types, then the others in their order. */
function expectMoved(read: readonly unknown[], objects: readonly unknown[], leading: number): void {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  const rest = objects.map(plain);
  const take = (row: unknown, from: number): number => {
    const found = rest.findIndex((one, place) => place >= from && isDeepStrictEqual(one, plain(row)));
    expect(found).toBeGreaterThanOrEqual(from);
    rest.splice(found, 1);
    return found;
  };
  let place = 0;
  for (const row of read.slice(leading)) place = take(row, place);
  for (const row of read.slice(0, leading)) take(row, 0);
  expect(rest).toEqual([]);
}

function readJsonLines(path: string): unknown[] {
  const text = readFileSync(path, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
}

async function readParquet(path: string): Promise<{
  rows: Record<string, unknown>[];
  schema: SchemaElement[];
  groups: number;
  codecs: Set<string | undefined>;
}> {
  const bytes = readFileSync(path);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const metadata = parquetMetadata(file);
  const columns = metadata.row_groups.flatMap((group) => group.columns);
  const rows = await parquetReadObjects({ file });
  return {
    // hyparquet gives undefined for a list of structs that is null.
    rows: rows.map((row) =>
      'request_messages' in row ? { ...row, request_messages: row['request_messages'] ?? null } : row,
    ),
    schema: metadata.schema,
    groups: metadata.row_groups.length,
    codecs: new Set(columns.map((column) => column.meta_data?.codec)),
  };
}

/** A row as Parquet holds it. */
function inParquet(row: ResultRow, shape: { several: boolean; metadata: boolean; chats: boolean }): unknown {
  const { state, model, finish_reason, usage } = row.metadata ?? {};
  const tokens = (name: string): unknown => {
    const value = (usage as Record<string, unknown> | null | undefined)?.[name];
    return Number.isSafeInteger(value) ? BigInt(value as number) : null;
  };
  return {
    system_prompt: row.system_prompt,
    user_prompt: row.user_prompt,
    annotation_original: row.annotation_original,
    annotation: row.annotation,
    ...(shape.chats ? { request_messages: row.request_messages ?? null } : {}),
    ...(shape.several ? { annotations: row.annotations } : {}),
    ...(shape.metadata
      ? {
          state,
          model,
          finish_reason,
          prompt_tokens: tokens('prompt_tokens'),
          completion_tokens: tokens('completion_tokens'),
        }
      : {}),
  };
}

/** Compares every file of a run with its `reannotated.json`. */
async function expectAllFormats(
  folder: string,
  shape: { several?: boolean; metadata?: boolean; chats?: boolean } = {},
): Promise<void> {
  const results = resultsIn(folder);
  const rows = results.rows();
  for (const [file, objects] of Object.entries(expected(rows))) {
    expect(readJsonLines(results.saved(file)), file).toEqual(objects);
  }
  const whole = { several: false, metadata: false, compared: false, chats: false, ...shape };
  const { rows: read, codecs } = await readParquet(results.saved('reannotated.parquet'));
  expect(read).toEqual(rows.map((row) => inParquet(row, whole)));
  expect([...codecs]).toEqual(['SNAPPY']);
  for (const file of FILES) expect(statSync(results.saved(file)).mode & 0o077, file).toBe(0);
}

function bytesOf(folder: string): Record<string, string> {
  const results = resultsIn(folder);
  const files = readdirSync(dirname(results.saved('config.yaml'))).filter((name) =>
    ['reannotated.json', ...FILES].includes(name),
  );
  return Object.fromEntries(files.map((name) => [name, readFileSync(results.saved(name), 'base64')]));
}

function outputFormats(folder: string): unknown {
  const config = parse(readFileSync(resultsIn(folder).saved('config.yaml'), 'utf8')) as {
    params: Record<string, unknown>;
  };
  return config.params['output_format'];
}

describe('--output_format', () => {
  it('writes every format beside reannotated.json, which stays as it is, and the same bytes again with --resume', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(120));
    const api = await simulator();
    const plain = join(folder, 'plain');
    const own = join(folder, 'own');
    expect(await runCli(['--dataset', data, ...foldersIn(plain)], { env: pointingAt(api) })).toMatchObject({
      code: 0,
    });
    expect(Object.keys(bytesOf(plain))).toEqual(['reannotated.json']);
    const args = ['--dataset', data, '--output-format', ALL[1] ?? '', ...foldersIn(own)];
    const run = await runCli(args, { env: pointingAt(api) });
    expect(run).toMatchObject({ code: 0, stdout: '' });
    expect(run.stderr).toContain('reannotated.parquet: 120 rows\n');
    expect(run.stderr).toContain('dpo.jsonl: 120 rows\n');
    expect(resultsIn(own).bytes()).toBe(resultsIn(plain).bytes());
    await expectAllFormats(own);
    expect(outputFormats(own)).toEqual(OUTPUT_FORMATS);
    const before = bytesOf(own);
    expect(Object.keys(before)).toHaveLength(6);
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
    expect(bytesOf(own)).toEqual(before);
    expect(readdirSync(dirname(resultsIn(own).saved('config.yaml'))).join()).not.toContain('tmp');
  });

  it('leaves rows without an answer out of what is for training, and says how many', async () => {
    const folder = temporaryFolder();
    const data = writeJsonl(folder, 'data.jsonl', [
      { system: 'Be brief.', prompt: 'fine', response: 'old' },
      { prompt: 'no system prompt', response: 'old' },
      { prompt: 'same', response: 'answer to same' },
      { prompt: 'never answered', response: null },
      { prompt: 'empty before', response: '' },
      { prompt: 'refused', response: 'old' },
      { prompt: 'bad', response: 'old' },
      { prompt: null, response: 'old' },
      { prompt: 'half a pair', response: 'half \ud83d' },
      { prompt: '\u0000 __proto__ \u2028', response: 'a\u0000b' },
    ]);
    const api = await scriptedApi(({ prompt }) => {
      if (prompt === 'refused') return { body: completion(null, { refusal: 'I can’t.' }) };
      if (prompt === 'bad') return apiError(400, 'This prompt is bad');
      return prompt === 'half a pair' ? 'also \udc00 half' : `answer to ${prompt}`;
    });
    const columns = [
      '--prompt_column',
      'prompt',
      '--response_column',
      'response',
      '--system_column',
      'system',
    ];
    const run = await runCli(
      ['--dataset', data, ...columns, '--include_metadata', ...ALL, ...foldersIn(folder)],
      { env: pointingAt(api) },
    );
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('reannotated.jsonl: 10 rows\n');
    expect(run.stderr).toContain('sharegpt.jsonl: 7 rows (3 without an answer)\n');
    expect(run.stderr).toContain(
      'dpo.jsonl: 4 rows (1 with the same answer twice, 5 without an answer of each kind)\n',
    );
    // Rows that are useless for training are in the formats that hold all rows.
    const { rows } = await readParquet(resultsIn(folder).saved('reannotated.parquet'));
    expect(rows[7]).toEqual({
      system_prompt: '',
      user_prompt: null,
      annotation_original: 'old',
      annotation: null,
      state: 'failed',
      model: null,
      finish_reason: null,
      prompt_tokens: null,
      completion_tokens: null,
    });
    expect(rows[0]).toMatchObject({ state: 'ok', finish_reason: 'stop', prompt_tokens: 100n });
    expect(rows[8]).toMatchObject({ annotation_original: 'half \ufffd', annotation: 'also \ufffd half' });
    const results = resultsIn(folder);
    expect(readJsonLines(results.saved('sharegpt.jsonl'))[0]).toEqual({
      conversations: [
        { from: 'system', value: 'Be brief.' },
        { from: 'human', value: 'fine' },
        { from: 'gpt', value: 'answer to fine' },
      ],
    });
    expect(readJsonLines(results.saved('dpo.jsonl'))[1]).toEqual({
      prompt: [{ role: 'user', content: 'no system prompt' }],
      chosen: [{ role: 'assistant', content: 'answer to no system prompt' }],
      rejected: [{ role: 'assistant', content: 'old' }],
    });
    // Half of a surrogate pair in an answer would keep others from reading a whole file.
    for (const file of FILES.filter((name) => name.endsWith('l'))) {
      expect(readFileSync(results.saved(file), 'utf8')).not.toMatch(/\\ud[89a-f]/);
    }
  });

  it('keeps all turns of chats, and all answers with --n', async () => {
    const folder = temporaryFolder();
    const data = writeJsonl(folder, 'data.jsonl', [
      {
        conversations: [
          { from: 'system', value: 'Be brief.' },
          { from: 'human', value: 'Hello' },
          { from: 'gpt', value: 'Hi' },
          { from: 'human', value: 'How are you?' },
          { from: 'gpt', value: 'Fine' },
        ],
      },
      {
        conversations: [
          { from: 'human', value: 'Once' },
          { from: 'gpt', value: 'Only once' },
        ],
      },
      { conversations: 'none' },
      { conversations: [{ from: 'human', value: 'refused' }] },
    ]);
    const api = await scriptedApi(({ prompt }) => {
      if (prompt === 'refused') return { body: completion(null, { refusal: 'I can’t.' }) };
      const one = completion(`first: ${prompt}`);
      const choices = one['choices'] as Record<string, unknown>[];
      return {
        body: { ...one, choices: [...choices, { ...choices[0], index: 1, message: { content: '' } }] },
      };
    });
    const run = await runCli(['--dataset', data, '--n', '2', ...ALL, ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run.code).toBe(3);
    await expectAllFormats(folder, { several: true, chats: true });
    const results = resultsIn(folder);
    expect(readJsonLines(results.saved('sharegpt.jsonl'))).toEqual([
      {
        conversations: [
          { from: 'system', value: 'Be brief.' },
          { from: 'human', value: 'Hello' },
          { from: 'gpt', value: 'Hi' },
          { from: 'human', value: 'How are you?' },
          { from: 'gpt', value: 'first: How are you?' },
        ],
      },
      {
        conversations: [
          { from: 'human', value: 'Once' },
          { from: 'gpt', value: 'first: Once' },
        ],
      },
    ]);
    const { rows } = await readParquet(results.saved('reannotated.parquet'));
    expect(rows.map((row) => row['annotations'])).toEqual([
      ['first: How are you?', null],
      ['first: Once', null],
      [],
      // The second answer was a separate request.
      [null, null],
    ]);
    expect(rows.map((row) => row['request_messages'])).toEqual([
      ['Be brief.', 'Hello', 'Hi', 'How are you?'].map((content): unknown =>
        expect.objectContaining({ content }),
      ),
      null,
      null,
      null,
    ]);
  });

  it('sends no request for another format of a finished run, and keeps the earlier formats up to date', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(20));
    let isDown = true;
    const api = await scriptedApi(({ prompt }) =>
      isDown && prompt.includes('number 7 ') ? apiError(400, 'Not now') : `answer to ${prompt}`,
    );
    const args = ['--dataset', data, ...foldersIn(folder)];
    const options = { env: pointingAt(api) };
    expect((await runCli([...args, '--output_format', 'dpo'], options)).code).toBe(3);
    expect(Object.keys(bytesOf(folder))).toEqual(['dpo.jsonl', 'reannotated.json']);
    const asked = api.requests.length;

    const again = await runCli([...args, '--output_format', 'parquet', '--resume_no_retry'], {
      env: { ...options.env, OPENAI_API_KEY: undefined },
    });
    expect(again.code).toBe(3);
    expect(api.requests).toHaveLength(asked);
    expect(Object.keys(bytesOf(folder))).toEqual(['dpo.jsonl', 'reannotated.json', 'reannotated.parquet']);
    expect(outputFormats(folder)).toEqual(['json', 'parquet', 'dpo']);

    // The row that failed is answered now: no file may be left without it.
    isDown = false;
    expect((await runCli([...args, '--resume'], options)).code).toBe(0);
    expect(api.requests).toHaveLength(asked + 1);
    const results = resultsIn(folder);
    expect(readJsonLines(results.saved('dpo.jsonl'))).toEqual(expected(results.rows())['dpo.jsonl']);
    const { rows } = await readParquet(results.saved('reannotated.parquet'));
    expect(rows).toEqual(results.rows());
  });

  it('is shown by the demo, without a key or a network', async () => {
    const cwd = temporaryFolder();
    const run = await runCli(['demo', '--output_format', 'jsonl,dpo'], { cwd });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/^reannotated\.jsonl: 134 rows\ndpo\.jsonl: 134 rows$/m);
  });

  it('refuses a name that it does not know before anything is written, and suggests one', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(2));
    const args = ['--dataset', data, ...foldersIn(folder)];
    for (const program of ['reannotate', 'watch-batch'] as const) {
      const run = await runCli([...args, '--output_format', 'jsonl,parket'], { program });
      expect(run.code).toBe(2);
      expect(run.stderr).toBe(
        'error: Unknown --output_format parket. Did you mean parquet? Known formats: json, jsonl, parquet, sharegpt, messages, sft, dpo, dpo_llamafactory, kto.\n',
      );
    }
    expect(existsSync(join(folder, 'saved'))).toBe(false);
  });

  it('moves earlier files aside with --overwrite, and writes over none without it', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3));
    const api = await simulator({ datasets: { 'me/data': data } });
    const env = pointingAt(api);
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', 'me/data', ...foldersIn(folder)];
    const saved = join(folder, 'saved', 'me_data_gpt-4o-mini');
    mkdirSync(saved, { recursive: true });
    writeFileSync(join(saved, 'sharegpt.jsonl'), 'of an earlier run');
    const refused = await runCli([...args, '--output_format', 'sharegpt'], { env });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('sharegpt.jsonl');
    expect(await runCli([...args, '--overwrite'], { env })).toMatchObject({ code: 0 });
    const aside = readdirSync(join(folder, 'saved')).find((name) => /\.\d{4}-/.test(name)) ?? '';
    expect(readFileSync(join(folder, 'saved', aside, 'sharegpt.jsonl'), 'utf8')).toBe('of an earlier run');
    expect(Object.keys(bytesOf(folder))).toEqual(['reannotated.json']);
  });

  it('is remembered by watch-batch, which takes further formats', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(30));
    const api = await simulator();
    const submitted = await submit(api, data, folder, ['--output_format', 'parquet', '--include_metadata']);
    expect(submitted.code).toBe(0);
    expect(submitted.stdout).toContain('--output_format json,parquet');
    expect((await watch(api, data, folder)).code).toBe(0);
    expect(Object.keys(bytesOf(folder))).toEqual(['reannotated.json', 'reannotated.parquet']);
    const run = await watch(api, data, folder, ['--output-format', ALL[1] ?? '']);
    expect(run.code).toBe(0);
    expect(outputFormats(folder)).toEqual(OUTPUT_FORMATS);
    await expectAllFormats(folder, { metadata: true });
  });
});

const text = fc.oneof(
  { weight: 10, arbitrary: fc.string({ unit: 'grapheme' }) },
  { weight: 10, arbitrary: fc.string({ unit: codePoint }) },
  {
    weight: 10,
    arbitrary: fc.constantFrom('', '\u0000', '__proto__', '\\ud83d', '\u2028\r\n', ',', '},\n{', ']', 'same'),
  },
  { weight: 1, arbitrary: fc.nat(3).map((times) => 'ü🙂'.repeat(times * 30_000)) },
);
const maybe = fc.option(text);
const message = fc.record({ role: fc.constantFrom('system', 'user', 'assistant'), content: text });
const resultRow = fc.record(
  {
    system_prompt: text,
    user_prompt: maybe,
    annotation_original: maybe,
    request_messages: fc.option(fc.array(message, { minLength: 1, maxLength: 5 })),
    annotation: maybe,
    annotations: fc.array(maybe, { maxLength: 4 }),
    metadata: fc.record({
      state: fc.constantFrom('ok', 'truncated', 'refused', 'filtered', 'failed', 'pending'),
      model: maybe,
      finish_reason: maybe,
      usage: fc.option(
        fc.dictionary(fc.constantFrom('prompt_tokens', 'completion_tokens', '__proto__'), fc.jsonValue()),
      ),
    }),
  },
  {
    requiredKeys: [
      'system_prompt',
      'user_prompt',
      'annotation_original',
      'annotation',
      'annotations',
      'metadata',
    ],
  },
);

describe('every format', () => {
  const shape = {
    several: true,
    metadata: true,
    compared: false,
    chats: true,
    reasoning: false,
    tools: false,
    images: false,
    source: false,
  };

  it('reads back to the rows of reannotated.json', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'reannotated.json');
    await fc.assert(
      fc.asyncProperty(fc.array(resultRow, { maxLength: 40 }), async (generated) => {
        const lines = generated.map((row) => JSON.stringify(row));
        writeFileSync(path, `[${lines.map((line, row) => `${row === 0 ? '' : ','}\n${line}`).join('')}\n]\n`);
        const rows = JSON.parse(readFileSync(path, 'utf8'), (_, value: unknown) =>
          typeof value === 'string' ? value.toWellFormed() : value,
        ) as ResultRow[];
        const moved = new Map<string, number>();
        for (const name of OUTPUT_FORMATS) {
          if (name === 'json') continue;
          const { leading = 0 } = await exportResults(
            name,
            { path, shape, onProgress: () => undefined },
            folder,
          );
          moved.set(exportFile(name), leading);
        }
        for (const [file, objects] of Object.entries(expected(rows))) {
          const read = readJsonLines(join(folder, file));
          const leading = moved.get(file) ?? 0;
          if (leading === 0) expect(read, file).toEqual(objects);
          else expectMoved(read, objects, leading);
        }
        const { rows: read } = await readParquet(join(folder, 'reannotated.parquet'));
        expect(read).toEqual(rows.map((row) => inParquet(row, shape)));
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  });

  it('is written in row groups of some thousand rows, with types that do not depend on what rows hold', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'reannotated.json');
    const empty = {
      system_prompt: '',
      user_prompt: null,
      annotation_original: null,
      annotation: null,
      annotations: [],
      metadata: { state: 'pending', model: null, finish_reason: null, usage: null },
    };
    const schemas: SchemaElement[][] = [];
    for (const rows of [1, 12_000]) {
      const line = JSON.stringify({ ...empty, ...(rows === 1 ? { annotation: 'x'.repeat(10 << 20) } : {}) });
      writeFileSync(path, `[\n${new Array(rows).fill(line).join(',\n')}\n]\n`);
      await exportResults('parquet', { path, shape, onProgress: () => undefined }, folder);
      const read = await readParquet(join(folder, 'reannotated.parquet'));
      expect(read.rows).toHaveLength(rows);
      expect(read.groups).toBe(rows === 1 ? 1 : 3);
      schemas.push(read.schema);
    }
    expect(schemas[0]).toEqual(schemas[1]);
    const kinds = (schemas[0] ?? [])
      .filter(({ type }) => type !== undefined)
      .map(({ name, type, repetition_type: repetition }) => `${name} ${type ?? ''} ${repetition ?? ''}`);
    expect(kinds).toEqual([
      'system_prompt BYTE_ARRAY REQUIRED',
      'user_prompt BYTE_ARRAY OPTIONAL',
      'annotation_original BYTE_ARRAY OPTIONAL',
      'annotation BYTE_ARRAY OPTIONAL',
      'role BYTE_ARRAY REQUIRED',
      'content BYTE_ARRAY REQUIRED',
      'element BYTE_ARRAY OPTIONAL',
      'state BYTE_ARRAY REQUIRED',
      'model BYTE_ARRAY OPTIONAL',
      'finish_reason BYTE_ARRAY OPTIONAL',
      'prompt_tokens INT64 OPTIONAL',
      'completion_tokens INT64 OPTIONAL',
    ]);
  });
});
