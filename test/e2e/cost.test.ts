import { readFileSync, truncateSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { foldersIn, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { completion, scriptedApi, type ApiRequest } from '../support/scripted-api.js';

const ENV = { KEY: 'sk-test-key-0001' };

function billed({ prompt }: ApiRequest, usage: object | null): { body: unknown } {
  return { body: { ...completion(prompt), usage: usage ?? undefined } };
}

describe('what a run costs', () => {
  it('is what the answers state, which keeps --max_cost although no price is known, also after --resume', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(40));
    const usage = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150, cost: 0.001 };
    const api = await scriptedApi((request) => billed(request, usage));
    const args = ['--annotator', 'own-model', '--base_url', `${api.url}/v1`, '--api_key_env', 'KEY'];
    args.push('--dataset', data, '--max_tokens', '50', ...foldersIn(folder));
    const tight = await runCli([...args, '--max_cost', '0.02'], { env: ENV });
    expect(tight).toMatchObject({ code: 3 });
    expect(tight.stderr).toContain('could exceed --max_cost 0.02');
    const first = resultsIn(folder).summary();
    expect(api.requests.length).toBeGreaterThan(1);
    expect(first.cost_usd).toBeCloseTo(api.requests.length * 0.001, 9);
    expect(first.cost_usd).toBeLessThanOrEqual(0.02);
    expect((await runCli([...args, '--resume'], { env: ENV })).code).toBe(0);
    expect(resultsIn(folder).summary()).toMatchObject({
      cost_usd: 0.04,
      tokens: { prompt: 4000, completion: 2000 },
    });
    expect(resultsIn(folder).summary()).not.toHaveProperty('cost_estimated');
  });

  it('ends a run under --max_cost at its first answer if the cost is unknown', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(10));
    const api = await scriptedApi(({ prompt }) => prompt);
    const args = ['--annotator', 'own-model', '--base_url', `${api.url}/v1`, '--dataset', data];
    const run = await runCli([...args, '--max_cost', '1', ...foldersIn(folder)], { env: ENV });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('the price of own-model is unknown, and the API does not state costs');
    expect(api.requests).toHaveLength(1);
  });

  it('is estimated from the texts where a server reports no usage, the same after a crash', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(30));
    const plain = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 };
    // Every third answer reports its usage.
    let number = 0;
    const api = await scriptedApi((request) => billed(request, number++ % 3 === 0 ? plain : null));
    const args = ['--annotator', 'gpt-4o-mini', '--base_url', `${api.url}/v1`, '--api_key_env', 'KEY'];
    args.push('--dataset', data, '--max_concurrency', '1', ...foldersIn(folder));
    const run = await runCli(args, { env: ENV });
    expect(run.stderr).toMatch(/^Tokens: .* \(estimated: the server reports no usage for 20 answers\)$/m);
    expect(run.stderr).toMatch(/^Cost: +≈\$0\.0\d+ \(estimated\)$/m);
    const { tokens, cost_usd: cost, ...rest } = resultsIn(folder).summary();
    expect(rest).toMatchObject({ tokens_estimated: 20, cost_estimated: true });
    expect(cost).toBeGreaterThan(0);

    // A crash in the midst of the last line: it is asked again, and all the others are read from the journal.
    const journal = resultsIn(folder).temp('output.jsonl');
    const bytes = readFileSync(journal);
    truncateSync(journal, bytes.length - 20);
    number = 29;
    expect((await runCli([...args, '--resume'], { env: ENV })).code).toBe(0);
    expect(resultsIn(folder).summary()).toMatchObject({ tokens, cost_usd: cost, tokens_estimated: 20 });
  });
});
