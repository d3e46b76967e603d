import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { foldersIn, pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson, writeJsonl } from '../support/data.js';
import { sameRows } from '../support/same-rows.js';
import { apiError, completion, scriptedApi } from '../support/scripted-api.js';

const ANNOTATOR = ['--annotator', 'gpt-4o-mini'];

describe('a run online', () => {
  it('finds out how many requests at a time a server takes that only says 429 to more', async () => {
    const folder = temporaryFolder();
    const rows = alpacaRows(30);
    const api = await simulator({
      ...{ requestsAtATime: 3, latencyMs: 40 },
      datasets: { 'me/alpaca': writeJson(folder, 'data.json', rows) },
    });
    const run = await runCli([...ANNOTATOR, '--dataset', 'me/alpaca', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run.code).toBe(0);
    const { requests, rows: states } = resultsIn(folder).summary();
    expect(states.ok).toBe(30);
    expect(requests.throttled).toBeGreaterThan(0);
    expect(requests.throttled).toBeLessThan(60);
    // A rate learnt from the refusals would be said to hold the run back.
    expect(run.stderr).not.toContain('the rate that the API accepts');
  });

  it('annotates every row of a Hub dataset, in order, with prompts to the letter and the files of the contract', async () => {
    const folder = temporaryFolder();
    const rows = alpacaRows(250);
    const api = await simulator({ datasets: { 'me/alpaca': writeJson(folder, 'data.json', rows) } });
    const run = await runCli([...ANNOTATOR, '--dataset', 'me/alpaca', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run).toMatchObject({ code: 0, stdout: '' });

    const results = resultsIn(folder);
    expect(results.rows().map((row) => ({ ...row, annotation: undefined }))).toEqual(
      rows.map((row) => ({
        system_prompt: '',
        user_prompt: alpacaText(row),
        annotation_original: row.output,
      })),
    );
    expect(new Set(results.rows().map((row) => row.annotation)).size).toBe(250);
    expect(existsSync(results.saved('failed_rows.jsonl'))).toBe(false);
    expect(results.summary()).toMatchObject({
      rows: { total: 250, ok: 250, truncated: 0, refused: 0, filtered: 0, failed: 0, pending: 0 },
      requests: { sent: 250, throttled: 0, retried: 0 },
      models: { 'gpt-4o-mini-2024-07-18': 250 },
      mode: 'online',
    });
    expect(results.summary().cost_usd).toBeGreaterThan(0);

    const jobs = results.lines('jobs.json') as Record<string, unknown>[];
    expect(jobs[7]).toEqual({
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: alpacaText(rows[7] as (typeof rows)[0]) }],
      seed: 42,
      max_tokens: 2048,
      metadata: { request_idx: 7 },
    });
    const journal = results.lines('output.jsonl') as [
      Record<string, unknown>,
      Record<string, unknown>,
      { request_idx: number },
    ][];
    expect(journal.map(([, , { request_idx: row }]) => row).sort((a, b) => a - b)).toEqual(
      rows.map((_, row) => row),
    );
    expect(journal[0]?.[0]).not.toHaveProperty('metadata');

    const config = parse(readFileSync(results.saved('config.yaml'), 'utf8')) as Record<
      string,
      Record<string, unknown>
    >;
    expect(config['uuid']).toMatch(/^[0-9a-f-]{36}$/);
    expect(config['creation_date']).toMatch(/^\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d$/);
    expect(config['params']).toMatchObject({
      annotator: 'gpt-4o-mini',
      dataset: 'me/alpaca',
      max_tokens: 2048,
      resume: false,
    });
    const log = readFileSync(results.temp('output.log'), 'utf8').trimEnd().split('\n');
    for (const line of log)
      expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (?:INFO|WARNING|ERROR) - \S/);
    expect(log.join('\n')).not.toContain('Explain number');
    expect(statSync(results.temp('output.jsonl')).mode & 0o077).toBe(0);
    for (const file of ['config.yaml', 'summary.json', 'reannotated.json']) {
      expect(readFileSync(results.saved(file), 'utf8')).not.toContain('sk-test-key-0001');
    }
  });

  it('gives the same bytes from pages, from Parquet and from every kind of local file', async () => {
    const { parquet, files } = sameRows(temporaryFolder(), 3200);
    const api = await simulator({
      datasets: { 'me/pages': files[0], 'me/parquet': files[0] },
      parquet: { 'me/parquet': parquet },
    });
    const bytesOf = async (dataset: string, ...more: string[]): Promise<string> => {
      const own = temporaryFolder();
      const run = await runCli([...ANNOTATOR, '--dataset', dataset, ...more, ...foldersIn(own)], {
        env: pointingAt(api),
      });
      expect(run, dataset).toMatchObject({ code: 0 });
      return resultsIn(own).bytes();
    };
    // The Hub's Parquet files are read for more than 3,000 rows. That all rows are the same is a test of the datasets.
    const whole = JSON.parse(await bytesOf('me/parquet')) as unknown[];
    expect(whole).toHaveLength(3200);
    const [part = '', ...others] = await Promise.all(
      ['me/pages', ...files].map((dataset) => bytesOf(dataset, '--limit', '60')),
    );
    for (const other of others) expect(other).toBe(part);
    expect(whole.slice(0, 60)).toEqual(JSON.parse(part));
  });

  it('gives the same bytes with faults as without', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(100));
    const faults = {
      '429': 0.05,
      '500': 0.03,
      reset: 0.02,
      torn: 0.01,
      hang: 0.01,
      '503html': 0.02,
      empty: 0.02,
      error_200: 0.01,
    };
    const bytes = await Promise.all(
      [{}, faults].map(async (some, index) => {
        const api = await simulator({ faults: some });
        const own = join(folder, String(index));
        const args = [...ANNOTATOR, '--dataset', data, '--request_timeout', '1', ...foldersIn(own)];
        expect(await runCli(args, { env: pointingAt(api) })).toMatchObject({ code: 0 });
        return resultsIn(own).bytes();
      }),
    );
    expect(bytes[0]).toBe(bytes[1]);
  });

  it('ends every row in exactly one state, and says which have no annotation', async () => {
    const folder = temporaryFolder();
    const data = writeJsonl(folder, 'data.jsonl', [
      { prompt: 'fine', response: 'old' },
      { prompt: 'cut', response: 'old' },
      { prompt: 'refused', response: 'old' },
      { prompt: 'filtered', response: 'old' },
      { prompt: 'bad', response: 'old' },
      { prompt: 'policy', response: 'old' },
      { prompt: null, response: 'old' },
      { prompt: [7], response: 'old' },
      { prompt: 'thinking', response: 'old' },
    ]);
    const api = await scriptedApi(({ prompt }) => {
      if (prompt === 'cut') return { body: completion('half', { finish: 'length' }) };
      if (prompt === 'refused') return { body: completion(null, { refusal: 'I can’t.' }) };
      if (prompt === 'filtered') return { body: completion('some', { finish: 'content_filter' }) };
      if (prompt === 'bad') return apiError(400, 'This prompt is bad');
      if (prompt === 'policy') return apiError(400, 'No', 'content_policy_violation');
      if (prompt === 'thinking') return { body: completion('', { finish: 'length' }) };
      return `answer to ${prompt}`;
    });
    const run = await runCli([...ANNOTATOR, '--dataset', data, '--include_metadata', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('7 rows have no answer (3 failed, 1 refused, 2 filtered, 1 truncated; see');
    expect(run.stderr).toMatch(
      /Reasons: .*400 invalid_request_error: This prompt is bad.*more rows? for other reasons/,
    );
    expect(run.stderr).toContain('Retry them with: npx reannotate');
    expect(run.stderr).toMatch(
      /Refused and filtered rows are not retried .*--resume --retry failed,refused,filtered/,
    );
    expect(run.stderr).toContain('2 rows cannot be used, and retrying will not help');
    const results = resultsIn(folder);
    expect(results.summary().rows).toEqual({
      total: 9,
      ok: 1,
      truncated: 2,
      refused: 1,
      filtered: 2,
      failed: 3,
      pending: 0,
    });
    expect(results.rows().map((row) => row.annotation)).toEqual([
      'answer to fine',
      'half',
      null,
      null,
      null,
      null,
      null,
      null,
      null,
    ]);
    // Those that were withheld are sent again on demand alone, and a retry that gives less changes nothing.
    const bytes = results.bytes();
    const sent = api.requests.length;
    const resumed = [...ANNOTATOR, '--dataset', data, ...foldersIn(folder), '--resume'];
    const env = pointingAt(api);
    expect(await runCli([...resumed, '--retry', 'refused,filtered'], { env })).toMatchObject({ code: 3 });
    expect(
      api.requests
        .slice(sent)
        .map(({ prompt }) => prompt)
        .sort(),
    ).toEqual(['filtered', 'policy', 'refused']);
    expect(results.bytes()).toBe(bytes);
    expect(results.rows()[0]?.metadata).toEqual({
      state: 'ok',
      model: 'gpt-4o-mini-2024-07-18',
      finish_reason: 'stop',
      usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 },
    });
    expect(results.lines('failed_rows.jsonl')).toEqual([
      { request_idx: 1, state: 'truncated', error: null },
      { request_idx: 2, state: 'refused', error: 'I can’t.' },
      { request_idx: 3, state: 'filtered', error: expect.any(String) as string },
      { request_idx: 4, state: 'failed', error: expect.stringContaining('This prompt is bad') as string },
      {
        request_idx: 5,
        state: 'filtered',
        error: expect.stringContaining('content_policy_violation') as string,
      },
      { request_idx: 6, state: 'failed', error: expect.stringContaining('"prompt" is null') as string },
      { request_idx: 7, state: 'failed', error: expect.stringContaining('a list') as string },
      { request_idx: 8, state: 'truncated', error: expect.stringContaining('--max_tokens') as string },
    ]);
  });

  it('survives a bad line 17 of a JSON Lines file as one failed row', async () => {
    const folder = temporaryFolder();
    const lines = alpacaRows(20).map((row) => JSON.stringify(row));
    lines[16] = '{"instruction": "torn';
    const path = join(folder, 'data.jsonl');
    writeFileSync(path, lines.join('\n'));
    const api = await simulator();
    const run = await runCli([...ANNOTATOR, '--dataset', path, ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('line 17 of data.jsonl is not JSON');
    expect(resultsIn(folder).summary().rows).toMatchObject({ total: 20, ok: 19, failed: 1 });
  });

  it('keeps all answers with --n, and fits parameters that the model refuses', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(30));
    const api = await scriptedApi(({ body, prompt }) => {
      if ('seed' in body)
        return apiError(
          400,
          "Unsupported parameter: 'seed' is not supported with this model.",
          'unsupported_parameter',
          'seed',
        );
      if ('max_tokens' in body) {
        const message =
          "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return apiError(400, message, 'unsupported_parameter', 'max_tokens');
      }
      const one = completion(`a:${prompt}`);
      const choices = one['choices'] as Record<string, unknown>[];
      return {
        body: { ...one, choices: [{ ...choices[0], index: 1, message: { content: 'b' } }, choices[0]] },
      };
    });
    const run = await runCli([...ANNOTATOR, '--dataset', data, '--n', '2', ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run.code).toBe(0);
    const results = resultsIn(folder);
    expect(results.rows()[3]?.annotation).toMatch(/^a:/);
    expect(results.rows()[3]?.annotations).toEqual([results.rows()[3]?.annotation, 'b']);
    // The first row alone finds out; no other request is refused.
    expect(api.requests).toHaveLength(32);
    expect(api.requests.at(-1)?.body).toMatchObject({ max_completion_tokens: 2048 });
    const config = parse(readFileSync(results.saved('config.yaml'), 'utf8')) as {
      parameter_changes: unknown[];
    };
    expect(config.parameter_changes).toEqual([
      { parameter: 'seed', renamed_to: null, reason: 'refused by the API' },
      { parameter: 'max_tokens', renamed_to: 'max_completion_tokens', reason: 'refused by the API' },
    ]);
  });

  it('puts streamed answers of SambaNova together', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(5));
    const api = await scriptedApi((_, __, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = (delta: object, finish: string | null = null): void => {
        response.write(
          `data: ${JSON.stringify({ id: 'x', model: 'Meta-Llama-3.1-405B-Instruct', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`,
        );
      };
      chunk({ role: 'assistant', content: '' });
      for (const piece of ['Grüße ', 'aus ', '東京']) chunk({ content: piece });
      chunk({}, 'stop');
      response.write(
        `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 3 } })}\n\n`,
      );
      response.end('data: [DONE]\n\n');
      return null;
    });
    const env = { SAMBANOVA_API_KEY: 'sn-key-123456', SAMBANOVA_BASE_URL: `${api.url}/v1` };
    const run = await runCli(
      ['--annotator', 'llama3-405b', '--dataset', data, '--temperature', '0.5', ...foldersIn(folder)],
      { env },
    );
    expect(run.code).toBe(0);
    expect(
      resultsIn(folder)
        .rows()
        .map((row) => row.annotation),
    ).toEqual(new Array(5).fill('Grüße aus 東京'));
    expect(api.requests[0]?.headers.authorization).toBe('Bearer sn-key-123456');
    expect(api.requests[0]?.body).toMatchObject({
      model: 'Meta-Llama-3.1-405B-Instruct',
      stream: true,
      temperature: 0.5,
      max_tokens: 2048,
    });
    expect(resultsIn(folder).summary().tokens).toEqual({ prompt: 25, completion: 15 });
  });

  it('reaches a self-hosted server without a key, and keeps chats with several turns', async () => {
    const folder = temporaryFolder();
    const turns = [
      { from: 'system', value: 'Be brief.' },
      { from: 'human', value: 'Hello' },
      { from: 'gpt', value: 'Hi' },
      { from: 'human', value: 'How are you?' },
      { from: 'gpt', value: 'Fine' },
    ];
    const short = [
      { from: 'human', value: 'A chat of one turn' },
      { from: 'gpt', value: 'Yes' },
    ];
    // All rows have the same keys, also those before the first chat of several turns.
    const data = writeJsonl(folder, 'data.jsonl', [{ conversations: short }, { conversations: turns }]);
    const api = await scriptedApi(() => 'Great');
    const args = [
      '--annotator',
      'org/my-model',
      '--base_url',
      `${api.url}/v1`,
      '--dataset',
      data,
      ...foldersIn(folder),
    ];
    expect(await runCli(args)).toMatchObject({ code: 0 });
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi' },
      { role: 'user', content: 'How are you?' },
    ];
    expect(api.requests[0]?.headers.authorization).toBeUndefined();
    expect(api.requests[1]?.body).toMatchObject({ model: 'org/my-model', messages });
    expect(resultsIn(folder).rows()).toEqual([
      {
        system_prompt: '',
        user_prompt: 'A chat of one turn',
        annotation_original: 'Yes',
        request_messages: null,
        annotation: 'Great',
      },
      {
        system_prompt: 'Be brief.',
        user_prompt: 'How are you?',
        annotation_original: 'Fine',
        request_messages: messages,
        annotation: 'Great',
      },
    ]);
  });

  it('does not treat a daily limit as one per minute, and shows how many days the run takes', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(41));
    const headers = {
      'x-ratelimit-limit-requests': '20',
      'x-ratelimit-remaining-requests': '19',
      'x-ratelimit-reset-requests': '1h12m0s',
    };
    const api = await scriptedApi(({ prompt }) => ({ headers, body: completion(prompt) }));
    const run = await runCli([...ANNOTATOR, '--dataset', data, ...foldersIn(folder)], {
      env: pointingAt(api),
    });
    expect(run.code, run.stderr).toBe(0);
    expect(run.stderr).toMatch(/allows 20 requests per day, and 41 are left to send: this will take 3 days/);
    expect(readFileSync(resultsIn(folder).temp('output.log'), 'utf8')).toContain('20 requests per day');
  });

  it('stops before --max_cost is exceeded, and resumes when it is raised', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(200));
    const api = await scriptedApi(({ prompt }) => prompt);
    const args = [...ANNOTATOR, '--dataset', data, '--max_tokens', '100', ...foldersIn(folder)];
    const run = await runCli([...args, '--max_cost', '0.003'], { env: pointingAt(api) });
    expect(run.code).toBe(3);
    expect(run.stderr).toContain('--max_cost');
    const { rows, cost_usd: cost } = resultsIn(folder).summary();
    expect(cost).toBeLessThanOrEqual(0.003);
    expect(rows['ok']).toBeGreaterThan(20);
    expect(rows['pending']).toBe(200 - (rows['ok'] ?? 0));
    expect(await runCli([...args, '--resume'], { env: pointingAt(api) })).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(200);
  });

  it('shows rows, tokens and price with --dry_run, and sends and writes nothing', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(40));
    const api = await simulator();
    const args = [
      ...ANNOTATOR,
      '--dataset',
      data,
      '--dry_run',
      '--max_requests_per_minute',
      '20',
      ...foldersIn(folder),
    ];
    const run = await runCli(args, { env: { ...pointingAt(api), OPENAI_API_KEY: undefined } });
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/Rows +40\n/);
    expect(run.stdout).toMatch(/Prompt tokens +[\d,]+ \(o200k_base\)/);
    expect(run.stdout).toMatch(/Price online +\$\d/);
    expect(run.stdout).toMatch(/Time online +at least 2 min 0 s, bound by the requests/);
    expect(api.statistics().requests).toBe(0);
    expect(existsSync(join(folder, 'saved'))).toBe(false);
  });
});
