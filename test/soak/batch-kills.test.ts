import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import { batchArguments, startWatch, submit, watch } from '../support/batch-cli.js';
import { pointingAt, resultsIn, resuming, simulator, startCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { countCalls, describeFault, withFault, type DiskFault } from '../support/disk-fault.js';
import { leftovers } from '../support/journal.js';
import { killingProxy, MOMENTS, type KillingProxy, type KillPoint } from '../support/killing-proxy.js';
import { spread, Tally, type Outcome } from './tally.js';

const ROWS = 12;
const SIZE = ['--max_batch_size', '6'];
const BATCHES = 2;

interface Scene {
  api: Awaited<ReturnType<typeof simulator>>;
  proxy: KillingProxy;
  data: string;
  folder: string;
}

async function scene(options: SimulatorOptions = {}): Promise<Scene> {
  const root = temporaryFolder();
  const api = await simulator(options);
  const data = writeJson(root, 'data.json', alpacaRows(ROWS));
  return { api, proxy: await killingProxy(api.url), data, folder: join(root, 'run') };
}

/** The run's end, whatever happened before: no batch twice, no answer twice, no row lost. */
async function expectWhole({ api, proxy, data, folder }: Scene, batches: number): Promise<Outcome> {
  proxy.aim(null, () => undefined);
  const submitted = await submit(proxy, data, folder, [...SIZE, ...resuming(folder)]);
  expect(submitted.code, submitted.stderr).toBe(0);
  const watched = await watch(proxy, data, folder, ['--retry_failed', ...SIZE]);
  expect(watched.code, watched.stderr).toBe(0);
  const { batchesCreated, answersByPrompt } = api.statistics();
  const rows = resultsIn(folder).rows();
  expect(rows.map(({ user_prompt: prompt }) => prompt)).toEqual(alpacaRows(ROWS).map(alpacaText));
  const objects = JSON.parse(
    readFileSync(resultsIn(folder).saved('batch_objects.json'), 'utf8'),
  ) as unknown[];
  expect(objects).toHaveLength(batches);
  const raw = readFileSync(join(folder, 'batch_results.jsonl'), 'utf8').trim().split('\n');
  expect(raw).toHaveLength(ROWS);
  expect(leftovers(folder)).toEqual([]);
  const answers = Object.values(answersByPrompt).reduce((sum, times) => sum + times, 0);
  return {
    lost: rows.filter(({ annotation }) => annotation === null).length,
    paidTwice: answers - ROWS,
    problem: batchesCreated === batches ? null : `${batchesCreated} batches in place of ${batches}`,
  };
}

const SIDE_BY_SIDE = 4;

vi.setConfig({ testTimeout: 3_600_000 });

const NAME = 'SIGKILL batches';

it('a submission that is killed at any file operation gives the same results', async () => {
  const tally = new Tally(`${NAME}: at each file operation while submitting`);
  const plain = await scene();
  const calls = await countCalls(plain.folder, (env) =>
    submit(plain.proxy, plain.data, plain.folder, SIZE, { env }),
  );
  await tally.play(
    deaths(calls, 2),
    describeFault,
    async (fault) => {
      const one = await scene();
      const { proxy, data, folder } = one;
      const { signal } = await submit(proxy, data, folder, SIZE, { env: withFault(fault, folder) });
      return { ...(await expectWhole(one, BATCHES)), untried: signal !== 'SIGKILL' };
    },
    SIDE_BY_SIDE,
  );
  tally.expectAll();
});

it('a watch that is killed at any file operation gives the same results', async () => {
  const tally = new Tally(`${NAME}: at each file operation while watching`);
  const plain = await scene({ batchPlans: [[], ['expire']] });
  await submit(plain.proxy, plain.data, plain.folder, SIZE);
  const calls = await countCalls(plain.folder, (env) =>
    watch(plain.proxy, plain.data, plain.folder, ['--retry_failed', ...SIZE], { env }),
  );
  await tally.play(
    deaths(calls, 2),
    describeFault,
    async (fault) => {
      const one = await scene({ batchPlans: [[], ['expire']] });
      const { proxy, data, folder } = one;
      await submit(proxy, data, folder, SIZE);
      const env = withFault(fault, folder);
      const { signal } = await watch(proxy, data, folder, ['--retry_failed', ...SIZE], { env });
      return { ...(await expectWhole(one, BATCHES + 1)), untried: signal !== 'SIGKILL' };
    },
    SIDE_BY_SIDE,
  );
  tally.expectAll();
});

/** A death at each call, or a sample of them. */
function deaths(calls: Record<string, number>, sample: number): DiskFault[] {
  const all = Object.entries(calls).flatMap(([call, times]) =>
    Array.from({ length: times }, (_, at) => ({ call, at, code: 'SIGKILL' })),
  );
  return spread(all, sample);
}

/** The moments around each of some requests. */
function points(steps: readonly (readonly [step: string, times: number])[]): KillPoint[] {
  return steps.flatMap(([step, times]) =>
    Array.from({ length: times }, (_, number) => number).flatMap((number) =>
      MOMENTS.map((moment) => ({ step, number, moment })),
    ),
  );
}

function describePoint({ step, number, moment }: KillPoint): string {
  return `${step}, number ${number}, ${moment}`;
}

it('a submission that is killed before, during and after each request gives the same results', async () => {
  const tally = new Tally(`${NAME}: at each request while submitting`);
  await tally.play(
    // The sample has each of the three moments once.
    spread(
      points([
        ['POST /v1/files', BATCHES],
        ['POST /v1/batches', BATCHES],
      ]),
      3,
    ),
    describePoint,
    async (point) => {
      const one = await scene();
      const { proxy, data, folder } = one;
      const { child, finished } = startCli([...batchArguments(data, folder), '--batch', ...SIZE], {
        cwd: folder,
        env: pointingAt(proxy),
      });
      proxy.aim(point, () => child.kill('SIGKILL'));
      await finished;
      expect(proxy.fired()).toBe(true);
      return expectWhole(one, BATCHES);
    },
    SIDE_BY_SIDE,
  );
  tally.expectAll();
});

it('a watch that is killed before, during and after each request gives the same results', async () => {
  const tally = new Tally(`${NAME}: at each request while watching`);
  await tally.play(
    spread(
      points([
        ['GET /v1/batches', 2],
        ['GET /v1/files/', 3],
        // The second batch expires halfway, and its remaining rows are submitted again.
        ['POST /v1/files', 1],
        ['POST /v1/batches', 1],
      ]),
      3,
    ),
    describePoint,
    async (point) => {
      const one = await scene({ batchPlans: [[], ['expire']], batchDurationMs: 150 });
      const { proxy, data, folder } = one;
      const submitted = await submit(proxy, data, folder, SIZE);
      expect(submitted.code, submitted.stderr).toBe(0);
      const { child, finished } = startWatch(proxy, data, folder, ['--retry_failed', ...SIZE]);
      proxy.aim(point, () => child.kill('SIGKILL'));
      await finished;
      expect(proxy.fired()).toBe(true);
      return expectWhole(one, BATCHES + 1);
    },
    SIDE_BY_SIDE,
  );
  tally.expectAll();
});

describe('a batch that was made without an answer', () => {
  it('is cancelled with the others', async () => {
    const { proxy, data, folder, api } = await scene({ batchDurationMs: 600_000 });
    const { child, finished } = startCli([...batchArguments(data, folder), '--batch', ...SIZE], {
      cwd: folder,
      env: pointingAt(proxy),
    });
    proxy.aim({ step: 'POST /v1/batches', number: 0, moment: 'unanswered' }, () => child.kill('SIGKILL'));
    await finished;
    const cancelled = await watch(api, data, folder, ['--cancel', '--yes']);
    expect(cancelled.code, cancelled.stderr).toBe(3);
    const objects = JSON.parse(readFileSync(resultsIn(folder).saved('batch_objects.json'), 'utf8')) as {
      status: string;
    }[];
    expect(objects.length).toBe(api.statistics().batchesCreated);
    expect(objects.every(({ status }) => status === 'cancelled')).toBe(true);
  });
});

describe('Ctrl-C while a round of --retry_failed is submitted', () => {
  it('exits with 130 and prints the resume command, which submits the rest once', async () => {
    const one = await scene({ batchPlans: [[], ['expire']] });
    const { proxy, data, folder } = one;
    expect((await submit(proxy, data, folder, SIZE)).code).toBe(0);
    const { child, finished } = startWatch(proxy, data, folder, ['--retry_failed', ...SIZE]);
    proxy.aim({ step: 'POST /v1/files', number: 0, moment: 'before' }, () => child.kill('SIGINT'));
    const stopped = await finished;
    expect(stopped.code, stopped.stderr).toBe(130);
    expect(stopped.stderr).toMatch(/Resume watching with: npx watch-batch .*--retry_failed/);
    await expectWhole(one, BATCHES + 1);
  });
});
