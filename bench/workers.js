// How much of an account's limit the workers of a planned run use together, and how many of their requests get a 429, while
// one of them is killed and one joins. Counted by the simulator, which enforces the limit.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSimulator } from '#modules/simulator/server.js';
import { cliArguments, cliEnvironment, CLI, measure, writeRows } from './support.js';

const PER_SECOND = 100;
/** Seconds from the first request: until the count begins, one worker is killed, one joins, the count ends. */
const [START_S, KILL_S, JOIN_S, END_S] = [5, 12, 22, 35];
const SAMPLE_MS = 1000;
const PROMPT_BYTES = 300;

export async function workers(folder) {
  const counts = (process.env.BENCH_WORKERS ?? '4,10').split(',').map(Number);
  const results = [];
  for (const count of counts) results.push(...(await share(join(folder, String(count)), count)));
  return results;
}

async function share(folder, count) {
  const data = `${folder}.jsonl`;
  await writeRows(data, PER_SECOND * (END_S + 15), PROMPT_BYTES);
  const simulator = await startSimulator({
    requestsPerMinute: PER_SECOND * 60,
    latencyMs: 300,
    latencyJitterMs: 200,
  });
  const env = cliEnvironment(simulator.url);
  const [, ...flags] = cliArguments(folder, data);
  const planned = await measure([CLI, 'plan', ...flags, '--workers', String(count)], env);
  const runDir = planned.stdout.trim();
  const start = () =>
    spawn(process.execPath, [CLI, 'work', runDir, '--any_shard'], {
      env: { PATH: process.env.PATH, ...env },
      stdio: 'ignore',
    });
  const samples = await sampleFleet(simulator, count, start);
  await simulator.close();
  if (process.env.BENCH_TRACE) process.stdout.write(`${samples.map(traceOf).join(' ')}\n`);
  const window = samples.slice(START_S);
  const accepted = sum(window, 'requests') - sum(window, 'throttled');
  const ideal = PER_SECOND * (END_S - START_S);
  const all = sum(samples, 'requests');
  return [
    {
      figure: `${count} workers, one killed, one joins: requests in ${END_S - START_S} s`,
      value: String(accepted),
      baseline: `${ideal} (the limit)`,
      ratio: (accepted / ideal).toFixed(3),
    },
    {
      figure: `${count} workers: 429 of all requests, with the start`,
      value: String(sum(samples, 'throttled')),
      baseline: '0',
      ratio: (sum(samples, 'throttled') / all).toFixed(4),
    },
  ];
}

/** Requests of each second, while one worker is killed and one joins. */
async function sampleFleet(simulator, count, start) {
  const running = Array.from({ length: count }, start);
  while (simulator.statistics().requests === 0) await sleep(10);
  const began = performance.now();
  const samples = [];
  let last = { requests: 0, throttled: 0 };
  for (let second = 1; second <= END_S; second++) {
    await sleep(Math.max(0, began + second * SAMPLE_MS - performance.now()));
    const { requests, throttled } = simulator.statistics();
    samples.push({ requests: requests - last.requests, throttled: throttled - last.throttled });
    last = { requests, throttled };
    if (second === KILL_S) running[0]?.kill('SIGKILL');
    if (second === JOIN_S) running.push(start());
  }
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(
    running.map((child) =>
      child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null,
    ),
  );
  return samples;
}

const sum = (samples, key) => samples.reduce((all, one) => all + one[key], 0);

function traceOf({ requests, throttled }, second) {
  return `${second + 1}:${requests - throttled}${throttled ? `(${throttled})` : ''}`;
}
