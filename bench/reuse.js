// Reuses the answers of an earlier run with the same requests, compared with a resume of that run.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { OTHER_RUN, RUN, writeHistory, writeRequests } from './history.js';
import { compared, measureStep, median, megabytes, size } from './support.js';

const ROW_BYTES = 600;

export async function reuse(folder) {
  const rows = size('BENCH_ROWS', 1_000_000);
  const rounds = size('BENCH_ROUNDS', 3);
  writeHistory(folder, rows, ROW_BYTES);
  mkdirSync(join(folder, 'temp', OTHER_RUN));
  for (const run of [RUN, OTHER_RUN]) writeRequests(join(folder, 'temp', run, 'jobs.json'), rows, ROW_BYTES);
  const figures = [];
  for (let round = 0; round < rounds; round++) {
    rmSync(join(folder, 'temp', OTHER_RUN, 'output.jsonl'), { force: true });
    const idle = await measureStep('nothing', folder, rows);
    const resumed = await measureStep('assemble', folder, rows);
    const reused = await measureStep('reuse', folder, rows);
    figures.push({
      resumed: resumed.cpu - idle.cpu,
      reused: reused.cpu - idle.cpu,
      idle: idle.memory,
      memory: reused.memory,
    });
  }
  const of = (name) => median(figures.map((figure) => figure[name]));
  const what = `CPU to take over ${rows.toLocaleString('en')} answers`;
  return [
    compared(what, of('reused'), of('resumed'), 'resume of that run'),
    {
      figure: 'peak memory',
      value: megabytes(of('memory')),
      baseline: `${megabytes(of('idle'))} (node)`,
      ratio: (of('memory') / of('idle')).toFixed(2),
    },
  ];
}
