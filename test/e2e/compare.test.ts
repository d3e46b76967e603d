import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { CompareFigures } from '../../src/compare/figures.js';
import { foldersIn, pointingAt, runCli, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJsonl } from '../support/data.js';

it('annotators are compared on a sample, and a run of the whole dataset continues with one without paying for it again', async () => {
  const root = temporaryFolder();
  writeJsonl(root, 'data.jsonl', alpacaRows(9));
  const api = await simulator({ refusals: { 'gpt-4o-mini': 0.3 } });
  const env = pointingAt(api);
  const args = [
    'compare',
    'gpt-4o-mini,gpt-4.1-mini',
    '--dataset',
    'data.jsonl',
    '--sample',
    '6',
    ...foldersIn(root),
  ];
  const run = (more: string[]): ReturnType<typeof runCli> => runCli([...args, ...more], { env, cwd: root });

  const dry = await run(['--dry_run']);
  expect(dry).toMatchObject({ code: 0 });
  expect(dry.stdout).toContain('6 requests to gpt-4.1-mini');
  expect(dry.stdout).toContain('12 requests to gpt-4o,');
  expect(api.statistics().requests).toBe(0);
  expect(existsSync(join(root, 'temp'))).toBe(false);

  const poor = await run(['--max_cost', '0.004']);
  expect(poor).toMatchObject({ code: 3, stdout: '' });
  expect(poor.stderr).toContain('could exceed --max_cost 0.004');
  const paid = api.statistics().requests;

  const first = await run(['--judge', 'gpt-4o']);
  expect(first).toMatchObject({ code: 0 });
  const folder = join(root, 'saved', 'data.jsonl_compare');
  const figures = JSON.parse(readFileSync(join(folder, 'compare.json'), 'utf8')) as CompareFigures;
  const refused =
    figures.annotators.find(({ annotator }) => annotator === 'gpt-4o-mini')?.rows['refused'] ?? 0;
  expect(api.statistics().requests).toBe(12 + 2 * (6 - refused));
  expect(paid).toBeLessThanOrEqual(api.statistics().requests);
  expect(figures).toMatchObject({ dataset_rows: 9, sample: 6, judge: { annotator: 'gpt-4o' } });
  const [pair] = figures.pairs;
  const judged = (pair?.wins ?? 0) + (pair?.ties ?? 0) + (pair?.losses ?? 0) + (pair?.undecided ?? 0);
  expect(judged).toBe(6 - refused);
  expect(first.stdout).toContain(figures.annotators[0]?.annotator);
  expect(readFileSync(join(folder, 'compare.html'), 'utf8')).toContain('gpt-4.1-mini');

  const before = api.statistics().requests;
  const whole = await run(['--run', 'gpt-4.1-mini']);
  expect(whole).toMatchObject({ code: 0, stdout: first.stdout });
  expect(whole.stderr).toContain('Reused 6 answers from');
  expect(api.statistics().requests).toBe(before + 3);
  expect(existsSync(join(root, 'saved', 'data.jsonl_gpt-4.1-mini', 'reannotated.json'))).toBe(true);
});
