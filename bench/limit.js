// The share of an enforced limit that is used after the first five seconds, and the share of requests answered 429.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSimulator } from './modules/simulator/server.js';
import { measureCli, size, writeRows } from './support.js';

const WARM_UP_MS = 5000;
const PER_SECOND = 100;
const MAX_TOKENS = 400;

export async function limit(folder) {
  const seconds = size('BENCH_SECONDS', 30);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, PER_SECOND * (seconds + 8), 600);
  const cases = {
    'requests a minute': { requestsPerMinute: PER_SECOND * 60 },
    'tokens a minute': { tokensPerMinute: PER_SECOND * 60 * (MAX_TOKENS + 135) },
  };
  const results = [];
  for (const [name, limits] of Object.entries(cases)) {
    const simulator = await startSimulator({ ...limits, latencyMs: 200, latencyJitterMs: 100 });
    let bucket = null;
    const timer = setTimeout(
      () => (bucket = { at: performance.now(), answered: simulator.statistics().answered }),
      WARM_UP_MS,
    );
    const run = measureCli(join(folder, name), data, simulator.url, ['--max_tokens', String(MAX_TOKENS)]);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const { answered, throttled, requests } = simulator.statistics();
    const rate = (answered - bucket.answered) / ((performance.now() - bucket.at) / 1000);
    await run;
    clearTimeout(timer);
    await simulator.close();
    const allowed =
      limits.requestsPerMinute === undefined
        ? limits.tokensPerMinute / 60 / charge(join(folder, name))
        : PER_SECOND;
    results.push({
      figure: `answers a second, bound by ${name}`,
      value: rate.toFixed(1),
      baseline: `${allowed.toFixed(1)} (the limit)`,
      ratio: (rate / allowed).toFixed(3),
    });
    results.push({
      figure: `429 of ${requests} requests`,
      value: String(throttled),
      baseline: '0',
      ratio: (throttled / requests).toFixed(4),
    });
  }
  return results;
}

/** Tokens that the API reserves for a request, on average: characters / 4 and the most that may be answered. */
function charge(folder) {
  const [run] = readdirSync(join(folder, 'temp'));
  const jobs = readFileSync(join(folder, 'temp', run, 'jobs.json'), 'utf8')
    .trim()
    .split('\n');
  const tokens = jobs.map((line) => Math.ceil(JSON.parse(line).messages[0].content.length / 4) + MAX_TOKENS);
  return tokens.reduce((sum, one) => sum + one, 0) / tokens.length;
}
