// Rows and journal to results: a million rows beside `cp` of the same bytes, and what a row costs as they grow in number.
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RUN, writeHistory } from './history.js';
import { compared, measureCommand, measureStep, median, megabytes, size } from './support.js';

const ROW_BYTES = 1450;
/** The curve: rows of all but the last as shares of the last. */
const SHARES = [0.05, 0.2, 1];

export async function assemble(folder) {
  const most = size('BENCH_ROWS', 1_000_000);
  const rounds = size('BENCH_ROUNDS', 3);
  const results = [];
  /** @type {{rows: number, scan: number, row: number, memory: number} | undefined} */
  let first;
  for (const share of SHARES) {
    const rows = Math.max(1, Math.round(most * share));
    const own = join(folder, String(rows));
    writeHistory(own, rows, ROW_BYTES);
    const figures = [];
    for (let round = 0; round < rounds; round++) figures.push(await measureRound(own, rows));
    rmSync(own, { recursive: true });
    const of = (name) => median(figures.map((figure) => figure[name]));
    const scan = (of('scan') / rows) * 1e6;
    const row = (of('assembly') / rows) * 1e6;
    first ??= { rows, scan, row, memory: of('memory') };
    if (share === 1)
      results.unshift(
        compared(`CPU to assemble ${megabytes(of('bytes') / 1e6)}`, of('assembly'), of('copy'), 'cp'),
      );
    results.push({
      figure: `${rows} rows: CPU of a row, journal read back and assembled`,
      value: `${scan.toFixed(2)} + ${row.toFixed(2)} µs`,
      baseline: `${first.scan.toFixed(2)} + ${first.row.toFixed(2)} µs (${first.rows} rows)`,
      ratio: ((scan + row) / (first.scan + first.row)).toFixed(2),
    });
    results.push({
      figure: `${rows} rows: peak memory`,
      value: megabytes(of('memory')),
      baseline: `${megabytes(first.memory)} (${first.rows} rows)`,
      ratio: (of('memory') / first.memory).toFixed(2),
    });
  }
  return results;
}

async function measureRound(folder, rows) {
  const idle = await measureStep('nothing', folder, rows);
  const scan = await measureStep('scan', folder, rows);
  const whole = await measureStep('assemble', folder, rows);
  const results = join(folder, 'saved', RUN, 'reannotated.json');
  const copy = await measureCommand('cp', [results, join(folder, 'copy')]);
  const bytes = statSync(results).size;
  for (const path of [results, join(folder, 'copy')]) rmSync(path);
  return {
    scan: scan.cpu - idle.cpu,
    assembly: whole.cpu - scan.cpu,
    copy: copy.cpu,
    memory: whole.memory,
    bytes,
  };
}
