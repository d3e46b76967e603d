// How much of an enforced limit whole runs use, from the first request to the last answer, and how many requests are
// answered with 429. A stalled process does nothing for 100 ms of every second, as on a machine that is too busy.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startSimulator } from '#modules/simulator/server.js';
import { measureCli, size, writeRows } from './support.js';

const PER_SECOND = 100;
const MAX_TOKENS = 400;
const PROMPT_BYTES = 600;
const POLL_MS = 10;
/** Tokens that a request may use at most, about; and what its answer uses, about. */
const RESERVED = MAX_TOKENS + 135;
const USED = 190;

const STALL = `data:text/javascript,${encodeURIComponent(
  'setInterval(() => { const end = performance.now() + 100; while (performance.now() < end); }, 1000).unref();',
)}`;

/** @typedef {import('#modules/simulator/options.js').SimulatorOptions} Limits */

const REQUESTS = { requestsPerMinute: PER_SECOND * 60 };
const reserved = { tokensPerMinute: PER_SECOND * 60 * RESERVED };
/** @type {Limits} */
const used = { tokensPerMinute: PER_SECOND * 60 * USED, tokenCharge: 'used' };

/**
 * `then` are limits from half of the rows on.
 * @type {Record<string, {limits: Limits, then?: Limits, isStalled?: boolean}>}
 */
const CASES = {
  'requests a minute': { limits: REQUESTS },
  'requests a minute, stalled': { limits: REQUESTS, isStalled: true },
  'tokens a minute, reserved': { limits: reserved },
  'tokens a minute, reserved, stalled': { limits: reserved, isStalled: true },
  'tokens a minute, used': { limits: used },
  'tokens a minute, used, stalled': { limits: used, isStalled: true },
  'requests a minute, lowered half way': { limits: REQUESTS, then: { requestsPerMinute: PER_SECOND * 36 } },
};

export async function limit(folder) {
  const rows = size('BENCH_ROWS', 3000);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, rows, PROMPT_BYTES);
  const results = [];
  for (const [name, { limits, then, isStalled = false }] of Object.entries(CASES)) {
    const own = join(folder, name);
    const simulator = await startSimulator({ ...limits, latencyMs: 200, latencyJitterMs: 100 });
    const env = isStalled ? { NODE_OPTIONS: `--import ${STALL}` } : {};
    const run = measureCli(own, data, simulator.url, ['--max_tokens', String(MAX_TOKENS)], env);
    const elapsed = await timeRun(simulator, rows, then);
    await run;
    const { throttled, requests } = simulator.statistics();
    await simulator.close();
    const ideal = idealSeconds(rows, limits, then, charge(own, limits));
    results.push({
      figure: `time, bound by ${name}`,
      value: `${elapsed.toFixed(2)} s`,
      baseline: `${ideal.toFixed(2)} s (the limit)`,
      ratio: (ideal / elapsed).toFixed(3),
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

/** Seconds from the first request to the last answer; changes the limits when half of the rows are answered. */
async function timeRun(simulator, rows, then) {
  const until = async (isReached) => {
    while (!isReached(simulator.statistics())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    return performance.now();
  };
  const started = await until(({ requests }) => requests > 0);
  if (then !== undefined) {
    await until(({ answered }) => answered >= rows / 2);
    simulator.setLimits(then);
  }
  return ((await until(({ answered }) => answered >= rows)) - started) / 1000;
}

function idealSeconds(rows, limits, then, tokens) {
  const first = rows / perSecond(limits, tokens);
  return then === undefined ? first : first / 2 + rows / 2 / perSecond(then, tokens);
}

function perSecond({ requestsPerMinute = Infinity, tokensPerMinute = Infinity }, tokens) {
  return Math.min(requestsPerMinute, tokensPerMinute / tokens) / 60;
}

/**
 * Tokens that a request is charged on average: characters / 4 and the most that may be answered, or what was.
 * @param {string} folder
 * @param {Limits} limits
 */
function charge(folder, { tokenCharge = 'reserved' }) {
  const [run = ''] = readdirSync(join(folder, 'temp'));
  const lines = (file) =>
    readFileSync(join(folder, 'temp', run, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const tokens =
    tokenCharge === 'used'
      ? lines('output.jsonl').map(([, answer]) => answer.usage.total_tokens)
      : lines('jobs.json').map(({ messages }) => Math.ceil(messages[0].content.length / 4) + MAX_TOKENS);
  return tokens.reduce((sum, one) => sum + one, 0) / tokens.length;
}
