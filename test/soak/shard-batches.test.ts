import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import { batchArguments } from '../support/batch-cli.js';
import { pointingAt, resultsIn, runCli, simulator, startCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, alpacaText, writeJson } from '../support/data.js';
import { countCalls, describeFault, withFault, type DiskFault } from '../support/disk-fault.js';
import { killingProxy, MOMENTS, type KillingProxy, type KillPoint } from '../support/killing-proxy.js';
import { spread, Tally, type Outcome } from './tally.js';

const ROWS = 12;
const SHARDS = 2;
/** Two batches in each shard. */
const BATCHES = 4;
const SIDE_BY_SIDE = 4;
const NAME = 'SIGKILL batches of workers';

vi.setConfig({ testTimeout: 3_600_000 });

interface Scene {
  api: Awaited<ReturnType<typeof simulator>>;
  proxy: KillingProxy;
  folder: string;
  runDir: string;
}

async function scene(options: SimulatorOptions = {}): Promise<Scene> {
  const root = temporaryFolder();
  const api = await simulator(options);
  const proxy = await killingProxy(api.url);
  const folder = join(root, 'run');
  const data = writeJson(root, 'data.json', alpacaRows(ROWS));
  const size = ['--shards', String(SHARDS), '--max_batch_size', '3'];
  const planned = await runCli(['plan', ...batchArguments(data, folder), '--batch', ...size], {
    cwd: folder,
    env: pointingAt(proxy),
  });
  expect(planned.code, planned.stderr).toBe(0);
  return { api, proxy, folder, runDir: planned.stdout.trim() };
}

function workWords({ runDir }: Scene): string[] {
  return ['work', runDir, '--check_interval', '0.05'];
}

/** The run's end, whatever happened before: no batch twice, no answer twice, no row lost. */
async function expectWhole(one: Scene, batches: number): Promise<Outcome> {
  const { api, proxy, folder, runDir } = one;
  proxy.aim(null, () => undefined);
  const [cwd, env] = [folder, pointingAt(proxy)];
  const worked = await runCli(workWords(one), { cwd, env });
  expect(worked.code, worked.stderr).toBe(0);
  const merged = await runCli(['merge', runDir], { cwd, env });
  expect(merged.code, merged.stderr).toBe(0);
  const rows = resultsIn(folder).rows();
  expect(rows.map(({ user_prompt: prompt }) => prompt)).toEqual(alpacaRows(ROWS).map(alpacaText));
  expect(existsSync(resultsIn(folder).saved('batch_objects.json'))).toBe(true);
  const { batchesCreated, answersByPrompt } = api.statistics();
  const answers = Object.values(answersByPrompt).reduce((sum, times) => sum + times, 0);
  return {
    lost: rows.filter(({ annotation }) => annotation === null).length,
    paidTwice: answers - ROWS,
    problem: batchesCreated === batches ? null : `${batchesCreated} batches in place of ${batches}`,
  };
}

/** A death at each call, or a sample of them. */
function deaths(calls: Record<string, number>): DiskFault[] {
  const all = Object.entries(calls).flatMap(([call, times]) =>
    Array.from({ length: times }, (_, at) => ({ call, at, code: 'SIGKILL' })),
  );
  return spread(all, 1);
}

it('a worker that is killed at any file operation leaves batches that the next one adopts', async () => {
  const tally = new Tally(`${NAME}: at each file operation`);
  const plain = await scene();
  const calls = await countCalls(plain.folder, (env) =>
    runCli(workWords(plain), { cwd: plain.folder, env: { ...pointingAt(plain.proxy), ...env } }),
  );
  await tally.play(
    deaths(calls),
    describeFault,
    async (fault) => {
      const one = await scene();
      const env = { ...pointingAt(one.proxy), ...withFault(fault, one.folder) };
      const { signal } = await runCli(workWords(one), { cwd: one.folder, env });
      return { ...(await expectWhole(one, BATCHES)), untried: signal !== 'SIGKILL' };
    },
    SIDE_BY_SIDE,
  );
  tally.expectAll();
});

it('a worker that is killed before, during and after each request leaves batches that the next one adopts', async () => {
  const tally = new Tally(`${NAME}: at each request`);
  const steps = {
    'POST /v1/files': BATCHES + 1,
    'POST /v1/batches': BATCHES + 1,
    'GET /v1/batches': 4,
    'GET /v1/files/': 4,
  };
  const points = Object.entries(steps).flatMap(([step, times]) =>
    Array.from({ length: times }, (_, number) =>
      MOMENTS.map((moment): KillPoint => ({ step, number, moment })),
    ).flat(),
  );
  await tally.play(
    spread(points, 1),
    ({ step, number, moment }) => `${step}, number ${number}, ${moment}`,
    async (point) => {
      // The second batch expires halfway, and its remaining rows are submitted again.
      const one = await scene({ batchPlans: [[], ['expire']], batchDurationMs: 150 });
      const { child, finished } = startCli(workWords(one), { cwd: one.folder, env: pointingAt(one.proxy) });
      one.proxy.aim(point, () => child.kill('SIGKILL'));
      await finished;
      const untried = !one.proxy.fired();
      return { ...(await expectWhole(one, BATCHES + 1)), untried };
    },
    SIDE_BY_SIDE,
  );
  tally.expectAll();
});
