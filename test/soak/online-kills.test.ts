import { it, vi } from 'vitest';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
  type Finished,
} from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { countCalls, describeFault, withFault } from '../support/disk-fault.js';
import { journalLines, leftovers, rowOf } from '../support/journal.js';
import { scriptedApi, type ScriptedApi } from '../support/scripted-api.js';
import { cases, spread, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 60;
const IN_FLIGHT = 8;
const LATENCY_MS = 15;
/** Kills of one run before it may come to its end. */
const KILLS_AT_MOST = 4;

interface Scene {
  api: ScriptedApi;
  env: Record<string, string>;
  args: (folder: string) => string[];
  /** The result of an uninterrupted run. */
  whole: string;
  rowOfPrompt: Map<string, number>;
}

/** The dataset comes from the Hub page by page, so that loading is a separate step. */
async function scene(): Promise<Scene> {
  const rows = alpacaRows(ROWS);
  const data = writeJson(temporaryFolder(), 'data.json', rows);
  const hub = await simulator({ datasets: { 'me/data': data } });
  const api = await scriptedApi(async ({ prompt }) => {
    await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
    return `answer to ${prompt}`;
  });
  const env = pointingAt(hub, { OPENAI_BASE_URL: `${api.url}/v1` });
  const args = (folder: string): string[] => [
    ...['--annotator', 'gpt-4o-mini', '--dataset', 'me/data', '--max_concurrency', String(IN_FLIGHT)],
    ...foldersIn(folder),
  ];
  const folder = temporaryFolder();
  const run = await runCli(args(folder), { env });
  if (run.code !== 0) throw new Error(run.stderr);
  const whole = resultsIn(folder).bytes();
  return { api, env, args, whole, rowOfPrompt: new Map(rows.map((row, index) => [alpacaText(row), index])) };
}

/** A server for each case, so that its ledger covers that case alone. */
async function withOwnServer(one: Scene): Promise<Scene> {
  const api = await scriptedApi(async ({ prompt }) => {
    await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
    return `answer to ${prompt}`;
  });
  return { ...one, api, env: { ...one.env, OPENAI_BASE_URL: `${api.url}/v1` } };
}

/** Kills a run again and again, lets it come to its end, and compares what came of it with the server's ledger. */
async function survive(
  shared: Scene,
  kill: (
    start: (env?: Record<string, string>) => ReturnType<typeof startCli>,
    folder: string,
  ) => Promise<Finished>,
  times = 1,
): Promise<Outcome> {
  const { api, env, args, whole, rowOfPrompt } = await withOwnServer(shared);
  const folder = temporaryFolder();
  let paidTwice = 0;
  let kills = 0;
  /** Plays one session, and counts the rows that it asks although their answers are on disk. */
  const session = async (play: () => Promise<unknown>): Promise<void> => {
    const onDisk = new Set(journalLines(folder).map(rowOf));
    const before = api.requests.length;
    await play();
    const asked = api.requests.slice(before).map(({ prompt }) => rowOfPrompt.get(prompt) ?? -1);
    paidTwice += asked.filter((row) => onDisk.has(row)).length;
  };
  const start = (more: Record<string, string> = {}): ReturnType<typeof startCli> =>
    startCli([...args(folder), ...resuming(folder)], { env: { ...env, ...more } });
  for (let round = 0; round < times; round++) {
    await session(async () => {
      if ((await kill(start, folder)).signal === 'SIGKILL') kills += 1;
    });
  }
  let last = { code: null as number | null, stderr: '' };
  await session(async () => {
    last = await start().finished;
  });
  if (last.code !== 0) throw new Error(`it does not go on: ${last.stderr}`);
  // What was answered and not on disk was in flight at a kill.
  const beyond = api.requests.length - ROWS - kills * IN_FLIGHT;
  const left = leftovers(folder);
  const rows = resultsIn(folder).rows();
  return {
    lost: rows.filter(({ annotation }) => annotation === null).length,
    paidTwice: paidTwice + Math.max(0, beyond),
    untried: kills === 0,
    problem:
      resultsIn(folder).bytes() !== whole
        ? 'other bytes than without a kill'
        : left.length > 0
          ? `left behind: ${left.join(', ')}`
          : null,
  };
}

it('a run that is killed at any file operation gives the same results', async () => {
  const tally = new Tally('SIGKILL online: at each file operation');
  const one = await scene();
  const folder = temporaryFolder();
  const calls = await countCalls(folder, (env) => runCli(one.args(folder), { env: { ...one.env, ...env } }));
  const faults = Object.entries(calls).flatMap(([call, times]) =>
    Array.from({ length: times }, (_, at) => ({ call, at, code: 'SIGKILL' })),
  );
  await tally.play(spread(faults, 2), describeFault, (fault) =>
    survive(one, (start, folder) => start(withFault(fault, folder)).finished),
  );
  tally.expectAll();
});

it('a run that is killed several times at random gives the same results', async () => {
  const tally = new Tally('SIGKILL online: at random moments, up to 4 times a run');
  const one = await scene();
  const plans = Array.from({ length: cases(1, 100) }, (_, number) =>
    Array.from(
      { length: 1 + (number % KILLS_AT_MOST) },
      (_, round) => 30 + ((number * 197 + round * 131 + 90) % 600),
    ),
  );
  await tally.play(
    plans,
    (delays) => `after ${delays.join(', ')} ms`,
    (delays) => {
      const left = [...delays];
      return survive(
        one,
        async (start) => {
          const { child, finished } = start();
          await new Promise((resolve) => setTimeout(resolve, left.shift() ?? 0));
          child.kill('SIGKILL');
          return finished;
        },
        delays.length,
      );
    },
  );
  tally.expectAll();
});

it('a run that is killed at any request gives the same results', async () => {
  const tally = new Tally('SIGKILL online: at each request');
  const one = await scene();
  const numbers = spread(
    Array.from({ length: ROWS }, (_, number) => number),
    2,
  );
  await tally.play(
    numbers,
    (number) => `at request ${number}`,
    async (number) => {
      let kill = (): void => undefined;
      const own = await scriptedApi(async ({ prompt }, index) => {
        if (index === number) kill();
        await new Promise((resolve) => setTimeout(resolve, LATENCY_MS));
        return `answer to ${prompt}`;
      });
      return survive(one, async (start) => {
        const { child, finished } = start({ OPENAI_BASE_URL: `${own.url}/v1` });
        kill = () => child.kill('SIGKILL');
        return finished;
      });
    },
  );
  tally.expectAll();
});
