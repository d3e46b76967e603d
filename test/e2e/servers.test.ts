import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';

const ROWS = 60;

function dataset(folder: string): string {
  const path = join(folder, 'data.jsonl');
  const row = (number: number): string => JSON.stringify({ prompt: `Question ${number}?`, response: 'old' });
  writeFileSync(path, `${Array.from({ length: ROWS }, (_, number) => row(number)).join('\n')}\n`);
  return path;
}

function escaped(url = ''): string {
  return url.replace(/[.?/]/g, '\\$&');
}

it('several servers share a run, and those that cannot serve it are named and cost no row anything', async () => {
  const folder = temporaryFolder();
  const key = 'sk-right-key-0123456789';
  const model = 'served-model';
  const [good, other, broken, foreign, locked] = await Promise.all([
    simulator({ models: [model], apiKey: key }),
    simulator({ models: [model], apiKey: key }),
    simulator({ models: [model], apiKey: key, faults: { '500': 1 } }),
    simulator({ models: ['another-model'] }),
    simulator({ models: [model], apiKey: 'sk-other-key-0123456789' }),
  ]);
  const gone = 'http://127.0.0.1:9/v1';
  const list = join(folder, 'servers.txt');
  const urls = [good, other, broken, foreign, locked].map(({ url }) => `${url}/v1`);
  const secret = 'hunter2hunter2';
  urls[0] = `${urls[0]}?api-version=1,2`;
  urls[1] = (urls[1] ?? '').replace('//', `//me:${secret}@`);
  writeFileSync(list, `# servers\n${urls.join('\n')}\n${gone}\n`);
  const flags = ['--annotator', model, '--dataset', dataset(folder), ...foldersIn(folder)];
  const env = { OPENAI_API_KEY: key };

  const run = await runCli([...flags, '--base_url', `@${list}`, '--max_attempts', '1'], { env });
  expect(run).toMatchObject({ code: 0 });
  const warnings = run.stderr.split('\n').filter((line) => line.startsWith('warning:'));
  for (const [url, why] of [
    [urls[2], '500'],
    [urls[3], 'it serves another-model, and not served-model'],
    [urls[4], '401'],
    [gone, 'ECONNREFUSED'],
  ] as const)
    expect(warnings).toContainEqual(
      expect.stringMatching(new RegExp(`^warning: ${escaped(url)} is (?:left out|not used).*${why}`)),
    );
  const summary = resultsIn(folder).summary() as unknown as { servers: Record<string, { answers: number }> };
  const answers = Object.values(summary.servers).map((one) => one.answers);
  expect(answers.reduce((sum, one) => sum + one, 0)).toBe(ROWS);
  expect(answers.filter((one) => one > 0)).toHaveLength(2);
  expect(run.stderr).not.toContain(secret);
  expect(JSON.stringify(summary)).not.toContain(secret);

  const pair = urls.slice(0, 2).join(',');
  const resumed = await runCli([...flags, '--base_url', pair, '--resume'], { env });
  expect(resumed).toMatchObject({ code: 0 });
  expect(resumed.stderr).not.toContain(secret);
  const batch = await runCli([...flags, '--base_url', pair, '--resume', '--batch'], { env });
  expect(batch).toMatchObject({ code: 2 });
  expect(batch.stderr).toContain('--batch takes one server');
});

it('watch-batch --finish_online looks batches up at the first server, and sends the missing rows to all', async () => {
  const folder = temporaryFolder();
  const [first, second] = await Promise.all([
    simulator({ batchPlans: [['expire']], latencyMs: 20 }),
    simulator({ latencyMs: 20 }),
  ]);
  const flags = ['--annotator', 'gpt-4o-mini', '--dataset', dataset(folder), ...foldersIn(folder)];
  const env = { OPENAI_API_KEY: 'sk-right-key-0123456789' };
  const own = `${first.url}/v1`;
  expect(await runCli([...flags, '--base_url', own, '--batch'], { env })).toMatchObject({ code: 0 });
  const both = ['--base_url', `${own},${second.url}/v1`, '--finish_online', '--check_interval', '0.1'];
  expect(await runCli([...flags, ...both], { env, program: 'watch-batch' })).toMatchObject({ code: 0 });
  const summary = resultsIn(folder).summary();
  expect(summary.rows).toMatchObject({ total: ROWS, ok: ROWS });
  const sent = [first, second].map((server) => server.statistics().requests);
  expect(Math.min(...sent)).toBeGreaterThan(0);
  expect(sent.reduce((sum, one) => sum + one, 0)).toBe(ROWS / 2);
});
