// The baseline of `online`: posts the bodies of a jobs.json with undici and parses the answers, and nothing else.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Pool } from 'undici';

const [url, jobs, inFlight] = process.argv.slice(2);
const pool = new Pool(url, { connections: Number(inFlight), pipelining: 1 });
const bodies = [];
for await (const line of createInterface({ input: createReadStream(jobs) })) bodies.push(line);
const headers = { 'content-type': 'application/json' };
let next = 0;
const before = process.cpuUsage();
const worker = async () => {
  while (next < bodies.length) {
    const body = bodies[next++];
    const response = await pool.request({ path: '/v1/chat/completions', method: 'POST', headers, body });
    JSON.parse(await response.body.text());
  }
};
await Promise.all(Array.from({ length: Number(inFlight) }, worker));
const used = process.cpuUsage(before);
process.stderr.write(`cpu ${(used.user + used.system) / 1e6}\n`);
await pool.close();
