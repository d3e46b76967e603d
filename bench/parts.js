// What progress, log and journal cost a request: the same run with each of them switched off.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { words, measure, median, size, startServer } from './support.js';
import { writeLines } from './history.js';

const LOOP = fileURLToPath(new URL('parts-loop.js', import.meta.url));
const IN_FLIGHT = 64;
const PARTS = ['journal', 'log', 'progress'];

export async function parts(folder) {
  const rows = size('BENCH_ROWS', 20_000);
  const rounds = size('BENCH_ROUNDS', 7);
  writeLines(join(folder, 'jobs.json'), rows, (index) => ({
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: words(200, index) }],
    max_tokens: 2048,
    metadata: { request_idx: index },
  }));
  const server = await startServer();
  try {
    const figures = [];
    for (let round = 0; round < rounds; round++) {
      const figure = {};
      // In another order each time: what is measured first finds other caches.
      const order = [null, ...PARTS].map((_, place, all) => all[(place + round) % all.length]);
      for (const off of order) {
        const words = off === null ? [] : [off];
        const used = await measure([LOOP, server.url, folder, String(rows), String(IN_FLIGHT), ...words]);
        figure[off ?? 'all'] = (JSON.parse(used.stdout).cpu / rows) * 1e6;
        for (const name of ['output.jsonl', 'output.log', 'counters.json'])
          rmSync(join(folder, name), { force: true });
      }
      figures.push(figure);
    }
    const all = median(figures.map((figure) => figure.all));
    return PARTS.map((part) => {
      const without = median(figures.map((figure) => figure[part]));
      return {
        figure: `CPU of a request without ${part}, ${IN_FLIGHT} in flight`,
        value: `${without.toFixed(1)} µs`,
        baseline: `${all.toFixed(1)} µs (everything on)`,
        ratio: median(figures.map((figure) => figure[part] / figure.all)).toFixed(3),
      };
    });
  } finally {
    server.stop();
  }
}
