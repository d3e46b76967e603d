import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it, vi } from 'vitest';
import type { CompareFigures } from '../../src/compare/figures.js';
import type { Simulator } from '../../src/simulator/server.js';
import {
  foldersIn,
  pointingAt,
  resultsIn,
  resuming,
  runCli,
  simulator,
  startCli,
  temporaryFolder,
} from '../support/cli.js';
import { alpacaRows, writeJsonl } from '../support/data.js';
import { leftovers } from '../support/journal.js';
import { killingProxy, MOMENTS, type Moment } from '../support/killing-proxy.js';
import { spread, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 8;
const REFUSALS = { 'gpt-4o-mini': 0.5, 'gpt-4o': 0.25 };
const STEP = 'POST /v1/chat/completions';

/** Something that sends requests in rounds: what runs it, and what came of it as text, the same each time. */
interface Play {
  args: (folder: string, data: string) => string[];
  /** Flags of a second start. */
  again: (folder: string) => string[];
  outcome: (folder: string) => string;
  /** Where it is not `alpacaRows(ROWS)`. */
  rows?: object[];
  /** Flags of a run of the first rows that ends before, in folders of its own. */
  before?: (folder: string) => string[];
}

const FALLBACK: Play = {
  args: (folder, data) => [
    ...['--annotator', 'gpt-4o-mini', '--fallback_annotator', 'gpt-4o', '--include_metadata'],
    ...['--dataset', data, '--max_concurrency', '1', ...foldersIn(folder)],
  ],
  again: resuming,
  outcome: (folder) => resultsIn(folder).bytes(),
};

const COMPARE: Play = {
  args: (folder, data) => [
    ...['compare', 'gpt-4o-mini,gpt-4.1-mini', '--judge', 'gpt-4o', '--sample', String(ROWS)],
    ...['--dataset', data, '--max_concurrency', '1', ...foldersIn(folder)],
  ],
  // It resumes by itself.
  again: () => [],
  outcome: (folder) => {
    const path = join(folder, 'saved', 'data.jsonl_compare', 'compare.json');
    const { pairs, annotators } = JSON.parse(readFileSync(path, 'utf8')) as CompareFigures;
    return JSON.stringify([pairs, annotators.map(({ annotator, rows }) => ({ annotator, rows }))]);
  },
};

/** Equal rows: a kill may come between an answer and the rows that it is for as well. */
const DEDUPE: Play = {
  args: (folder, data) => [
    ...['--annotator', 'gpt-4o-mini', '--dedupe', '--include_metadata'],
    ...['--dataset', data, '--max_concurrency', '1', ...foldersIn(folder)],
  ],
  again: resuming,
  outcome: (folder) => resultsIn(folder).bytes(),
  rows: [...alpacaRows(ROWS), ...alpacaRows(ROWS)],
};

const REUSE: Play = {
  args: (folder, data) => [
    ...['--annotator', 'gpt-4o-mini', '--reuse', join(folder, 'trial', 'temp', 'trial')],
    ...['--dataset', data, '--max_concurrency', '1', ...foldersIn(folder)],
  ],
  again: resuming,
  outcome: (folder) => resultsIn(folder).bytes(),
  before: (folder) => [
    ...['--annotator', 'gpt-4o-mini', '--dataset', 'data.jsonl', '--limit', String(ROWS / 2)],
    ...['--run_name', 'trial', ...foldersIn(join(folder, 'trial'))],
  ],
};

/** Makes the dataset, and the run that ends before. */
async function prepare(
  { rows = alpacaRows(ROWS), before }: Play,
  folder: string,
  api: Simulator,
): Promise<void> {
  writeJsonl(folder, 'data.jsonl', rows);
  if (before !== undefined) await runCli(before(folder), { env: pointingAt(api), cwd: folder });
}

/** What a play takes and comes to where nothing is killed. */
interface Whole {
  /** Requests of the run that is to be killed. */
  own: number;
  /** The same and those of the run before it. */
  requests: number;
  outcome: string;
}

async function playWhole(play: Play): Promise<Whole> {
  const api = await simulator({ refusals: REFUSALS });
  const folder = temporaryFolder();
  await prepare(play, folder, api);
  const before = api.statistics().answered;
  await runCli(play.args(folder, 'data.jsonl'), { env: pointingAt(api), cwd: folder });
  const requests = api.statistics().answered;
  return { own: requests - before, requests, outcome: play.outcome(folder) };
}

/** Kills it at a request, starts it again, and compares what the server was asked, and what came of it. */
async function survive(play: Play, whole: Whole, number: number, moment: Moment): Promise<Outcome> {
  const api: Simulator = await simulator({ refusals: REFUSALS });
  const proxy = await killingProxy(api.url);
  const folder = temporaryFolder();
  await prepare(play, folder, api);
  const options = { env: pointingAt(proxy), cwd: folder };
  const { child, finished } = startCli(play.args(folder, 'data.jsonl'), options);
  proxy.aim({ step: STEP, number, moment }, () => child.kill('SIGKILL'));
  await finished;
  const isKilled = proxy.fired();
  proxy.aim(null, () => undefined);
  const last = await runCli([...play.args(folder, 'data.jsonl'), ...play.again(folder)], options);
  if (last.code !== 0 && last.code !== 3) throw new Error(`it does not go on: ${last.stderr}`);
  const outcome = play.outcome(folder);
  const left = leftovers(folder);
  return {
    // One request was in flight.
    paidTwice: Math.max(0, api.statistics().answered - whole.requests - 1),
    lost: Math.max(0, whole.requests - api.statistics().answered),
    untried: !isKilled,
    problem:
      outcome !== whole.outcome
        ? 'another result than without a kill'
        : left.length > 0
          ? `left behind: ${left.join(', ')}`
          : null,
  };
}

it.each([
  ['SIGKILL with --fallback_annotator: at each request, in either round', FALLBACK, 2],
  ['SIGKILL of compare: at each request, answers and verdicts', COMPARE, 1],
  ['SIGKILL with --dedupe: at each request', DEDUPE, 1],
  ['SIGKILL with --reuse: at each request that is left', REUSE, 1],
] as const)('%s', async (name, play, sample) => {
  const tally = new Tally(name);
  const whole = await playWhole(play);
  const plans = Array.from({ length: whole.own }, (_, number) =>
    MOMENTS.map((moment) => ({ number, moment })),
  ).flat();
  // The sample reaches into the last round, and has another moment each time.
  const chosen = spread(plans.toReversed(), sample);
  await tally.play(
    chosen,
    ({ number, moment }) => `request ${number}, ${moment}`,
    ({ number, moment }) => survive(play, whole, number, moment),
  );
  tally.expectAll();
});
