// The baselines of `online`: posts the bodies of a jobs.json and parses the answers, and nothing else.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

const [transport, url = '', jobs = '', inFlight] = process.argv.slice(2);
const bodies = [];
for await (const line of createInterface({ input: createReadStream(jobs) })) bodies.push(line);
const { send, close } = transport === 'sdk' ? await openSdk() : await openUndici();
let next = 0;
const worker = async () => {
  while (next < bodies.length) await send(bodies[next++]);
};
const before = process.cpuUsage();
const started = performance.now();
await Promise.all(Array.from({ length: Number(inFlight) }, worker));
const used = process.cpuUsage(before);
const report = {
  cpu: (used.user + used.system) / 1e6,
  wall: (performance.now() - started) / 1000,
  requests: bodies.length,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
await close();

async function openUndici() {
  const { Pool } = await import('undici');
  const pool = new Pool(url, { connections: Number(inFlight), pipelining: 1 });
  const headers = { 'content-type': 'application/json' };
  const send = async (body) => {
    const response = await pool.request({ path: '/v1/chat/completions', method: 'POST', headers, body });
    JSON.parse(await response.body.text());
  };
  return { send, close: () => pool.close() };
}

/** The official SDK as it comes. */
async function openSdk() {
  const { default: OpenAI } = await import('openai');
  const client = new OpenAI({ apiKey: 'benchmark', baseURL: `${url}/v1`, maxRetries: 0 });
  return { send: (body) => client.chat.completions.create(JSON.parse(body)), close: async () => undefined };
}
