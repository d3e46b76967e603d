import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { paste, submit, watch } from '../support/batch-cli.js';
import { foldersIn, pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJsonl } from '../support/data.js';
import { journalLines } from '../support/journal.js';

const ROWS = 12;

describe('refused rows go to another annotator', () => {
  it('in the same run, once each, wherever it was interrupted, and the row says who answered', async () => {
    const root = temporaryFolder();
    const data = writeJsonl(root, 'data.jsonl', alpacaRows(ROWS));
    const api = await simulator({ refusals: { 'gpt-4o-mini': 0.5, 'gpt-4o': 0.25 } });
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(join(root, 'run'))];
    const run = (more: string[]): ReturnType<typeof runCli> =>
      runCli([...args, ...more], { env: pointingAt(api), cwd: root });
    const first = await run(['--fallback_annotator', 'gpt-4o', '--include_metadata']);
    expect(first.code).toBe(3);
    const results = resultsIn(join(root, 'run'));
    const before = results.bytes();
    const summary = results.summary() as unknown as {
      rows: { ok: number; refused: number };
      requests: { sent: number };
      annotators: Record<string, { rows: number; cost_usd: number }>;
      cost_usd: number;
    };
    const sent = summary.requests.sent;
    const [own, other] = [summary.annotators['gpt-4o-mini'], summary.annotators['gpt-4o']];
    expect(own?.rows).toBeGreaterThan(0);
    expect(other?.rows).toBeGreaterThan(0);
    expect(summary.rows.ok).toBe((own?.rows ?? 0) + (other?.rows ?? 0));
    expect(summary.rows.refused).toBeGreaterThan(0);
    expect(sent).toBe(ROWS + ROWS - (own?.rows ?? 0));
    expect(api.statistics().answered).toBe(sent);
    expect(summary.cost_usd).toBeCloseTo((own?.cost_usd ?? 0) + (other?.cost_usd ?? 0), 5);
    for (const { metadata } of results.rows()) {
      const model = metadata?.['annotator'] === 'gpt-4o' ? 'gpt-4o-2024-08-06' : 'gpt-4o-mini-2024-07-18';
      expect(metadata?.['model']).toBe(model);
      if (metadata?.['state'] === 'refused') expect(metadata['annotator']).toBe('gpt-4o-mini');
    }

    expect((await run(['--resume'])).code).toBe(3);
    expect(api.statistics().answered).toBe(sent);
    expect(results.bytes()).toBe(before);

    // As a kill leaves it, between the rounds and in the second one.
    const journal = results.temp('output.jsonl');
    const lines = journalLines(join(root, 'run'));
    for (const kept of [ROWS, ROWS + 2]) {
      const answered = api.statistics().answered;
      writeFileSync(
        journal,
        lines
          .slice(0, kept)
          .map((line) => `${line}\n`)
          .join(''),
      );
      expect((await run(['--resume'])).code).toBe(3);
      expect(api.statistics().answered - answered).toBe(lines.length - kept);
    }
    const answered = api.statistics().answered;
    const last = await run(['--resume', '--fallback_annotator', 'gpt-4-turbo']);
    expect(last.code).toBe(0);
    expect(last.stderr).toContain(`Sending ${summary.rows.refused} refused rows to gpt-4-turbo.`);
    expect(api.statistics().answered - answered).toBe(summary.rows.refused);
  });

  it('an annotator that cannot be called ends the run before anything is sent', async () => {
    const root = temporaryFolder();
    const data = writeJsonl(root, 'data.jsonl', alpacaRows(3));
    const api = await simulator({ models: ['gpt-4o-mini'] });
    const missing = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(root)];
    const wrong = await runCli([...missing, '--fallback_annotator', 'gpt-4o'], { env: pointingAt(api) });
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.stderr).toContain('has no model gpt-4o for this key. Nothing was sent.');
    const keyless = await runCli([...missing, '--fallback_annotator', 'groq/llama'], {
      env: pointingAt(api),
    });
    expect(keyless).toMatchObject({ code: 1 });
    expect(keyless.stderr).toContain('GROQ_API_KEY');
    expect(api.statistics().requests).toBe(0);
  });

  it('after batches that had none: the message names the command, and --events says how the batches went', async () => {
    const root = temporaryFolder();
    const data = writeJsonl(root, 'data.jsonl', alpacaRows(ROWS));
    const api = await simulator({ refusals: { 'gpt-4o-mini': 0.5 } });
    expect(await submit(api, data, root, ['--temperature', '0.5'])).toMatchObject({ code: 0 });
    const watched = await watch(api, data, root, ['--events', 'events.jsonl']);
    expect(watched).toMatchObject({ code: 3 });
    const [, command = ''] =
      /rows to another model: (npx watch-batch .*? --fallback_annotator NAME)/.exec(watched.stderr) ?? [];
    const again = await paste(command.replace('NAME', 'gpt-4o'), api, root);
    expect(again.code, again.stderr).toBe(0);
    const events = readFileSync(join(root, 'events.jsonl'), 'utf8').trim().split('\n');
    const looks = events.map((line) => JSON.parse(line) as object).filter((line) => 'batches' in line);
    expect(looks.at(-1)).toMatchObject({
      ...{ event: 'batches', batches: { total: 1, ended: 1, waiting: 0 } },
      requests: { total: ROWS, done: ROWS, failed: 0 },
    });
  });

  it('after batches, online, and --max_cost holds for both', async () => {
    const root = temporaryFolder();
    const data = writeJsonl(root, 'data.jsonl', alpacaRows(ROWS));
    const api = await simulator({ refusals: { 'gpt-4o-mini': 0.5 } });
    const submitted = await submit(api, data, root, ['--fallback_annotator', 'gpt-4o']);
    expect(submitted).toMatchObject({ code: 0 });
    expect(submitted.stderr).toContain('watch-batch sends truncated and refused rows again online');
    const bound = await watch(api, data, root, ['--max_cost', '0.001']);
    expect(bound).toMatchObject({ code: 3 });
    expect(api.statistics().answered).toBe(ROWS);
    expect(await watch(api, data, root)).toMatchObject({ code: 0 });
    const { annotators } = resultsIn(root).summary() as unknown as {
      annotators: Record<string, { rows: number }>;
    };
    expect(api.statistics().answered).toBe(ROWS + (annotators['gpt-4o']?.rows ?? 0));
    expect(readFileSync(resultsIn(root).saved('config.yaml'), 'utf8')).toContain(
      'fallback_annotator: gpt-4o',
    );
  });
});
