import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { foldersIn, pointingAt, resultsIn, simulator, startCli, temporaryFolder } from '../support/cli.js';

const ROWS = ['One?', 'Two?', 'Three?']
  .map((prompt) => `${JSON.stringify({ prompt, response: '-' })}\n`)
  .join('');

it('a dataset from standard input is run, resumed without it, and extended only by the same', async () => {
  const env = pointingAt(await simulator());
  const folder = temporaryFolder();
  const run = async (input: string | Uint8Array, ...flags: string[]) => {
    const words = ['--dataset', '-', '--annotator', 'gpt-4o-mini', ...foldersIn(folder), ...flags];
    const { child, finished } = startCli(words, { env, cwd: folder });
    child.stdin.on('error', () => undefined).end(input);
    return finished;
  };
  const first = await run(gzipSync(ROWS), '--limit', '2');
  expect(first.code, first.stderr).toBe(0);
  expect(
    resultsIn(folder)
      .rows()
      .map((row) => row.user_prompt),
  ).toEqual(['One?', 'Two?']);
  expect(readdirSync(join(folder, 'temp'))).toEqual(['stdin_gpt-4o-mini']);

  const again = await run('', '--limit', '2', '--resume');
  expect(again.code, again.stderr).toBe(0);
  const other = await run(ROWS.replace('One', 'Uno'), '--resume');
  expect(other.code).toBe(1);
  expect(other.stderr).toContain('Standard input differs from what the run');
  const more = await run(gzipSync(ROWS), '--resume');
  expect(more.code, more.stderr).toBe(0);
  expect(resultsIn(folder).rows()).toHaveLength(3);
});

it('a folder of shards is a dataset of which no file may change', async () => {
  const env = pointingAt(await simulator());
  const folder = temporaryFolder();
  const shards = join(folder, 'shards');
  for (const name of ['a', 'b']) {
    mkdirSync(shards, { recursive: true });
    writeFileSync(join(shards, `${name}.jsonl`), ROWS);
  }
  const run = async (...flags: string[]) =>
    startCli(['--dataset', 'shards', '--annotator', 'gpt-4o-mini', ...foldersIn(folder), ...flags], {
      env,
      cwd: folder,
    }).finished;
  const first = await run();
  expect(first.code, first.stderr).toBe(0);
  expect(resultsIn(folder).rows()).toHaveLength(6);
  writeFileSync(join(shards, 'b.jsonl'), ROWS.replace('Two', 'Duo'));
  const changed = await run('--resume');
  expect(changed.code).toBe(1);
  expect(changed.stderr).toMatch(/b\.jsonl has changed since this run started/);
  writeFileSync(join(shards, 'b.jsonl'), ROWS);
  writeFileSync(join(shards, 'c.jsonl'), ROWS);
  const grown = await run('--resume');
  expect(grown.stderr).toMatch(/started with 2 files, and --dataset now has 3\. New: .*c\.jsonl/);
});
