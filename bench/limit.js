// The share of an enforced limit that is used after the first five seconds, and the share of requests answered 429.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSimulator } from './modules/simulator/server.js';
import { measureCli, size, writeRows } from './support.js';

const WARM_UP_MS = 5000;
const PER_SECOND = 100;
/** What is left of the rate where it changes half way. */
const CHANGED_PER_SECOND = 60;
const MAX_TOKENS = 400;
const PROMPT_BYTES = 600;
/** Tokens of a request, about; a little less, so that the limit in question is the one that binds. */
const TOKENS = MAX_TOKENS + 135;

const CASES = {
  'requests a minute': { requestsPerMinute: PER_SECOND * 60 },
  'tokens a minute': { tokensPerMinute: PER_SECOND * 60 * TOKENS },
  'requests, then tokens, both lowered half way': {
    requestsPerMinute: PER_SECOND * 60,
    tokensPerMinute: PER_SECOND * 60 * TOKENS * 2,
    then: { requestsPerMinute: PER_SECOND * 48, tokensPerMinute: CHANGED_PER_SECOND * 60 * TOKENS },
  },
};

export async function limit(folder) {
  const seconds = size('BENCH_SECONDS', 30);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, PER_SECOND * (seconds + 8), PROMPT_BYTES);
  const results = [];
  for (const [name, { then, ...limits }] of Object.entries(CASES)) {
    const own = join(folder, name);
    const simulator = await startSimulator({ ...limits, latencyMs: 200, latencyJitterMs: 100 });
    const run = measureCli(own, data, simulator.url, ['--max_tokens', String(MAX_TOKENS)]);
    const phases = [{ limits, from: WARM_UP_MS, to: then === undefined ? seconds * 1000 : seconds * 500 }];
    if (then !== undefined) phases.push({ limits: then, from: seconds * 500, to: seconds * 1000 });
    const started = performance.now();
    let used = 0;
    let before = 0;
    for (const phase of phases) {
      if (phase.limits === then) simulator.setLimits(then);
      else before = await answeredAt(simulator, started + phase.from);
      phase.elapsed = performance.now();
      const answered = await answeredAt(simulator, started + phase.to);
      phase.elapsed = (performance.now() - phase.elapsed) / 1000;
      used += answered - before;
      before = answered;
    }
    const { throttled, requests } = simulator.statistics();
    await run;
    await simulator.close();
    const tokens = charge(own);
    const allowed = phases.reduce((sum, phase) => sum + perSecond(phase.limits, tokens) * phase.elapsed, 0);
    results.push({
      figure: `answers, bound by ${name}`,
      value: String(used),
      baseline: `${allowed.toFixed(0)} (the limit)`,
      ratio: (used / allowed).toFixed(3),
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

async function answeredAt(simulator, time) {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, time - performance.now())));
  return simulator.statistics().answered;
}

function perSecond({ requestsPerMinute = Infinity, tokensPerMinute = Infinity }, tokens) {
  return Math.min(requestsPerMinute, tokensPerMinute / tokens) / 60;
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
