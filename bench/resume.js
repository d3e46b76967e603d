// Reading back what was answered: a journal of a gigabyte beside `wc -l` of the same bytes and a bare parsing loop.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { RUN, writeHistory } from './history.js';
import { compared, measureCommand, measureStep, median, megabytes, size } from './support.js';

const ROW_BYTES = 2000;

export async function resume(folder) {
  const rows = size('BENCH_ROWS', 380_000);
  const rounds = size('BENCH_ROUNDS', 3);
  writeHistory(folder, rows, ROW_BYTES);
  const journal = join(folder, 'temp', RUN, 'output.jsonl');
  const bytes = megabytes(statSync(journal).size / 1e6);
  const figures = [];
  for (let round = 0; round < rounds; round++) {
    const [idle, scan, parse] = [
      await measureStep('nothing', folder, rows),
      await measureStep('scan', folder, rows),
      await measureStep('parse', folder, rows),
    ];
    const lines = await measureCommand('wc', ['-l', journal]);
    figures.push({
      scan: scan.cpu - idle.cpu,
      parse: parse.cpu - idle.cpu,
      lines: lines.cpu,
      idle: idle.memory,
      memory: scan.memory,
    });
  }
  const of = (name) => median(figures.map((figure) => figure[name]));
  return [
    compared(`CPU to read back ${bytes} of journal`, of('scan'), of('lines'), 'wc -l'),
    compared(`CPU to read back ${bytes} of journal`, of('scan'), of('parse'), 'read and JSON.parse'),
    {
      figure: 'peak memory',
      value: megabytes(of('memory')),
      baseline: `${megabytes(of('idle'))} (node)`,
      ratio: (of('memory') / of('idle')).toFixed(2),
    },
  ];
}
