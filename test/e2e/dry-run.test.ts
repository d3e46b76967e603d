import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Tokenizer } from '../../src/models/tokenizer.js';
import { RowCounter, RowSample } from '../../src/run/estimate.js';
import type { DryRun } from '../../src/commands/dry-run-result.js';
import { foldersIn, pointingAt, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { apiError, scriptedApi } from '../support/scripted-api.js';

vi.setConfig({ testTimeout: 60_000 });

const ANNOTATOR = ['--annotator', 'gpt-4o-mini'];

describe('--dry_run', () => {
  it('gives programs the same as people, with complete requests as examples', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(40));
    const api = await simulator();
    const args = [...ANNOTATOR, '--dataset', data, '--dry_run', '--json', '--max_batch_size', '15'];
    const limits = ['--max_requests_per_minute', '20', '--max_tokens', '100'];
    const run = await runCli([...args, ...limits, ...foldersIn(folder)], {
      env: { ...pointingAt(api), OPENAI_API_KEY: undefined },
    });
    expect(run.code, run.stderr).toBe(0);
    const told = JSON.parse(run.stdout) as DryRun;
    expect(told).toMatchObject({ rows: 40, unusable_rows: 0, requests: 40, batches: 3, probe: null });
    expect(told.prompt_tokens.margin).toBe(0);
    expect(told.completion_tokens).toMatchObject({ low: null, high: null, maximum: 4000 });
    expect(told.minutes).toEqual({ online: 2, bound: 'requests' });
    const { online, batch, flex } = told.price_usd;
    // gpt-4o-mini: $0.15 and $0.60 a million tokens.
    const expected = told.prompt_tokens.expected * 0.15e-6 + told.completion_tokens.expected * 0.6e-6;
    expect(online?.expected).toBeCloseTo(expected, 9);
    expect(batch?.maximum).toBeCloseTo((online?.maximum ?? 0) / 2, 9);
    expect(flex).toBeNull();
    expect(told.examples).toHaveLength(3);
    expect(told.examples[0]?.body).toMatchObject({ model: 'gpt-4o-mini', max_tokens: 100 });
    expect(api.statistics().requests).toBe(0);
    expect(existsSync(join(folder, 'saved'))).toBe(false);
  });

  it('shows the price of flex processing where the model has it', async () => {
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(3));
    const run = await runCli(['--annotator', 'o3', '--dataset', data, '--dry_run']);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toMatch(/Price flex +\$/);
  });

  it('shows turns that call tools and have no text', async () => {
    const call = { id: 'c1', type: 'function', function: { name: 'add', arguments: '{"a":2}' } };
    const messages = [
      { role: 'user', content: 'Add.' },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c1', content: '4' },
      { role: 'assistant', content: 'It is 4.' },
    ];
    const path = join(temporaryFolder(), 'data.jsonl');
    writeFileSync(path, `${JSON.stringify({ messages })}\n`);
    const run = await runCli([...ANNOTATOR, '--dataset', path, '--dry_run']);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).toMatch(/\[assistant\]\n {2}\| calls .*"add"/);
  });

  it('shows hostile rows sanitized', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    writeFileSync(path, `${JSON.stringify({ prompt: '\u001b[31mred\u202e\nline', response: 'r' })}\n`);
    const run = await runCli([...ANNOTATOR, '--dataset', path, '--dry_run']);
    expect(run.code, run.stderr).toBe(0);
    expect(run.stdout).not.toMatch(/[\u001b\u202e]/);
    expect(run.stdout).toContain('| line');
  });

  it('shows the time at the limits that a probe found', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3000));
    const api = await simulator({ requestsPerMinute: 300 });
    const args = [...ANNOTATOR, '--dataset', data, '--dry_run', ...foldersIn(folder)];
    const unknown = await runCli(args, { env: pointingAt(api) });
    expect(unknown.stdout).toMatch(/Time online +unknown: .*--probe 0/);
    const probed = await runCli([...args, '--probe', '1'], { env: pointingAt(api) });
    expect(probed.code, probed.stderr).toBe(0);
    expect(probed.stdout).toMatch(/Time online +at least 10 min 0 s, bound by the requests per minute/);
  });

  it('looks up the limits without a row and without cost', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(3000));
    const api = await simulator({ requestsPerMinute: 300, tokensPerMinute: 6_000_000 });
    const args = [...ANNOTATOR, '--dataset', data, '--dry_run', ...foldersIn(folder)];
    const asked = await runCli([...args, '--probe', '0'], { env: pointingAt(api) });
    expect(asked.code, asked.stderr).toBe(0);
    expect(asked.stdout).toMatch(/Limits +300 requests per minute, 6,000,000 tokens per minute/);
    expect(asked.stdout).toMatch(/Time online +at least 10 min 0 s, bound by the requests per minute/);
    expect(asked.stdout).not.toMatch(/^Probe/m);
    expect(asked.stderr).not.toMatch(/paid/);
    expect(api.statistics()).toMatchObject({ requests: 1, rejected: 1, answered: 0 });
    const args2 = [...args, '--probe', '0', '--json', '--max_requests_per_minute', '30'];
    args2.push('--fallback_annotator', 'gpt-4o');
    const partly = await runCli(args2, { env: pointingAt(api) });
    const { limits, fallback, requests, price_usd: price } = JSON.parse(partly.stdout) as DryRun;
    // gpt-4o costs some 17 times what gpt-4o-mini costs, input and output alike.
    const times = ((fallback?.usd_per_row ?? 0) * requests) / (price.online?.expected ?? 1);
    expect(times).toBeCloseTo(2.5 / 0.15, 6);
    expect(fallback).toMatchObject({ annotator: 'gpt-4o' });
    expect(limits).toEqual({
      requests_per_minute: 30,
      tokens_per_minute: 6_000_000,
      requests_per_day: null,
    });
  });

  it('shows a daily limit, as small accounts have, and what would stop the run', async () => {
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(3000));
    const args = [...ANNOTATOR, '--dataset', data, '--dry_run', '--probe', '0'];
    // The headers of OpenAI's real answer to a request without messages.
    const headers = {
      'x-ratelimit-limit-requests': '1000',
      'x-ratelimit-limit-tokens': '200000',
      'x-ratelimit-remaining-requests': '977',
      'x-ratelimit-remaining-tokens': '199983',
      'x-ratelimit-reset-requests': '33m7.2s',
      'x-ratelimit-reset-tokens': '4ms',
    };
    const daily = await scriptedApi(() => ({ ...apiError(400, 'empty array', 'empty_array'), headers }));
    const told = await runCli(args, { env: pointingAt(daily) });
    expect(told.stdout).toMatch(/Limits +200,000 tokens per minute, 1,000 requests per day/);
    expect(told.stdout).toMatch(/Time online +at least 72 h 0 min, bound by the requests per day/);
    const wrong = await scriptedApi(() => apiError(401, 'no', 'invalid_api_key'));
    const refused = await runCli(args, { env: pointingAt(wrong) });
    expect(refused.code).toBe(0);
    expect(refused.stderr).toMatch(/A run would stop at once: .* refused the key in OPENAI_API_KEY/);
    const lenient = await scriptedApi(() => 'answer');
    const answered = await runCli(args, { env: pointingAt(lenient) });
    expect(answered.stderr).toMatch(/answered the request without messages/);
    const gone = await runCli(args, { env: pointingAt({ url: 'http://127.0.0.1:1' }) });
    expect(gone.code).toBe(0);
    expect(gone.stderr).toMatch(/limits are unknown: .*ECONNREFUSED/);
    expect(gone.stdout).toMatch(/unknown: pass --max_requests_per_minute/);
  });

  it('probes OpenAI by default if only a key is given', async () => {
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(3));
    const targets: (string | undefined)[] = [];
    const proxy = createServer().on('connect', ({ url }, socket) => {
      targets.push(url);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      proxy.close();
    });
    const env = {
      HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      OPENAI_BASE_URL: undefined,
    };
    const args = [...ANNOTATOR, '--dataset', data, '--dry_run'];
    await runCli(args, { env: { ...env, OPENAI_API_KEY: undefined } });
    await runCli([...args, '--base_url', 'https://other.test/v1'], { env: { ...env, OPENAI_API_KEY: 'k' } });
    expect(targets).toEqual([]);
    const asked = await runCli(args, { env: { ...env, OPENAI_API_KEY: 'k' } });
    expect(asked.code, asked.stderr).toBe(0);
    expect(targets).toEqual(['api.openai.com:443']);
  });

  it('sends some rows with --probe, reports the cost, and keeps no answer', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(200));
    const api = await scriptedApi(({ prompt }) =>
      /number \d*7 /.test(prompt) ? apiError(400, 'not this one') : 'answer',
    );
    const args = [...ANNOTATOR, '--dataset', data, '--dry_run', '--probe', '25', ...foldersIn(folder)];
    const run = await runCli([...args, '--json'], { env: pointingAt(api) });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/25 rows to gpt-4o-mini, which costs money; the answers are not kept/);
    const told = JSON.parse(run.stdout) as DryRun;
    expect(api.requests).toHaveLength(25);
    expect(new Set(api.requests.map(({ prompt }) => prompt)).size).toBe(25);
    const answered = told.probe?.answered ?? 0;
    expect(answered).toBeGreaterThan(15);
    // Every answer of this server states 100 and 50 tokens.
    expect(told.probe).toMatchObject({ asked: 25, completionTokens: 50, completionMargin: 0 });
    expect(told.probe?.cost).toBeCloseTo(answered * (100 * 0.15e-6 + 50 * 0.6e-6), 9);
    expect(told.completion_tokens).toMatchObject({ expected: 10_000, low: 10_000, high: 10_000 });
    expect(existsSync(join(folder, 'saved'))).toBe(false);
    const table = await runCli(args, { env: pointingAt(api) });
    expect(table.stdout).toMatch(/Probe +\d+ of 25 rows answered, 50 ± 0 tokens each, for \$/);
  });

  it('stops a probe for a wrong key with one request, and asks for --dry_run beside --probe and --json', async () => {
    const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(20));
    const api = await scriptedApi(() => apiError(401, 'no', 'invalid_api_key'));
    const args = [...ANNOTATOR, '--dataset', data, '--probe', '10'];
    const refused = await runCli([...args, '--dry_run'], { env: pointingAt(api) });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/refused the key/);
    expect(api.requests).toHaveLength(1);
    const alone = await runCli(args, { env: pointingAt(api) });
    expect(alone.code).toBe(2);
    expect(alone.stderr).toMatch(/--probe requires --dry_run/);
  });
});

describe('the count of tokens above 20,000 rows', () => {
  /** One token for every word, so that rows differ in characters a token. */
  const tokenizer: Tokenizer = { name: 'words', count: (text) => text.split(' ').length };
  const rowOf = (index: number): string =>
    Array.from({ length: 1 + ((index * 7919) % 40) }, (_, word) =>
      'x'.repeat(1 + ((index + word) % 11)),
    ).join(' ');

  it('is a sample whose stated error holds', () => {
    const counter = new RowCounter(tokenizer);
    let truth = 0;
    for (let index = 0; index < 90_000; index++) {
      const prompt = rowOf(index);
      counter.add({ system_prompt: '', user_prompt: prompt, annotation_original: null }, prompt.length);
      truth += tokenizer.count(prompt) + 6;
    }
    const { promptTokens, rows } = counter.estimate();
    expect(rows).toBe(90_000);
    expect(promptTokens.margin).toBeGreaterThan(0);
    expect(promptTokens.margin).toBeLessThan(0.01);
    expect(Math.abs(promptTokens.tokens - truth) / truth).toBeLessThan(promptTokens.margin * 2);
  });

  it('takes examples from everywhere', () => {
    const places: number[] = [];
    for (let size = 1; size < 40; size++) {
      const sample = new RowSample(size);
      for (let index = 0; index < 1000; index++)
        sample.add(index, { system_prompt: '', user_prompt: '', annotation_original: null });
      const rows = sample.rows().map(({ index }) => index);
      expect(new Set(rows).size).toBe(size);
      places.push(...rows);
    }
    const mean = places.reduce((sum, place) => sum + place, 0) / places.length;
    expect(mean).toBeGreaterThan(420);
    expect(mean).toBeLessThan(580);
  });
});
