import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { openStatus, statusLines, type RunStatus } from '../../src/commands/run-status.js';
import type { EventLine } from '../../src/session/events.js';
import { foldersIn, pointingAt, resultsIn, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJsonl } from '../support/data.js';
import { journalLines } from '../support/journal.js';

it('status shows any run by either of its folders: while it is worked on, stopped, and finished', async () => {
  const root = temporaryFolder();
  const data = writeJsonl(root, 'data.jsonl', alpacaRows(5));
  const api = await simulator({ refusals: { 'gpt-4o-mini': 0.5 } });
  const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, ...foldersIn(root)];
  const events = join(root, 'events.jsonl');
  await runCli([...args, '--events', events], { env: pointingAt(api) });
  const results = resultsIn(root);
  const summary = results.summary();
  const runDir = dirname(results.temp('run.json'));
  const seen = readFileSync(events, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as EventLine);
  expect(seen.at(0)).toMatchObject({ event: 'started', command: 'reannotate' });
  expect(seen.at(-2)).toMatchObject({
    event: 'progress',
    rows: { total: 5, done: 5 },
  });
  expect(seen.at(-1)).toMatchObject({ event: 'ended', exit_code: 3, error: null });

  const shown = await runCli(['status', runDir, '--json'], {});
  const finished = JSON.parse(shown.stdout) as RunStatus;
  expect(finished).toMatchObject({ state: 'finished', mode: 'online', annotator: 'gpt-4o-mini' });
  expect(finished.rows).toEqual(summary.rows);
  expect(finished.cost_usd).toBe(summary.cost_usd);
  expect(finished.requests).toEqual(summary.requests);
  const look = await openStatus(dirname(results.saved('summary.json')));
  expect(await look()).toEqual(finished);

  // As a run is before its end: no summary yet, and answers come one after the other.
  rmSync(results.saved('summary.json'));
  const journal = results.temp('output.jsonl');
  const lines = journalLines(root);
  const keep = (rows: number): void => {
    writeFileSync(
      journal,
      lines
        .slice(0, rows)
        .map((line) => `${line}\n`)
        .join(''),
    );
  };
  keep(2);
  const lookAgain = await openStatus(runDir);
  const stopped = await lookAgain();
  expect(stopped).toMatchObject({ state: 'stopped', rows: { total: 5, pending: 3 } });
  keep(4);
  const later = await lookAgain();
  expect(later.rows.pending).toBe(1);
  expect(later.cost_usd).toBeGreaterThan(stopped.cost_usd ?? 0);
  expect(statusLines(later, 2).join('\n')).toContain('Rows:     4 of 5 (80 %, 120/min, 0.5 s left)');

  const missing = await runCli(['status', join(root, 'nowhere')], {});
  expect(missing).toMatchObject({ code: 1 });
});
