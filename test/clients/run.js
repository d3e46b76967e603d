// The official clients of several providers against the simulator, so that its shapes are not our imagination alone.
// `npm run test:clients` builds and runs this; `npm install --prefix test/clients` installs the clients first.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
if (!existsSync(here('node_modules'))) {
  process.stdout.write('Skipped: the clients are not installed (npm install --prefix test/clients).\n');
  process.exit(0);
}

/** An account for each client. */
const keyOf = (name) => `key-of-${name}-0123456789`;
const ROWS = ['0', '1', '2'];
const POLLS = 100;
const messages = [{ role: 'user', content: 'Say something.' }];

const { child, url } = await simulator();
const folder = mkdtempSync(join(tmpdir(), 'reannotate-clients-'));
try {
  for (const [name, check] of Object.entries({ anthropic, mistral, together, groq, gemini })) {
    await check();
    process.stdout.write(`${name}: ok\n`);
  }
} finally {
  child.kill();
}

/** The built simulator on a free port. */
async function simulator() {
  const child = spawn(process.execPath, [here('../../dist/cli.js'), 'simulate', '--port', '0']);
  let text = '';
  for await (const piece of child.stderr) {
    text += piece;
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
    if (url !== undefined) return { child, url };
  }
  throw new Error(`the simulator did not start: ${text}`);
}

/** A file of requests in OpenAI's format. */
function requestsFile(name, model) {
  const lines = ROWS.map((id) => ({
    custom_id: id,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model, messages, max_tokens: 20 },
  }));
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

/** Asks until an answer is the wanted one. */
async function until(ask, isWanted) {
  for (let polls = 0; polls < POLLS; polls++) {
    const answer = await ask();
    if (isWanted(answer)) return answer;
    await sleep(50);
  }
  throw new Error('it did not end');
}

/** Every row has an answer. */
function expectAnswers(text) {
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ custom_id: id }) => id).sort(), ROWS);
  for (const { response } of lines) assert.ok(response.body.choices[0].message.content.length > 0);
}

async function anthropic() {
  const { default: Anthropic } = await import('@anthropic-ai/sdk');
  const client = new Anthropic({ apiKey: keyOf('anthropic'), baseURL: `${url}/anthropic` });
  const requests = ROWS.map((id) => ({
    custom_id: id,
    params: { model: 'claude-haiku-4-5', max_tokens: 20, system: 'Be brief.', messages },
  }));
  const { id } = await client.messages.batches.create({ requests });
  const ended = await until(
    () => client.messages.batches.retrieve(id),
    ({ processing_status: status }) => status === 'ended',
  );
  assert.equal(ended.request_counts.succeeded, ROWS.length);
  const ids = [];
  // The client takes the address of the results from the batch.
  for await (const { custom_id: row, result } of await client.messages.batches.results(id)) {
    assert.equal(result.type, 'succeeded');
    assert.equal(result.message.content[0].type, 'text');
    ids.push(row);
  }
  assert.deepEqual(ids.sort(), ROWS);
  const listed = [];
  for await (const batch of client.messages.batches.list({ limit: 1 })) listed.push(batch.id);
  assert.deepEqual(listed, [id]);
}

async function mistral() {
  const { Mistral } = await import('@mistralai/mistralai');
  const client = new Mistral({ apiKey: keyOf('mistral'), serverURL: `${url}/mistral` });
  const { openAsBlob } = await import('node:fs');
  const content = await openAsBlob(requestsFile('mistral.jsonl', 'mistral-small-latest'));
  const file = await client.files.upload({ file: { fileName: 'requests.jsonl', content }, purpose: 'batch' });
  const { id } = await client.batch.jobs.create({
    inputFiles: [file.id],
    model: 'mistral-small-latest',
    endpoint: '/v1/chat/completions',
    metadata: { run: 'mine' },
  });
  const ended = await until(
    () => client.batch.jobs.get({ jobId: id }),
    ({ status }) => status === 'SUCCESS',
  );
  assert.equal(ended.succeededRequests, ROWS.length);
  assert.deepEqual(ended.metadata, { run: 'mine' });
  const stream = await client.files.download({ fileId: ended.outputFile });
  expectAnswers(await new Response(stream).text());
  const { data } = await client.batch.jobs.list({ orderBy: '-created' });
  assert.deepEqual(
    data.map((job) => job.id),
    [id],
  );
}

async function together() {
  // Its upload reads the address from the environment.
  process.env.TOGETHER_API_BASE_URL = `${url}/together/v1`;
  // Its upload finds the file system in CommonJS alone.
  const { Together } = createRequire(import.meta.url)('together-ai');
  const client = new Together({ apiKey: keyOf('together'), baseURL: `${url}/together/v1` });
  const plainFetch = globalThis.fetch;
  // It leaves out what Node's fetch wants of a streamed body.
  globalThis.fetch = (address, init) => plainFetch(address, { duplex: 'half', ...init });
  const path = requestsFile('together.jsonl', 'some/model');
  const file = await client.files.upload(path, 'batch-api', false).finally(() => {
    globalThis.fetch = plainFetch;
  });
  const { job } = await client.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions' });
  const ended = await until(
    () => client.batches.retrieve(job.id),
    ({ status }) => status === 'COMPLETED',
  );
  expectAnswers(await (await client.files.content(ended.output_file_id)).text());
  const listed = await client.batches.list();
  assert.equal(listed[0].id, job.id);
}

async function groq() {
  const { default: Groq } = await import('groq-sdk');
  const { createReadStream } = await import('node:fs');
  const client = new Groq({ apiKey: keyOf('groq'), baseURL: `${url}/groq` });
  const upload = createReadStream(requestsFile('groq.jsonl', 'llama-3.3-70b-versatile'));
  const file = await client.files.create({ file: upload, purpose: 'batch' });
  const made = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  const ended = await until(
    () => client.batches.retrieve(made.id),
    ({ status }) => status === 'completed',
  );
  expectAnswers(await (await client.files.content(ended.output_file_id)).text());
  const { data } = await client.batches.list();
  assert.equal(data[0].id, made.id);
}

/** Its own client knows files and the list; batches are created through the compatible endpoint. */
async function gemini() {
  const { GoogleGenAI } = await import('@google/genai');
  const client = new GoogleGenAI({ apiKey: keyOf('gemini'), httpOptions: { baseUrl: `${url}/gemini` } });
  const path = requestsFile('gemini.jsonl', 'gemini-2.5-flash');
  const file = await client.files.upload({
    file: path,
    config: { displayName: 'mine', mimeType: 'application/jsonl' },
  });
  assert.equal((await client.files.get({ name: file.name })).displayName, 'mine');
  const response = await fetch(`${url}/gemini/v1beta/openai/batches`, {
    method: 'POST',
    headers: { authorization: `Bearer ${keyOf('gemini')}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      input_file_id: file.name,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    }),
  });
  const { id } = await response.json();
  const list = async () => {
    const jobs = [];
    for await (const job of await client.batches.list()) jobs.push(job);
    return jobs.find(({ name }) => name === id);
  };
  const ended = await until(list, (job) => job?.state === 'JOB_STATE_SUCCEEDED');
  const downloadPath = join(folder, 'gemini-results.jsonl');
  await client.files.download({ file: ended.dest.fileName, downloadPath });
  const { readFileSync } = await import('node:fs');
  await until(
    () => Promise.resolve(existsSync(downloadPath) ? readFileSync(downloadPath, 'utf8') : ''),
    (text) => text.trim().split('\n').length === ROWS.length,
  );
  expectAnswers(readFileSync(downloadPath, 'utf8'));
}
