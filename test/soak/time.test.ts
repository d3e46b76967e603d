import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { it, vi } from 'vitest';
import { startWatch, submit, watch } from '../support/batch-cli.js';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
} from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { leftovers } from '../support/journal.js';
import { scriptedApi } from '../support/scripted-api.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 40;
const PRELOAD = fileURLToPath(new URL('../support/clock-preload.js', import.meta.url));
const HOUR = 3_600_000;
const LONGEST_RUN_MS = 60_000;

function clock(after: number, by: number): Record<string, string> {
  return { NODE_OPTIONS: `--import ${PRELOAD}`, CLOCK_AFTER: String(after), CLOCK_BY: String(by) };
}

/** What came of a run against the requests that its server saw. */
function outcomeOf(folder: string, paid: number): Outcome {
  const missing = resultsIn(folder)
    .rows()
    .filter(({ annotation }) => annotation === null).length;
  const left = leftovers(folder);
  return {
    lost: missing,
    paidTwice: paid - ROWS,
    problem: left.length > 0 ? `left behind: ${left.join(', ')}` : null,
  };
}

it('is not affected by changes of the clock, online and in batches', async () => {
  const tally = new Tally('a clock that is set by an hour, a day, ten years');
  const shifts = [-10 * 365 * 24, -24, -1, 1, 24, 10 * 365 * 24].map((hours) => hours * HOUR);
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  const plans = Array.from({ length: cases(2, 36) }, (_, number) => ({
    by: shifts[(number * 5) % shifts.length] ?? 0,
    after: 150 + ((number * 97) % 500),
    batch: number % 2 === 1,
  }));
  await tally.play(
    plans,
    ({ by, after, batch }) => `${batch ? 'batch' : 'online'}, ${by / HOUR} h after ${after} ms`,
    async ({ by, after, batch }) => {
      const started = performance.now();
      const folder = join(temporaryFolder(), 'run');
      const api = await simulator({
        latencyMs: 20,
        faults: { '429': 0.1, '500': 0.1 },
        enqueuedTokenLimit: 60_000,
      });
      const env = clock(after, by);
      if (batch) {
        const more = ['--max_batch_size', '10'];
        const submitted = await submit(api, data, folder, more, { env });
        if (submitted.code !== 0) throw new Error(submitted.stderr);
        const watched = await watch(api, data, folder, ['--retry_failed', ...more], { env });
        if (watched.code !== 0) throw new Error(watched.stderr);
      } else {
        const args = ['--dataset', data, '--max_concurrency', '4', ...foldersIn(folder)];
        const run = await runCli(args, { env: { ...pointingAt(api), ...env } });
        if (run.code !== 0) throw new Error(run.stderr);
      }
      if (performance.now() - started > LONGEST_RUN_MS) return { problem: 'it waited for the old time' };
      return outcomeOf(
        folder,
        Object.values(api.statistics().answersByPrompt).reduce((a, b) => a + b, 0),
      );
    },
  );
  tally.expectAll();
});

it('takes the answers that came while the machine slept', async () => {
  const tally = new Tally('a machine that sleeps longer than --request_timeout');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  const plans = Array.from({ length: cases(1, 24) }, (_, number) => ({
    after: 300 + ((number * 131) % 700),
    sleep: 1500 + ((number * 367) % 2000),
  }));
  await tally.play(
    plans,
    ({ after, sleep }) => `asleep for ${sleep} ms after ${after} ms`,
    async ({ after, sleep }) => {
      const folder = join(temporaryFolder(), 'run');
      const api = await scriptedApi(async ({ prompt }) => {
        await new Promise((resolve) => setTimeout(resolve, 250));
        return `answer to ${prompt}`;
      });
      const args = ['--dataset', data, '--max_concurrency', '4', '--request_timeout', '1'];
      const { child, finished } = startCli([...args, ...foldersIn(folder)], { env: pointingAt(api) });
      await new Promise((resolve) => setTimeout(resolve, after));
      child.kill('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, sleep));
      child.kill('SIGCONT');
      const run = await finished;
      if (run.code !== 0) throw new Error(run.stderr);
      return outcomeOf(folder, api.requests.length);
    },
    4,
  );
  tally.expectAll();
});

it('continues with its batches after the machine slept', async () => {
  const tally = new Tally('a machine that sleeps while batches are watched');
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  await tally.play(
    Array.from({ length: cases(1, 8) }, (_, number) => 250 + number * 60),
    (after) => `asleep after ${after} ms`,
    async (after) => {
      const folder = join(temporaryFolder(), 'run');
      const api = await simulator({ batchDurationMs: 800 });
      const submitted = await submit(api, data, folder, ['--max_batch_size', '10']);
      if (submitted.code !== 0) throw new Error(submitted.stderr);
      const { child, finished } = startWatch(api, data, folder);
      await new Promise((resolve) => setTimeout(resolve, after));
      child.kill('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, 2000));
      child.kill('SIGCONT');
      const run = await finished;
      if (run.code !== 0) throw new Error(run.stderr);
      return outcomeOf(
        folder,
        Object.values(api.statistics().answersByPrompt).reduce((a, b) => a + b, 0),
      );
    },
  );
  tally.expectAll();
});
