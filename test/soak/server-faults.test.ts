import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished, vi } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  runCli,
  simulator,
  temporaryFolder,
} from '../support/cli.js';
import { chaosApi, FAULTS, type ChaosApi, type FaultName } from '../support/chaos-api.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { leftovers } from '../support/journal.js';
import { scriptedApi } from '../support/scripted-api.js';
import { measured } from '../support/usage.js';
import { cases, spread, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const SHARE = 0.3;
/** Sessions in which every row is to be answered: each tries a row five times. */
const SESSIONS = 4;
/** Eight answers of 50 MB may be in progress; everything else stays far below. */
const MOST_MEGABYTES = 500;
const MOST_CPU_SECONDS = 30;
/** Answers of this kind are large, so there are fewer of them. */
const LARGE: readonly FaultName[] = ['an answer of 50 MB', 'a gzip bomb'];
const SMALL = (Object.keys(FAULTS) as FaultName[]).filter((name) => !LARGE.includes(name));

/** Runs, and resumes while rows are left, against a server that gives a share of faulty answers. */
async function survive(kinds: readonly FaultName[], rows: number, timeout = '1.5'): Promise<Outcome> {
  const folder = temporaryFolder();
  const data = writeJson(folder, 'data.json', alpacaRows(rows));
  const api = await chaosApi(kinds, SHARE);
  const args = [
    '--dataset',
    data,
    '--max_concurrency',
    '8',
    '--request_timeout',
    timeout,
    ...foldersIn(folder),
  ];
  for (let session = 0; session < SESSIONS; session++) {
    const { env, usage } = measured();
    const run = await runCli([...args, ...resuming(folder)], { env: { ...pointingAt(api), ...env } });
    if (![0, 1, 3, 75].includes(run.code ?? -1)) throw new Error(`code ${run.code}: ${run.stderr}`);
    if (/\n\s+at |unexpected problem|sk-test-key/.test(run.stderr)) throw new Error(run.stderr);
    if (/\u001b\[31mnginx/.test(run.stderr)) throw new Error('an escape sequence reached the terminal');
    const { megabytes, cpuSeconds } = usage();
    if (megabytes > MOST_MEGABYTES) throw new Error(`${Math.round(megabytes)} MB of memory`);
    if (cpuSeconds > MOST_CPU_SECONDS) throw new Error(`${cpuSeconds} s of CPU`);
    if (run.code === 1 || run.code === 75) continue;
    const { failed, pending } = resultsIn(folder).summary().rows;
    if (failed === 0 && pending === 0) break;
  }
  return outcomeOf(folder, api, rows);
}

function outcomeOf(folder: string, api: ChaosApi, rows: number): Outcome {
  const states = resultsIn(folder).summary().rows;
  const sum = Object.entries(states).reduce(
    (all, [state, count]) => (state === 'total' ? all : all + count),
    0,
  );
  const wrong = resultsIn(folder)
    .rows()
    .filter(
      ({ annotation, user_prompt: prompt }) =>
        annotation !== null &&
        annotation !== `answer to ${prompt ?? ''}` &&
        !/^(x+|)$|can’t help/.test(annotation),
    );
  const twice = [...api.given.values()].reduce((more, times) => more + times - 1, 0);
  const left = leftovers(folder);
  return {
    lost: (states['failed'] ?? 0) + (states['pending'] ?? 0) + wrong.length,
    paidTwice: twice,
    problem:
      sum !== rows
        ? `${sum} states for ${rows} rows`
        : left.length > 0
          ? `left behind: ${left.join(', ')}`
          : null,
  };
}

it('gets every row into exactly one state although 30 % of the answers are faulty', async () => {
  const tally = new Tally('server: each of its faults in 30 % of the answers');
  // A sample of two; the next test mixes all of them.
  await tally.play(spread(SMALL, 2), String, (kind) => survive([kind], cases(10, 60)), 4);
  tally.expectAll();
});

it('gets every row into exactly one state with every fault in 30 % of the answers', async () => {
  const tally = new Tally('server: all of its faults mixed, in 30 % of the answers');
  const sizes = Array.from({ length: cases(1, 12) }, (_, number) => 40 + number * 15);
  await tally.play(
    sizes,
    (rows) => `${rows} rows`,
    (rows) => survive(SMALL, rows),
    4,
  );
  tally.expectAll();
});

it('keeps its memory where answers are 50 MB long or unpack to 300 MB', async () => {
  const tally = new Tally('server: answers of 50 MB, gzip bombs of 300 MB');
  const kinds = cases(0, 1) === 0 ? LARGE.slice(1) : LARGE;
  await tally.play(kinds, String, (kind) => survive([kind], 10, '60'), 1);
  tally.expectAll();
});

it('never follows a redirection with its key', async () => {
  const tally = new Tally('server: redirections to another host');
  await tally.play(spread([301, 302, 303, 307, 308], 2), String, async (status) => {
    const folder = temporaryFolder();
    const data = writeJson(folder, 'data.json', alpacaRows(20));
    const other = await scriptedApi(({ prompt }) => prompt);
    const api = await scriptedApi(({ prompt }, number) =>
      number % 3 === 2
        ? { status, headers: { location: `${other.url}/v1/chat/completions` }, body: '' }
        : `answer to ${prompt}`,
    );
    const args = ['--dataset', data, ...foldersIn(folder)];
    const run = await runCli(args, { env: pointingAt(api) });
    if (run.code !== 1 || !run.stderr.includes('redirects')) throw new Error(run.stderr);
    if (other.requests.length > 0) throw new Error('the other host was asked');
    const asked = api.requests.length;
    const good = await scriptedApi(({ prompt }) => `answer to ${prompt}`);
    const again = await runCli([...args, ...resuming(folder)], { env: pointingAt(good) });
    if (again.code !== 0) throw new Error(again.stderr);
    const answered = asked - Math.floor(asked / 3);
    return { paidTwice: Math.max(0, good.requests.length + answered - 20) };
  });
  tally.expectAll();
});

it('waits for a server that disappears and returns, and reports one that does not', async () => {
  const tally = new Tally('server: gone and back in mid-run');
  await tally.play(
    Array.from({ length: cases(1, 8) }, (_, number) => 3 + number * 4),
    (requests) => `after ${requests} requests`,
    async (requests) => {
      const folder = temporaryFolder();
      const data = writeJson(folder, 'data.json', alpacaRows(40));
      let seen = 0;
      let port = 0;
      const listen = async (answers: () => void): Promise<ReturnType<typeof createServer>> => {
        const server = createServer((incoming, response) => {
          incoming.resume().on('end', () => {
            seen += 1;
            answers();
            response.setHeader('content-type', 'application/json');
            response.end(
              JSON.stringify({
                model: 'm',
                choices: [
                  { index: 0, message: { role: 'assistant', content: 'yes' }, finish_reason: 'stop' },
                ],
              }),
            );
          });
        });
        await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
        port = (server.address() as AddressInfo).port;
        onTestFinished(() => {
          server.closeAllConnections();
          server.close();
        });
        return server;
      };
      const first = await listen(() => {
        if (seen !== requests) return;
        first.closeAllConnections();
        first.close();
        setTimeout(() => void listen(() => undefined), 1500);
      });
      const args = ['--dataset', data, '--max_concurrency', '4', ...foldersIn(folder)];
      const run = await runCli(args, { env: pointingAt({ url: `http://127.0.0.1:${port}` }) });
      if (run.code !== 0) throw new Error(run.stderr);
      const missing = resultsIn(folder)
        .rows()
        .filter(({ annotation }) => annotation === null).length;
      return { lost: missing };
    },
    4,
  );
  tally.expectAll();
});

it('stops when the credit runs out, and resumes once it is topped up', async () => {
  const tally = new Tally('server: quota gone and topped up');
  await tally.play(
    Array.from({ length: cases(1, 10) }, (_, number) => 1 + number * 3),
    (requests) => `after ${requests} requests`,
    async (requests) => {
      const folder = temporaryFolder();
      const data = writeJson(folder, 'data.json', alpacaRows(40));
      const poor = await simulator({ quotaAfter: requests });
      const args = ['--dataset', data, '--max_concurrency', '4', ...foldersIn(folder)];
      const stopped = await runCli(args, { env: pointingAt(poor) });
      if (stopped.code !== 1 || !/credit or quota/.test(stopped.stderr)) throw new Error(stopped.stderr);
      const rich = await simulator();
      const run = await runCli([...args, ...resuming(folder)], { env: pointingAt(rich) });
      if (run.code !== 0) throw new Error(run.stderr);
      return { paidTwice: poor.statistics().answered + rich.statistics().answered - 40 };
    },
    4,
  );
  tally.expectAll();
});

it('stays within limits that shrink to a tenth in mid-run', async () => {
  const tally = new Tally('server: limits that shrink to a tenth');
  await tally.play(
    Array.from({ length: cases(1, 6) }, (_, number) => number),
    (number) => `run ${number}`,
    async (number) => {
      const folder = temporaryFolder();
      const rows = cases(120, 240);
      const data = writeJson(folder, 'data.json', alpacaRows(rows));
      const api = await simulator({ requestsPerMinute: 12_000, limitHeaders: number % 2 === 0 });
      const shrinking = setTimeout(() => {
        api.setLimits({ requestsPerMinute: 1_200 });
      }, 900);
      const run = await runCli(['--dataset', data, ...foldersIn(folder)], { env: pointingAt(api) });
      clearTimeout(shrinking);
      if (run.code !== 0) throw new Error(run.stderr);
      expect(resultsIn(folder).summary().rows['ok']).toBe(rows);
      return { paidTwice: api.statistics().answered - rows };
    },
  );
  tally.expectAll();
});
