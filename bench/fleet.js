// How much faster several servers are than one with the same number of slots, as complete runs of the program: all alike,
// one of them slow, and one that dies half-way. Requests beyond a server's slots wait in it, as in vLLM.
import { createServer } from 'node:http';
import { join } from 'node:path';
import {
  answer,
  CLI,
  cliArguments,
  cliEnvironment,
  listen,
  measure,
  measureCli,
  size,
  words,
  writeRows,
} from './support.js';

const SLOTS = 8;
const LATENCY_MS = 200;
/** Answers a second that one server gives at most. */
const PER_SECOND = (SLOTS * 1000) / LATENCY_MS;
const PROMPT_BYTES = 300;
const MODEL = 'served-model';
const SHARD_ROWS = 500;

/** `slowness` of each server: the time of its answers as a multiple of the usual one. */
const CASES = {
  'one server': { slowness: [1] },
  'three servers': { slowness: [1, 1, 1] },
  'three servers, one half as fast': { slowness: [1, 1, 2] },
  'three servers, one dies half-way': { slowness: [1, 1, 1], isDying: true },
};

export async function fleet(folder) {
  const rows = size('BENCH_ROWS', 1200);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, rows, PROMPT_BYTES);
  const results = [];
  /** @type {number | undefined} */
  let single;
  for (const [name, { slowness, isDying = false }] of Object.entries(CASES)) {
    const servers = await Promise.all(slowness.map(startServer));
    const rate = slowness.reduce((sum, slow) => sum + PER_SECOND / slow, 0);
    if (isDying) servers[0]?.dieAfter(rows / 2 / slowness.length);
    const urls = servers.map(({ url }) => `${url}/v1`).join(',');
    const { wall } = await measureCli(join(folder, name), data, '', [
      '--base_url',
      urls,
      '--annotator',
      MODEL,
    ]);
    for (const server of servers) server.stop();
    const ideal = isDying ? rows / 2 / rate + rows / 2 / (rate - PER_SECOND) : rows / rate;
    const base = (single ??= wall);
    const answered = servers.map((server) => server.answered);
    results.push({
      figure: `${name}: time (answers ${answered.join(', ')})`,
      value: `${wall.toFixed(2)} s`,
      baseline: `${ideal.toFixed(2)} s (all slots always in use)`,
      ratio: `${(ideal / wall).toFixed(2)}; ${(base / wall).toFixed(2)} times one server`,
    });
  }
  for (const count of [1, 3]) results.push(await inShards(join(folder, `shards-${count}`), count));
  return results;
}

/** A run cut into small shards, all done by one worker, compared with the run as a whole. */
async function inShards(folder, count) {
  const rows = 3 * count * SHARD_ROWS;
  const data = `${folder}.jsonl`;
  await writeRows(data, rows, PROMPT_BYTES);
  const servers = await Promise.all(Array.from({ length: count }, () => startServer(1)));
  const fleetFlags = ['--base_url', servers.map(({ url }) => `${url}/v1`).join(','), '--annotator', MODEL];
  const whole = await measureCli(join(folder, 'whole'), data, '', fleetFlags);
  const [, ...flags] = [...cliArguments(join(folder, 'cut'), data), ...fleetFlags];
  const shards = String(rows / SHARD_ROWS);
  const env = cliEnvironment('');
  const planned = await measure([CLI, 'plan', ...flags, '--shards', shards], env);
  const work = await measure([CLI, 'work', planned.stdout.trim(), '--any_shard'], env);
  for (const server of servers) server.stop();
  return {
    figure: `${count === 1 ? 'one server' : `${count} servers`}, ${rows} rows in ${shards} shards, one worker: time`,
    value: `${work.wall.toFixed(2)} s`,
    baseline: `${whole.wall.toFixed(2)} s (not cut)`,
    ratio: (work.wall / whole.wall).toFixed(3),
  };
}

/** A server with a fixed number of slots; requests beyond them wait. */
async function startServer(slowness) {
  const body = JSON.stringify({ ...answer(words(60, 1), 1), model: MODEL });
  const waiting = [];
  const own = { answered: 0, deathAt: Infinity };
  let free = SLOTS;
  const next = () => {
    while (free > 0 && waiting.length > 0) {
      const response = waiting.shift();
      free -= 1;
      setTimeout(() => {
        free += 1;
        response.writeHead(200, { 'content-type': 'application/json' }).end(body);
        own.answered += 1;
        if (own.answered >= own.deathAt) stop();
        else next();
      }, LATENCY_MS * slowness);
    }
  };
  const server = createServer((request, response) => {
    request.on('data', () => undefined);
    request.on('end', () => {
      if (request.url?.endsWith('/models')) {
        const list = { object: 'list', data: [{ id: MODEL, object: 'model' }] };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(list));
        return;
      }
      waiting.push(response);
      next();
    });
  });
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return {
    url: await listen(server),
    get answered() {
      return own.answered;
    },
    dieAfter: (answers) => {
      own.deathAt = answers;
    },
    stop,
  };
}
