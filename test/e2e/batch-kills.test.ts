import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import { batchArguments, startWatch, submit, watch } from '../support/batch-cli.js';
import {
  pointingAt,
  resultsIn,
  simulator,
  startCli,
  temporaryFolder,
  type Finished,
} from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { killingProxy, MOMENTS, type KillingProxy, type KillPoint } from '../support/killing-proxy.js';

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

/** Plays a step's kill points side by side, and tells of the one that went wrong. */
async function atEachMoment(
  step: string,
  times: number,
  play: (point: KillPoint) => Promise<void>,
): Promise<void> {
  const points = Array.from({ length: times }, (_, number) => number).flatMap((number) =>
    MOMENTS.map((moment) => ({ step, number, moment })),
  );
  await Promise.all(
    points.map((point) =>
      play(point).catch((error: unknown) => {
        throw new Error(`killed at ${step}, number ${point.number}, ${point.moment}`, { cause: error });
      }),
    ),
  );
}

/** The run's end, whatever happened before: no batch twice, no answer twice, no row lost. */
async function expectWhole({ api, proxy, data, folder }: Scene, batches: number): Promise<void> {
  proxy.aim(null, () => undefined);
  const submitted = await submit(proxy, data, folder, [...SIZE, '--resume']);
  expect(submitted.code, submitted.stderr).toBe(0);
  const watched = await watch(proxy, data, folder, ['--retry_failed', ...SIZE]);
  expect(watched.code, watched.stderr).toBe(0);
  expect(api.statistics().batchesCreated).toBe(batches);
  expect(Object.values(api.statistics().answersByPrompt)).toEqual(new Array<number>(ROWS).fill(1));
  const rows = resultsIn(folder).rows();
  expect(rows.map(({ user_prompt: prompt }) => prompt)).toEqual(alpacaRows(ROWS).map(alpacaText));
  expect(rows.every(({ annotation }) => annotation !== null)).toBe(true);
  const objects = JSON.parse(
    readFileSync(resultsIn(folder).saved('batch_objects.json'), 'utf8'),
  ) as unknown[];
  expect(objects).toHaveLength(batches);
  const raw = readFileSync(join(folder, 'batch_results.jsonl'), 'utf8').trim().split('\n');
  expect(raw).toHaveLength(ROWS);
}

/** Renames at which the program is killed: some in the tests, all of them where somebody wants to be sure. */
const EVERY_RENAME = process.env['EVERY_RENAME'] !== undefined;
const PRELOAD = fileURLToPath(new URL('../support/kill-at-rename.js', import.meta.url));

/** Runs the program to each of its renames in turn, until one run comes to its end alive. */
async function atRenames(
  step: number,
  play: (env: Record<string, string>) => Promise<Finished>,
): Promise<void> {
  let isAlive = false;
  for (let first = 1; !isAlive; first += SIDE_BY_SIDE * step) {
    const renames = Array.from({ length: SIDE_BY_SIDE }, (_, index) => first + index * step);
    const ends = await Promise.all(
      renames.map((rename) =>
        play({ KILL_AT_RENAME: String(rename), NODE_OPTIONS: `--import ${PRELOAD}` }).catch(
          (error: unknown) => {
            throw new Error(`killed at rename ${rename}`, { cause: error });
          },
        ),
      ),
    );
    isAlive = ends.some(({ signal }) => signal !== 'SIGKILL');
  }
}

const SIDE_BY_SIDE = 4;

vi.setConfig({ testTimeout: 240_000 });

describe('killed between one state on disk and the next, it ends as if it had not been', () => {
  it('while it submits', async () => {
    await atRenames(EVERY_RENAME ? 1 : 4, async (env) => {
      const one = await scene();
      const { proxy, data, folder } = one;
      const killed = await submit(proxy, data, folder, SIZE, { env });
      await expectWhole(one, BATCHES);
      return killed;
    });
  });

  it('while it watches', async () => {
    await atRenames(EVERY_RENAME ? 1 : 5, async (env) => {
      const one = await scene({ batchPlans: [[], ['expire']] });
      const { proxy, data, folder } = one;
      await submit(proxy, data, folder, SIZE);
      const killed = await watch(proxy, data, folder, ['--retry_failed', ...SIZE], { env });
      await expectWhole(one, BATCHES + 1);
      return killed;
    });
  });
});

describe('killed while it submits, it ends as if it had not been', () => {
  it.each([
    ['POST /v1/files', BATCHES],
    ['POST /v1/batches', BATCHES],
  ])('at %s', async (step, times) => {
    await atEachMoment(step, times, async (point) => {
      const one = await scene();
      const { proxy, data, folder } = one;
      const { child, finished } = startCli([...batchArguments(data, folder), '--batch', ...SIZE], {
        cwd: folder,
        env: pointingAt(proxy),
      });
      proxy.aim(point, () => child.kill('SIGKILL'));
      await finished;
      expect(proxy.fired()).toBe(true);
      await expectWhole(one, BATCHES);
    });
  });
});

describe('killed while it watches, it ends as if it had not been', () => {
  it.each([
    ['GET /v1/batches', 2],
    ['GET /v1/files/', 3],
    // The second batch expires half way: its rest is submitted anew.
    ['POST /v1/files', 1],
    ['POST /v1/batches', 1],
  ])('at %s', async (step, times) => {
    await atEachMoment(step, times, async (point) => {
      const one = await scene({ batchPlans: [[], ['expire']], batchDurationMs: 150 });
      const { proxy, data, folder } = one;
      const submitted = await submit(proxy, data, folder, SIZE);
      expect(submitted.code, submitted.stderr).toBe(0);
      const { child, finished } = startWatch(proxy, data, folder, ['--retry_failed', ...SIZE]);
      proxy.aim(point, () => child.kill('SIGKILL'));
      await finished;
      expect(proxy.fired()).toBe(true);
      await expectWhole(one, BATCHES + 1);
    });
  });
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
  it('stops with 130 and the command that goes on, which submits what is missing once', async () => {
    const one = await scene({ batchPlans: [[], ['expire']] });
    const { proxy, data, folder } = one;
    expect((await submit(proxy, data, folder, SIZE)).code).toBe(0);
    const { child, finished } = startWatch(proxy, data, folder, ['--retry_failed', ...SIZE]);
    proxy.aim({ step: 'POST /v1/files', number: 0, moment: 'before' }, () => child.kill('SIGINT'));
    const stopped = await finished;
    expect(stopped.code, stopped.stderr).toBe(130);
    expect(stopped.stderr).toMatch(/Watch them again with: npx watch-batch .*--retry_failed/);
    await expectWhole(one, BATCHES + 1);
  });
});
