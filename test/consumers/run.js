// Runs the built program on data with everything in it, and has Python read what it writes: npm run test:consumers
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PYTHON = process.env.PYTHON ?? 'python3';
const FORMATS = 'jsonl,parquet,messages,sharegpt,sft,dpo,dpo_llamafactory,kto';
const LATE = 12_000;

const packages = spawnSync(PYTHON, ['-c', 'import datasets, pandas, polars, pyarrow']);
if (packages.status !== 0) {
  process.stdout.write(
    `Skipped: ${PYTHON} lacks packages of test/consumers/requirements.txt (PYTHON names another interpreter).\n`,
  );
  process.exit(0);
}

const tool = (name, parameter) => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: { [parameter]: { enum: [parameter, 1] } } } },
});
const call = (name) => ({ id: 'c1', type: 'function', function: { name, arguments: '{"a": 1}' } });
const user = (content) => ({ role: 'user', content });
const assistant = (content) => ({ role: 'assistant', content });

/** Chats, tools, calls, nulls, half of a surrogate pair; or what is plain first, and chats and originals after ten megabytes. */
function* rows(first) {
  for (let row = 0; row < first; row++) yield { messages: [user(`${row} ${'word '.repeat(200)}`)] };
  yield { messages: [user('Hi \ud800 ✓ 日本'), assistant('Hello.')] };
  yield { messages: [user('a'), assistant('b'), user('c'), assistant('d')] };
  if (first === LATE) return;
  yield {
    messages: [user('Tide?'), { ...assistant(null), tool_calls: [call('f')] }],
    tools: [tool('f', 'a')],
  };
  yield { messages: [user('Tide?'), assistant('No.')], tools: [tool('g', 'b'), tool('h', 'c')] };
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { tools, messages, n = 1 } = JSON.parse(Buffer.concat(chunks).toString() || '{}');
    const message = {
      role: 'assistant',
      content: `Answer to ${messages?.at(-1)?.content?.slice(0, 40) ?? ''}`,
    };
    if (tools !== undefined)
      Object.assign(message, { content: null, tool_calls: [call(tools[0].function.name)] });
    if (messages?.length > 2) message.reasoning_content = 'Hm.';
    const finish = tools === undefined ? 'stop' : 'tool_calls';
    const choices = Array.from({ length: n }, (_, index) => ({ index, message, finish_reason: finish }));
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ id: 'x', object: 'chat.completion', model: 'm', choices, usage }));
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');

const folder = mkdtempSync(join(tmpdir(), 'reannotate-consumers-'));
let failed = false;
try {
  for (const [name, first, ...flags] of [
    ['small', 0],
    ['several', 3, '--n', '2'],
    ['late', LATE],
  ]) {
    const data = join(folder, `${name}.jsonl`);
    writeFileSync(data, [...rows(first)].map((row) => `${JSON.stringify(row)}\n`).join(''));
    const words = [
      'dist/cli.js',
      '--dataset',
      data,
      '--annotator',
      'gpt-4o-mini',
      '--output_format',
      FORMATS,
      ...flags,
    ];
    words.push('--save_dir', join(folder, 'saved', name), '--temp_dir', join(folder, 'temp', name));
    const env = {
      ...process.env,
      OPENAI_API_KEY: 'none',
      OPENAI_BASE_URL: `http://127.0.0.1:${server.address().port}/v1`,
    };
    const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => (said += text));
    const [code] = await once(child, 'close');
    if (code !== 0) process.stdout.write(said);
    const results = join(folder, 'saved', name);
    const [run] = readdirSync(results);
    process.stdout.write(`\n${name}\n`);
    const check = spawnSync(PYTHON, ['test/consumers/check.py', join(results, run), join(folder, 'cache')], {
      env: { ...process.env, HF_HUB_OFFLINE: '1' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    failed ||= code !== 0 || check.status !== 0;
  }
} finally {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
