import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { BatchFault } from '../../src/simulator/batch-faults.js';
import { impatient, startWatch, submit, watch } from '../support/batch-cli.js';
import { resultsIn, simulator, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { killingProxy, MOMENTS, type KillPoint } from '../support/killing-proxy.js';
import { spread, Tally, type Outcome } from './tally.js';

const ROWS = 6;
const SIZE = ['--max_batch_size', '3'];
const BATCHES = 2;

/** What the first batch's reads are answered with once, or for a while; `stranger` has the key of another project. */
const DOUBTS = [
  'absent_once',
  'page_once',
  'refused_once',
  'forbidden_once',
  'redirected_once',
  'late_files',
  'late_output',
  'unreadable_entry',
  'unlisted',
  'unreadable_create',
  'long_ids',
  'file_absent',
  'file_empty',
  'file_page',
  'file_error',
  'file_other',
  'file_short',
  'stranger',
] as const satisfies readonly (BatchFault | 'stranger')[];
type Doubt = (typeof DOUBTS)[number];

const STEPS = [
  ['GET /v1/batches', 3],
  ['GET /v1/files/', 2],
] as const;

const POINTS: KillPoint[] = STEPS.flatMap(([step, times]) =>
  Array.from({ length: times }, (_, number) => number).flatMap((number) =>
    MOMENTS.map((moment) => ({ step, number, moment })),
  ),
);

interface Cell {
  doubt: Doubt;
  /** Null for a watch that is not killed. */
  point: KillPoint | null;
}

const CELLS: Cell[] = DOUBTS.flatMap((doubt) => [null, ...POINTS].map((point) => ({ doubt, point })));

function describeCell({ doubt, point }: Cell): string {
  return `${doubt}; ${point === null ? 'not killed' : `killed at ${point.step}, number ${point.number}, ${point.moment}`}`;
}

vi.setConfig({ testTimeout: 3_600_000 });

it('one negative answer at every read, and a kill at every request: nothing is paid twice, all is collected', async () => {
  const tally = new Tally('Batches: one negative answer at every read × SIGKILL');
  await tally.play(spread(CELLS, 2), describeCell, play, 4);
  tally.expectAll();
});

async function play({ doubt, point }: Cell): Promise<Outcome> {
  const root = temporaryFolder();
  const folder = join(root, 'run');
  const data = writeJson(root, 'data.json', alpacaRows(ROWS));
  const faults: BatchFault[] = doubt === 'stranger' ? [] : [doubt];
  if (doubt === 'late_output') faults.push('row_errors');
  const api = await simulator({ batchPlans: [faults] });
  const proxy = await killingProxy(api.url);
  const env = impatient();
  const submitted = await submit(proxy, data, folder, SIZE, { env });
  expect(submitted.code, submitted.stderr).toBe(0);
  // The watch that meets the anomaly would immediately pay again for what it considers lost.
  const key = doubt === 'stranger' ? { OPENAI_API_KEY: 'sk-of-another-project' } : {};
  const retry = doubt === 'late_output' ? [] : ['--retry_failed', ...SIZE];
  const { child, finished } = startWatch(proxy, data, folder, retry, { env: { ...env, ...key } });
  if (point !== null) proxy.aim(point, () => child.kill('SIGKILL'));
  await finished;
  const isKilled = point === null || proxy.fired();
  proxy.aim(null, () => undefined);
  const expected = doubt === 'late_output' ? 3 : 0;
  let plain = await watch(proxy, data, folder, [], { env });
  // Patience passes fast here, so it may end before files are named that come late: the next watch looks again.
  if (plain.code !== expected || doubt === 'late_output')
    plain = await watch(proxy, data, folder, [], { env });
  const { batchesCreated, answersByPrompt } = api.statistics();
  const answers = Object.values(answersByPrompt);
  const lost = resultsIn(folder)
    .rows()
    .filter(({ annotation }) => annotation === null).length;
  return {
    lost: doubt === 'late_output' ? Math.max(0, lost - 1) : lost,
    paidTwice: answers.reduce((sum, times) => sum + times - 1, 0),
    untried: !isKilled,
    problem:
      plain.code === expected && batchesCreated === BATCHES
        ? null
        : `code ${plain.code ?? ''}, ${batchesCreated} batches: ${plain.stderr.slice(-600)}`,
  };
}
