import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { it, vi } from 'vitest';
import { startWatch, submit } from '../support/batch-cli.js';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  simulator,
  startCli,
  temporaryFolder,
  type Finished,
} from '../support/cli.js';
import { runName } from '../../src/run/folder.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { journalLines, leftovers, rowOf } from '../support/journal.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 40;

/** As a user copies, while files appear and disappear. */
function copyFolder(from: string, to: string): void {
  spawnSync('cp', ['-r', from, to]);
}

function outcomeOf(folder: string, paid: number): Outcome {
  const missing = resultsIn(folder)
    .rows()
    .filter(({ annotation }) => annotation === null).length;
  const left = leftovers(folder);
  const problem = left.length > 0 ? `left behind: ${left.join(', ')}` : null;
  return { lost: missing, paidTwice: paid - ROWS, problem };
}

/** One of several processes works, or they work one after the other; those kept off say so. */
function expectOneAtATime(runs: readonly Finished[]): void {
  const worked = runs.filter(({ code }) => code === 0);
  const keptOff = runs.filter(
    ({ code, stderr }) => code === 75 && stderr.includes('Another process works on this run'),
  );
  if (worked.length === 0 || worked.length + keptOff.length !== runs.length)
    throw new Error(runs.map(({ code, stderr }) => `${code}: ${stderr}`).join('\n'));
}

it('lets one process at a time work on a run', async () => {
  const tally = new Tally('several processes on one run, online and with batches');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  await tally.play(
    Array.from({ length: cases(2, 60) }, (_, number) => ({ number, batch: number % 2 === 1 })),
    ({ number, batch }) => `${batch ? 'batch' : 'online'} ${number}`,
    async ({ number, batch }) => {
      const folder = join(temporaryFolder(), 'run');
      // As a process leaves it that was killed at its very start.
      mkdirSync(join(folder, 'temp', runName(data, 'gpt-4o-mini')), { recursive: true });
      const api = await simulator({ latencyMs: 20, batchDurationMs: 100 });
      const start = async (place: number): Promise<Finished> => {
        await new Promise((resolve) => setTimeout(resolve, (place * number * 7) % 90));
        if (batch) return startWatch(api, data, folder).finished;
        const args = ['--dataset', data, '--annotator', 'gpt-4o-mini', '--resume', '--max_concurrency', '4'];
        return startCli([...args, ...foldersIn(folder)], { env: pointingAt(api) }).finished;
      };
      if (batch) {
        const both = await Promise.all(
          [0, 1].map(() => submit(api, data, folder, ['--max_batch_size', '10', '--resume'])),
        );
        expectOneAtATime(both);
        if (api.statistics().batchesCreated !== 4) throw new Error('batches were made twice');
      }
      expectOneAtATime(await Promise.all([0, 1, 2].map(start)));
      return outcomeOf(
        folder,
        Object.values(api.statistics().answersByPrompt).reduce((a, b) => a + b, 0),
      );
    },
    1,
  );
  tally.expectAll();
});

it('continues in a copy of its folders that was made while it ran', async () => {
  const tally = new Tally('a run folder copied elsewhere, also while it is worked on');
  const rows = alpacaRows(ROWS);
  const data = writeJson(temporaryFolder(), 'data.json', rows);
  const rowOfPrompt = new Map(rows.map((row, index) => [alpacaText(row), index]));
  await tally.play(
    Array.from({ length: cases(1, 40) }, (_, number) => ({
      requests: 2 + ((number * 7) % 30),
      alive: number % 2 === 0,
    })),
    ({ requests, alive }) => `${alive ? 'while it runs' : 'after its death'}, after ${requests} requests`,
    async ({ requests, alive }) => {
      const original = join(temporaryFolder(), 'original');
      const copy = join(temporaryFolder(), 'copy');
      const args = (folder: string): string[] => [
        ...['--dataset', data, ...resuming(folder), '--max_concurrency', '4'],
        ...foldersIn(folder),
      ];
      let begun = (): void => undefined;
      const isUnderWay = new Promise<void>((resolve) => (begun = resolve));
      const slow = await scriptedApi(async ({ prompt }, number) => {
        if (number === requests) begun();
        await new Promise((resolve) => setTimeout(resolve, 60));
        return prompt;
      });
      const first = startCli(args(original), { env: pointingAt(slow) });
      await isUnderWay;
      if (!alive) {
        first.child.kill('SIGKILL');
        await first.finished;
      }
      copyFolder(original, copy);
      const onDisk = new Set(journalLines(copy).map(rowOf));
      const api = await scriptedApi(({ prompt }) => prompt);
      const run = await startCli(args(copy), { env: pointingAt(api) }).finished;
      first.child.kill('SIGKILL');
      await first.finished;
      if (run.code !== 0) throw new Error(run.stderr);
      const again = api.requests.filter(({ prompt }) => onDisk.has(rowOfPrompt.get(prompt) ?? -1)).length;
      const outcome = outcomeOf(copy, ROWS);
      return { ...outcome, paidTwice: again };
    },
  );
  tally.expectAll();
});

it('collects its batches once in a copy of its folders', async () => {
  const tally = new Tally('a run folder copied elsewhere with batches in progress');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  await tally.play(
    Array.from({ length: cases(1, 10) }, (_, number) => number),
    (number) => `copy ${number}`,
    async () => {
      const original = join(temporaryFolder(), 'original');
      const copy = join(temporaryFolder(), 'copy');
      const api = await simulator({ batchDurationMs: 200 });
      const submitted = await submit(api, data, original, ['--max_batch_size', '10']);
      if (submitted.code !== 0) throw new Error(submitted.stderr);
      copyFolder(original, copy);
      const [here, there] = await Promise.all(
        [original, copy].map((folder) => startWatch(api, data, folder).finished),
      );
      if (here?.code !== 0 || there?.code !== 0)
        throw new Error(`${here?.stderr ?? ''}\n${there?.stderr ?? ''}`);
      if (resultsIn(original).bytes() !== resultsIn(copy).bytes()) return { problem: 'the copies differ' };
      if (api.statistics().batchesCreated !== 4) return { problem: 'batches were made again' };
      return outcomeOf(
        copy,
        Object.values(api.statistics().answersByPrompt).reduce((a, b) => a + b, 0),
      );
    },
  );
  tally.expectAll();
});
