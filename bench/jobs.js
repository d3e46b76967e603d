// Rows to jobs.json, beside a bare loop that writes the same requests from memory, and jobs.json to batch files.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RUN, writeHistory } from './history.js';
import { compared, measureCommand, measureStep, median, megabytes, size } from './support.js';

const ROW_BYTES = 2000;

export async function jobs(folder) {
  const rows = size('BENCH_ROWS', 200_000);
  const rounds = size('BENCH_ROUNDS', 3);
  writeHistory(folder, rows, ROW_BYTES);
  const temp = join(folder, 'temp', RUN);
  const figures = [];
  for (let round = 0; round < rounds; round++) {
    const idle = await measureStep('nothing', folder, rows);
    const own = await measureStep('jobs', folder, rows);
    const bare = JSON.parse((await measureStep('bare-jobs', folder, rows)).stdout);
    const batches = await measureStep('batches', folder, rows);
    const copy = await measureCommand('cp', [join(temp, 'jobs.json'), join(folder, 'copy')]);
    const files = readdirSync(temp).filter((name) => name.startsWith('jobs_batch'));
    for (const name of [...files, 'batches.json']) rmSync(join(temp, name));
    rmSync(join(folder, 'copy'));
    figures.push({
      jobs: own.cpu - idle.cpu,
      bare: bare.cpu,
      batches: batches.cpu - idle.cpu,
      copy: copy.cpu,
      memory: Math.max(own.memory, batches.memory),
      idle: idle.memory,
    });
  }
  const of = (name) => median(figures.map((figure) => figure[name]));
  const bytes = megabytes(statSync(join(temp, 'jobs.json')).size / 1e6);
  return [
    compared(`CPU to write ${bytes} of jobs.json`, of('jobs'), of('bare'), 'JSON.stringify and write'),
    compared(`CPU to write the batch files of them`, of('batches'), of('copy'), 'cp'),
    {
      figure: 'peak memory',
      value: megabytes(of('memory')),
      baseline: `${megabytes(of('idle'))} (node)`,
      ratio: (of('memory') / of('idle')).toFixed(2),
    },
  ];
}
