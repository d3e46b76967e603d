// What a row costs, from dataset to results, as rows grow in number: time and memory are not to grow faster than they.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { measureCli, median, megabytes, size, startServer, writeRows } from './support.js';

const ROW_BYTES = 600;
const ROUNDS = 3;
/** The curve's points as shares of the most rows. */
const SHARES = [0.05, 0.2, 1];

export async function curve(folder) {
  const most = size('BENCH_ROWS', 1_000_000);
  const server = await startServer();
  const results = [];
  try {
    const start = await measureStart(folder, server.url);
    /** @type {Record<string, number> | undefined} */
    let first;
    for (const share of SHARES) {
      const rows = Math.max(1, Math.round(most * share));
      const own = join(folder, String(rows));
      const data = join(folder, `${rows}.jsonl`);
      await writeRows(data, rows, ROW_BYTES);
      const rounds = [];
      // The largest takes long enough for once to do.
      for (let round = 0; round < (share === 1 ? 1 : ROUNDS); round++) {
        const asked = await measureCli(own, data, server.url);
        const resumed = await measureCli(own, data, server.url, ['--resume']);
        rmSync(own, { recursive: true });
        rounds.push({
          user: ((asked.user - start.user) / rows) * 1e6,
          all: ((asked.cpu - start.cpu) / rows) * 1e6,
          time: ((asked.wall - start.wall) / rows) * 1e6,
          resumed: ((resumed.user - start.user) / rows) * 1e6,
          memory: asked.memory,
        });
      }
      rmSync(data);
      const figures = Object.fromEntries(
        Object.keys(rounds[0]).map((name) => [name, median(rounds.map((round) => round[name]))]),
      );
      const smallest = (first ??= { ...figures, rows });
      const compare = (what, name, show) =>
        results.push({
          figure: `${rows} rows: ${what}`,
          value: show(figures[name]),
          baseline: `${show(smallest[name])} (${smallest.rows} rows)`,
          ratio: (figures[name] / (smallest[name] ?? NaN)).toFixed(2),
        });
      const microseconds = (value) => `${value.toFixed(1)} µs`;
      compare('CPU of a row', 'user', microseconds);
      compare('CPU of a row with the kernel’s part', 'all', microseconds);
      compare('time of a row', 'time', microseconds);
      compare('CPU of a row when resumed', 'resumed', microseconds);
      compare('peak memory', 'memory', megabytes);
    }
    return results;
  } finally {
    server.stop();
  }
}

/** A run of one row: what every run costs, however long. */
async function measureStart(folder, url) {
  const data = join(folder, 'one.jsonl');
  await writeRows(data, 1, ROW_BYTES);
  return measureCli(join(folder, 'one'), data, url);
}
