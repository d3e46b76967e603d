import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FinishRules } from '../../src/models/finish-reason.js';
import { JournalIndex, scanJournal, type JournalReport, type ScannedEntry } from '../../src/run/journal.js';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { completion, scriptedApi } from '../support/scripted-api.js';

function line(row: number, finish: unknown, more: object = {}): string {
  const answer = completion(`text ${row}`);
  const choices = (answer['choices'] as Record<string, unknown>[]).map((choice) => ({
    ...choice,
    ...more,
    finish_reason: finish,
  }));
  const request = { model: 'm', messages: [{ role: 'user', content: 'x' }] };
  return JSON.stringify([request, { ...answer, choices }, { request_idx: row }]);
}

async function scan(
  lines: string[],
  rows: number,
  rules?: FinishRules,
): Promise<{ index: JournalIndex; report: JournalReport; used: number; unused: number }> {
  const path = join(temporaryFolder(), 'output.jsonl');
  writeFileSync(path, `${lines.join('\n')}\n`);
  const index = new JournalIndex(rows);
  const paid = { answer: 0, unused: 0 };
  const onEntry = (entry: ScannedEntry): void => {
    expect(entry.answer.usage.completionTokens).toBeGreaterThan(0);
    paid[entry.kind] += 1;
  };
  const report = await scanJournal(path, index, rules === undefined ? { onEntry } : { rules, onEntry });
  return { index, report, used: paid.answer, unused: paid.unused };
}

describe('a journal with answers that may be incomplete', () => {
  const lines = [
    line(0, 'stop'),
    line(1, 'abort'),
    line(2, null),
    line(3, { type: 'abort' }),
    line(4, 'stop', { error: { message: 'Upstream idle timeout' } }),
    line(5, 'abort'),
    line(5, 'stop'),
    line(6, 'MAX_TOKENS'),
    line(7, 'eos'),
  ];

  it('leaves their rows pending, reports how they ended, and counts their cost', async () => {
    const { index, report, used, unused } = await scan(lines, 8);
    const states = Array.from({ length: 8 }, (_, row) => index.state(row));
    expect(states).toEqual(['ok', 'pending', 'pending', 'pending', 'pending', 'ok', 'truncated', 'ok']);
    expect(report.partial).toEqual([
      { reason: 'abort', rows: 2 },
      { reason: 'null', rows: 1 },
      { reason: 'error', rows: 1 },
    ]);
    expect({ used, unused }).toEqual({ used: 4, unused: 5 });
  });

  it('takes them once their reason is accepted', async () => {
    const { index, used, unused } = await scan(lines, 8, new FinishRules(['abort', 'null']));
    const states = Array.from({ length: 8 }, (_, row) => index.state(row));
    expect(states).toEqual(['ok', 'ok', 'ok', 'ok', 'pending', 'ok', 'truncated', 'ok']);
    // Row 5 has two of them: both were paid for.
    expect({ used, unused }).toEqual({ used: 7, unused: 2 });
  });

  it('counts every paid answer once, whichever are accepted, and no copy of a line', async () => {
    const paid = [
      line(0, 'abort'),
      line(0, 'abort', { stop_reason: null }),
      line(0, 'stop'),
      line(0, 'length'),
      line(1, 'stop'),
    ];
    for (const accepted of [[], ['abort']]) {
      const once = await scan(paid, 2, new FinishRules(accepted));
      expect(once.used + once.unused).toBe(5);
      const copied = await scan([...paid, line(1, 'stop')], 2, new FinishRules(accepted));
      expect(copied.used + copied.unused).toBe(5);
    }
  });
});

describe('a server with its own finish reason', () => {
  it('is noticed after ten answers, which count as soon as that is accepted', async () => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(14));
    const api = await scriptedApi(({ prompt }) => ({
      body: { ...completion(`answer to ${prompt}`, { finish: 'finished' }) },
    }));
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(folder)];
    const env = pointingAt(api);
    const stopped = await runCli(args, { env });
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toContain('--accept_finish_reason finished');
    expect(api.requests).toHaveLength(10);

    const again = await runCli([...args, '--resume'], { env });
    expect(again.code).toBe(1);
    expect(api.requests).toHaveLength(11);

    const accepted = await runCli([...args, '--resume', '--accept_finish_reason', 'finished'], { env });
    expect(accepted).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(15);
    expect(resultsIn(folder).summary().rows).toMatchObject({ ok: 14, pending: 0 });
    expect(readFileSync(resultsIn(folder).saved('config.yaml'), 'utf8')).toMatch(
      /accept_finish_reason:\n\s+- finished/,
    );
    expect(await runCli([...args, '--resume'], { env })).toMatchObject({ code: 0 });
    expect(api.requests).toHaveLength(15);
  });
});
