import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runTable } from '../../src/commands/run-table.js';
import { listRuns, type ListedRun } from '../../src/session/run-list.js';
import { temporaryFolder } from '../support/cli.js';

const COUNTS = { ok: 3, truncated: 0, refused: 0, filtered: 0, failed: 0, pending: 0 };

interface Files {
  saved?: Record<string, unknown>;
  temp?: Record<string, unknown>;
}

/** Folders of runs, with their files as text or JSON. */
function folderOf(runs: Record<string, Files>): string {
  const folder = temporaryFolder();
  for (const [name, files] of Object.entries(runs)) {
    for (const parent of ['saved', 'temp'] as const) {
      const own = files[parent];
      if (own === undefined) continue;
      mkdirSync(join(folder, parent, name), { recursive: true });
      for (const [file, content] of Object.entries(own))
        writeFileSync(
          join(folder, parent, name, file),
          typeof content === 'string' ? content : JSON.stringify(content),
        );
    }
  }
  return folder;
}

async function listed(folder: string): Promise<Record<string, ListedRun>> {
  const runs = await listRuns({ saveDir: join(folder, 'saved'), tempDir: join(folder, 'temp') });
  return Object.fromEntries(runs.map((run) => [run.name, run]));
}

const config = 'params:\n  dataset: a/b\n  annotator: gpt-4o-mini\n';
const summary = { rows: { total: 3, ...COUNTS }, cost_usd: 0.25, mode: 'online' };
const answer = {
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

it('shows the state, rows and cost of each run, even with damaged files', async () => {
  const open = { id: 'batch_1', status: 'in_progress', created_at: 1, request_counts: { total: 3 } };
  const folder = folderOf({
    done: { saved: { 'config.yaml': config, 'summary.json': summary }, temp: { 'run.json': {} } },
    lacking: {
      saved: { 'summary.json': { ...summary, rows: { ...summary.rows, ok: 2, pending: 1 } } },
      temp: { 'rows.jsonl': '{}\n{}\n{}\n' },
    },
    stopped: {
      saved: { 'config.yaml': config },
      temp: {
        'rows.jsonl': '{}\n{}\n',
        'output.jsonl': `${JSON.stringify([{ model: 'm' }, answer, { request_idx: 1 }])}\n[{"model":"m"},{"cho`,
      },
    },
    batches: { saved: { 'batch_objects.json': [open] }, temp: { 'rows.jsonl': '{}\n' } },
    alone: { saved: { 'summary.json': summary } },
    'torn summary': { saved: { 'summary.json': '{"rows": {' }, temp: {} },
    'torn config': { saved: { 'config.yaml': ': : [', 'summary.json': summary }, temp: {} },
    'no counts': { saved: { 'summary.json': { rows: { total: -1 } } }, temp: {} },
    'torn plan': { saved: {}, temp: { 'plan.json': '{' } },
    'of something else': { saved: { 'notes.txt': 'hello' } },
    empty: { saved: {} },
  });
  const before = readFileSync(join(folder, 'temp/stopped/output.jsonl'), 'utf8');
  const runs = await listed(folder);
  const told = Object.entries(runs).map(([name, { state, rows }]) => [name, state, rows?.total ?? null]);
  expect(Object.fromEntries(told.map(([name, ...rest]) => [name, rest]))).toEqual({
    done: ['finished', 3],
    lacking: ['incomplete', 3],
    stopped: ['stopped', 2],
    batches: ['batches', 1],
    alone: ['finished', 3],
    'torn summary': ['damaged', null],
    'torn config': ['damaged', 3],
    'no counts': ['stopped', null],
    'torn plan': ['damaged', null],
  });
  expect(runs['stopped']?.rows?.ok).toBe(1);
  expect(runs['done']).toMatchObject({ dataset: 'a/b', annotator: 'gpt-4o-mini', cost_usd: 0.25 });
  expect(runs['alone']?.note).toContain('cannot be resumed');
  expect(runs['batches']?.note).toBe('0 of 1 batches ended');
  // Another process may be writing it.
  expect(readFileSync(join(folder, 'temp/stopped/output.jsonl'), 'utf8')).toBe(before);
});

it.skipIf(process.getuid?.() === 0)('says which folder it may not read', async () => {
  const folder = folderOf({ locked: { saved: { 'summary.json': summary }, temp: {} } });
  chmodSync(join(folder, 'saved/locked/summary.json'), 0);
  expect((await listed(folder))['locked']?.state).toBe('damaged');
});

function run(name: string, more: Partial<ListedRun> = {}): ListedRun {
  return {
    ...{ name, state: 'finished', note: '', dataset: null, annotator: null, mode: 'online' },
    rows: { total: 1990, ...COUNTS },
    ...{ cost_usd: 1.5, cost_estimated: false, bytes: 1_234_567, updated_at: '2026-01-31T12:00:00.000Z' },
    ...{ results: '', working_files: '' },
    ...more,
  };
}

it('fits the table into any width, and keeps name and state', () => {
  const runs = [
    run('glaiveai_glaive-code-assistant_gpt-4o-mini', { note: 'its working files are missing' }),
    run('漢字の長い名前のデータセット_gpt-4o-mini', { state: 'damaged', rows: null, cost_usd: null }),
    run('x\u202ey'),
  ];
  for (const width of [20, 30, 40, 60, 80, 100, 120, Infinity]) {
    const lines = runTable(runs, width);
    expect(lines).toHaveLength(4);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
    expect(lines.join('\n')).not.toContain('\u202e');
    expect(lines[1]).toContain('finished');
  }
  expect(runTable(runs, 60)[1]).toMatch(/^glaive.+…/);
  expect(runTable(runs, Infinity)[1]).toBe(
    'glaiveai_glaive-code-assistant_gpt-4o-mini  finished  1,990  $1.50  1.2 MB  2026-01-31 12:00  its working files are missing',
  );
});

it('lists hundreds of runs in the order of their last change', async () => {
  const names = Array.from({ length: 300 }, (_, index) => `run-${index}`);
  const folder = folderOf(
    Object.fromEntries(names.map((name) => [name, { saved: { 'summary.json': summary }, temp: {} }])),
  );
  writeFileSync(join(folder, 'saved/run-150/reannotated.json'), '[]');
  rmSync(join(folder, 'temp/run-3'), { recursive: true });
  const runs = await listRuns({ saveDir: join(folder, 'saved'), tempDir: null });
  expect(runs).toHaveLength(300);
  expect(runs[0]?.name).toBe('run-150');
});
