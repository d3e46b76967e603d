// Client CPU of a request, start-up and loading subtracted, beside a bare undici loop over the same bodies.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, measureCli, megabytes, size, startServer, writeRows } from './support.js';

const BARE = fileURLToPath(new URL('bare-loop.js', import.meta.url));

export async function online(folder) {
  const rows = size('BENCH_ROWS', 20_000);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, rows, 1500);
  const server = await startServer();
  try {
    const results = [];
    for (const inFlight of [64, 512]) {
      const own = join(folder, String(inFlight));
      const flags = ['--max_concurrency', String(inFlight)];
      const whole = await measureCli(own, data, server.url, flags);
      // The same again has nothing left to ask: what remains is start-up, reading back and writing the results.
      const rest = await measureCli(own, data, server.url, [...flags, '--resume']);
      const [run] = readdirSync(join(own, 'temp'));
      const bare = await measure([BARE, server.url, join(own, 'temp', run, 'jobs.json'), String(inFlight)]);
      const baseline = Number(/cpu ([\d.]+)/.exec(bare.stderr)[1]) / rows;
      const request = (whole.cpu - rest.cpu) / rows;
      results.push({
        figure: `CPU of a request, ${inFlight} in flight`,
        value: `${(request * 1e6).toFixed(0)} µs`,
        baseline: `${(baseline * 1e6).toFixed(0)} µs (bare undici)`,
        ratio: (request / baseline).toFixed(2),
      });
      results.push({
        figure: `peak memory, ${inFlight} in flight`,
        value: megabytes(whole.memory),
        baseline: `${megabytes(bare.memory)} (bare undici)`,
        ratio: (whole.memory / bare.memory).toFixed(2),
      });
    }
    return results;
  } finally {
    server.stop();
  }
}
