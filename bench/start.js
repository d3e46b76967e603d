// How long the commands take to start, beside a Node that does nothing.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { CLI, cliArguments, cliEnvironment, listen, median, size } from './support.js';

export async function start(folder) {
  const times = size('BENCH_STARTS', 25);
  const data = join(folder, 'data.jsonl');
  writeFileSync(data, '{"prompt":"What is 2 + 2?","response":"4"}\n');
  const server = createServer();
  const url = await listen(server);
  let number = 0;
  const cases = {
    '--version': () => untilExit([CLI, '--version']),
    '--help': () => untilExit([CLI, '--help']),
    'first request of a run': () => {
      number += 1;
      return untilFirstRequest(server, cliArguments(join(folder, String(number)), data), cliEnvironment(url));
    },
  };
  try {
    const results = [];
    for (const [name, run] of Object.entries(cases)) {
      const own = [];
      const bare = [];
      // In turn, so that a machine that becomes slower is slower for both; the first of each warms the disk's cache.
      for (let time = -1; time < times; time++) {
        const pair = { own: await run(), bare: await untilExit(['-e', '0']) };
        if (time < 0) continue;
        own.push(pair.own);
        bare.push(pair.bare);
      }
      results.push({
        figure: `${name}, median of ${times}`,
        value: `${median(own).toFixed(0)} ms`,
        baseline: `${median(bare).toFixed(0)} ms (node -e 0)`,
        ratio: (median(own) / median(bare)).toFixed(2),
      });
    }
    return results;
  } finally {
    server.close();
  }
}

async function untilExit(args) {
  const started = performance.now();
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  await once(child, 'exit');
  return performance.now() - started;
}

/** A request for a model is none of the run's, and is not awaited: what counts is the first prompt. */
async function untilFirstRequest(server, args, env) {
  const started = performance.now();
  const child = spawn(process.execPath, args, { stdio: 'ignore', env });
  const [request, response] = await once(server, 'request');
  const elapsed = performance.now() - started;
  request.resume();
  response.writeHead(401).end('{"error":{"message":"no"}}');
  await once(child, 'exit');
  return elapsed;
}
