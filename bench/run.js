// Benchmarks of the built program, each beside a bare baseline in the same run: npm run bench [NAME ...]
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * @typedef {{figure: string, value: string, baseline: string, ratio: string}} Row
 * @typedef {(folder: string) => Row[] | Promise<Row[]>} Benchmark
 */

/** Each module exports a benchmark of its name. */
const BENCHMARKS = {
  online: () => import('./online.js'),
  parts: () => import('./parts.js'),
  limit: () => import('./limit.js'),
  jobs: () => import('./jobs.js'),
  load: () => import('./load.js'),
  files: () => import('./files.js'),
  resume: () => import('./resume.js'),
  reuse: () => import('./reuse.js'),
  assemble: () => import('./assemble.js'),
  start: () => import('./start.js'),
  curve: () => import('./curve.js'),
  memory: () => import('./memory.js'),
  shards: () => import('./shards.js'),
  workers: () => import('./workers.js'),
  fleet: () => import('./fleet.js'),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(BENCHMARKS, name));
if (unknown.length > 0) {
  process.stderr.write(
    `Unknown benchmark ${unknown.join(', ')}. Known are ${Object.keys(BENCHMARKS).join(', ')}.\n`,
  );
  process.exit(2);
}
const machine = `${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`;
process.stdout.write(`${machine}\n`);
for (const [name, load] of Object.entries(BENCHMARKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { [name]: benchmark } = /** @type {Record<string, Benchmark>} */ (await load());
  const folder = mkdtempSync(join(tmpdir(), 'reannotate-bench-'));
  try {
    const rows = (await benchmark?.(folder)) ?? [];
    process.stdout.write(`\n${name}\n${table(rows)}\n`);
    mkdirSync('bench/results', { recursive: true });
    const result = { benchmark: name, date: new Date().toISOString(), machine, rows };
    writeFileSync(`bench/results/${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function table(rows) {
  const lines = [
    ['figure', 'value', 'baseline', 'ratio'],
    ...rows.map((row) => [row.figure, row.value, row.baseline, row.ratio]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column].length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
