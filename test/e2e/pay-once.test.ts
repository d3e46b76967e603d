import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { submit, watch } from '../support/batch-cli.js';
import { foldersIn, pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJsonl } from '../support/data.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

describe('answers that are paid for once', () => {
  it('a file that grew is a new run, which reuses the answers of the earlier one', async () => {
    const root = temporaryFolder();
    const rows = alpacaRows(5);
    const data = writeJsonl(root, 'data.jsonl', rows.slice(0, 3));
    const api = await simulator();
    const env = pointingAt(api);
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, '--include_metadata'];
    const run = (more: string[]): ReturnType<typeof runCli> => runCli([...args, ...more], { env, cwd: root });
    expect(await run(foldersIn('one'))).toMatchObject({ code: 0 });
    for (const row of rows.slice(3)) appendFileSync(data, `${JSON.stringify(row)}\n`);
    const refused = await run([...foldersIn('one'), '--resume']);
    const advice = /--run_name NAME --reuse (\S+)\./.exec(refused.stderr)?.[1] ?? '';
    expect(refused.code).toBe(1);
    const estimate = await run(['--dry_run', '--json', '--reuse', advice]);
    expect(JSON.parse(estimate.stdout)).toMatchObject({ rows: 5, reused_rows: 3, requests: 2 });

    const reused = await run([...foldersIn('one'), '--overwrite', '--reuse', advice]);
    expect(reused).toMatchObject({ code: 0 });
    expect(reused.stderr).toContain('Reused 3 answers from');
    expect(api.statistics().answered).toBe(5);
    const results = resultsIn(join(root, 'one'));
    expect(results.summary()).toMatchObject({ rows: { ok: 5 }, requests: { sent: 2 }, reused_rows: 3 });
    const origins = results.rows().map(({ metadata }) => typeof metadata?.['reused_from']);
    expect(origins).toEqual(['string', 'string', 'string', 'undefined', 'undefined']);

    const missing = await run([...foldersIn('two'), '--reuse', 'nowhere']);
    expect(missing).toMatchObject({ code: 1 });
    expect(missing.stderr).toContain('--reuse nowhere has no answers of a run');
    expect(api.statistics().answered).toBe(5);
  });

  it('truncated rows are sent once again with more tokens, equal ones together, and never twice', async () => {
    const root = temporaryFolder();
    const [short = '', long = ''] = alpacaRows(2).map((row) => JSON.stringify(row));
    const data = join(root, 'data.jsonl');
    writeFileSync(data, [long, short, long].map((line) => `${line}\n`).join(''));
    const api = await simulator();
    const env = pointingAt(api);
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, '--max_tokens', '3'];
    const run = (more: string[], own = 'run'): ReturnType<typeof runCli> =>
      runCli([...args, ...foldersIn(join(root, own)), ...more], { env });
    const first = await run(['--dedupe', '--include_metadata']);
    expect(first.stderr).toContain('--resume --escalate_truncated 4');
    expect(resultsIn(join(root, 'run')).summary().rows).toMatchObject({ truncated: 3 });
    const sent = api.statistics().answered;
    expect(sent).toBe(2);
    expect(await run(['--resume', '--escalate_truncated', '2'])).toMatchObject({ code: 0 });
    expect(api.statistics().answered).toBe(sent + 2);
    expect(await run(['--resume'])).toMatchObject({ code: 0 });
    expect(api.statistics().answered).toBe(sent + 2);
    const last = await run(['--resume', '--escalate_truncated', '500']);
    expect(last.stderr).toContain('Sending 2 truncated rows again with 500 times the tokens.');
    expect(api.statistics().answered).toBe(sent + 4);
    const results = resultsIn(join(root, 'run'));
    expect(results.summary().rows).toMatchObject({ ok: 3 });
    const origins = results.rows().map(({ metadata }) => [metadata?.['escalated'], metadata?.['same_as']]);
    expect(origins).toEqual([
      [500, undefined],
      [500, undefined],
      [undefined, 0],
    ]);
    expect(results.summary().requests).toMatchObject({ sent: 6 });

    const bound = await run(['--escalate_truncated', '500', '--max_cost', '0.0002'], 'bound');
    expect(bound).toMatchObject({ code: 3 });
    expect(bound.stderr).toContain(
      'Rows were not sent again: the next request could exceed --max_cost 0.0002',
    );
    expect(api.statistics().answered).toBe(sent + 4 + 3);
  });

  it('a model that writes no more tokens is not sent truncated rows again', async () => {
    const folder = temporaryFolder();
    const data = writeJsonl(folder, 'data.jsonl', alpacaRows(2));
    const api = await scriptedApi(({ body }) => {
      const { max_tokens: most } = body as { max_tokens: number };
      if (most <= 100) return { body: completion('It goes', { finish: 'length' }) };
      const message = `max_tokens is too large: ${most}. This model supports at most 100 completion tokens.`;
      const error = { message, type: 'invalid_request_error', param: 'max_tokens', code: 'invalid_value' };
      return { status: 400, body: { error } };
    });
    const args = [
      '--annotator',
      'gpt-4o-mini',
      '--dataset',
      data,
      ...foldersIn(folder),
      '--max_tokens',
      '10',
    ];
    const options = { env: pointingAt(api) };
    const first = await runCli([...args, '--escalate_truncated', '50', '--max_concurrency', '1'], options);
    expect(first.stderr).toContain('A model with a higher limit may finish its answers.');
    const sent = api.requests.length;
    expect(await runCli([...args, '--resume', '--escalate_truncated', '500'], options)).toMatchObject({
      code: 0,
    });
    expect(api.requests).toHaveLength(sent);
  });

  it('rows with the same request are sent once, online and in batches, and the run remembers it', async () => {
    const root = temporaryFolder();
    const data = join(root, 'data.jsonl');
    const [a, b, c] = alpacaRows(3).map((row) => JSON.stringify(row));
    writeFileSync(data, [a, b, a, c, a, b].map((line) => `${line ?? ''}\n`).join(''));
    const api = await simulator({ batchDurationMs: 20 });
    const env = pointingAt(api);
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data];
    const online = await runCli([...args, ...foldersIn(join(root, 'online')), '--dedupe'], { env });
    expect(online).toMatchObject({ code: 0 });
    expect(online.stderr).toContain('3 rows of 6 need no request');
    expect(api.statistics().answered).toBe(3);
    const results = resultsIn(join(root, 'online'));
    expect(results.summary()).toMatchObject({ rows: { ok: 6 }, deduped_rows: 3 });

    const folder = join(root, 'batch');
    expect(await submit(api, data, folder, ['--dedupe'])).toMatchObject({ code: 0 });
    expect(await watch(api, data, folder)).toMatchObject({ code: 0 });
    expect(api.statistics().answered).toBe(6);
    expect(resultsIn(folder).bytes()).toBe(results.bytes());
    const { params } = parse(readFileSync(resultsIn(folder).saved('config.yaml'), 'utf8')) as {
      params: Record<string, unknown>;
    };
    expect(params).toMatchObject({ dedupe: true, reuse: [] });
    expect(await runCli([...args, ...foldersIn(folder), '--resume'], { env })).toMatchObject({ code: 0 });
    expect(api.statistics().answered).toBe(6);
  });
});

it('the demo shows all of it, without a key', async () => {
  const cwd = temporaryFolder();
  const flags = [
    '--dedupe',
    '--escalate_truncated',
    '8',
    '--fallback_annotator',
    'gpt-4o',
    '--drop',
    'shorter=150',
    '--decontaminate',
    'benchmark',
  ];
  const run = await runCli(['demo', ...flags, '--events', 'events.jsonl'], { cwd });
  expect(run.code, run.stderr).toBe(0);
  expect(run.stderr).toContain('134 rows of 268 need no request');
  expect(run.stderr).toMatch(/Sending \d+ truncated rows again with 8 times the tokens/);
  expect(run.stderr).toMatch(/Sending \d+ refused rows to gpt-4o\./);
  expect(run.stderr).toMatch(/Dropped: +\d+ rows \(shorter=150 \d+, overlaps benchmark\.jsonl \d+\)/);
  expect(readFileSync(join(cwd, 'events.jsonl'), 'utf8')).toContain('"event":"ended","exit_code":0');
});
