// Client CPU and memory of a run with everything on, beside the same requests sent by a bare undici loop and the SDK.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, measureCli, median, megabytes, size, startServer, writeRows } from './support.js';

const BARE = fileURLToPath(new URL('bare-loop.js', import.meta.url));

export async function online(folder) {
  const rows = size('BENCH_ROWS', 20_000);
  const rounds = size('BENCH_ROUNDS', 3);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, rows, 1500);
  const server = await startServer();
  try {
    const results = [];
    for (const inFlight of [64, 512]) {
      const figures = [];
      // In turn, so that a machine that becomes slower is slower for all.
      for (let round = 0; round < rounds; round++) {
        figures.push(await measureRound(folder, data, server.url, rows, inFlight));
      }
      const of = (name) => median(figures.map((figure) => figure[name]));
      const compare = (figure, own, baseline, name) =>
        results.push({
          figure: `${figure}, ${inFlight} in flight`,
          value: `${of(own).toFixed(0)} µs`,
          baseline: `${of(baseline).toFixed(0)} µs (${name})`,
          ratio: median(figures.map((one) => one[own] / one[baseline])).toFixed(2),
        });
      compare('CPU of a request', 'request', 'undici', 'bare undici');
      compare('CPU of a row, from dataset to results', 'row', 'undici', 'bare undici');
      compare('CPU of a row, from dataset to results', 'row', 'sdk', 'openai SDK');
      results.push({
        figure: `requests a second, ${inFlight} in flight`,
        value: of('rate').toFixed(0),
        baseline: `${of('undiciRate').toFixed(0)} (bare undici)`,
        ratio: (of('rate') / of('undiciRate')).toFixed(2),
      });
      results.push({
        figure: `peak memory, ${inFlight} in flight`,
        value: megabytes(of('memory')),
        baseline: `${megabytes(of('undiciMemory'))} (bare undici), ${megabytes(of('sdkMemory'))} (SDK)`,
        ratio: (of('memory') / of('undiciMemory')).toFixed(2),
      });
    }
    return results;
  } finally {
    server.stop();
  }
}

/** Figures of one round; CPU in microseconds a request. */
async function measureRound(folder, data, url, rows, inFlight) {
  const own = join(folder, 'own');
  const one = join(folder, 'one');
  const flags = ['--max_concurrency', String(inFlight)];
  const start = await measureCli(one, data, url, [...flags, '--limit', '1']);
  const whole = await measureCli(own, data, url, flags);
  // A second run has nothing to send: the difference to the first is loading the dataset and sending.
  const again = await measureCli(own, data, url, [...flags, '--resume']);
  const [run = ''] = readdirSync(join(own, 'temp'));
  const jobs = join(own, 'temp', run, 'jobs.json');
  const loop = async (transport) => {
    const used = await measure([BARE, transport, url, jobs, String(inFlight)]);
    return { ...used, loop: JSON.parse(used.stdout) };
  };
  const [undici, sdk] = [await loop('undici'), await loop('sdk')];
  const asked = /Time: +([\d.]+) s/.exec(whole.stderr)?.[1];
  for (const path of [own, one]) rmSync(path, { recursive: true });
  return {
    request: ((whole.cpu - again.cpu) / rows) * 1e6,
    row: ((whole.cpu - start.cpu) / rows) * 1e6,
    undici: (undici.loop.cpu / rows) * 1e6,
    sdk: (sdk.loop.cpu / rows) * 1e6,
    rate: rows / Number(asked),
    undiciRate: rows / undici.loop.wall,
    memory: whole.memory,
    undiciMemory: undici.memory,
    sdkMemory: sdk.memory,
  };
}
