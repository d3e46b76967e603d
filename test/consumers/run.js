// Runs the built program on data with everything in it, and has Python read what it writes: npm run test:consumers
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPython } from './python.js';

const FORMATS = 'jsonl,parquet,messages,sharegpt,sft,dpo,dpo_llamafactory,kto';
/** Rows of about 1 KB: more than the 10 MB from which `datasets` takes the types of columns. */
const LATE = 12_000;

const interpreter = findPython();
if (interpreter.python === undefined) {
  const { why, isRequired } = interpreter;
  process.stdout.write(
    `Whether Python reads the outputs was ${isRequired ? 'to be tested' : 'not tested'}: ${why}\n`,
  );
  process.exit(isRequired ? 1 : 0);
}

const tool = (name, parameter) => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: { [parameter]: { enum: [parameter, 1] } } } },
});
const call = (name) => ({ id: 'c1', type: 'function', function: { name, arguments: '{"a": 1}' } });
const user = (content) => ({ role: 'user', content });
const assistant = (content) => ({ role: 'assistant', content });
const result = (content) => ({ role: 'tool', tool_call_id: 'c1', content });

/** Chats, nulls, half of a surrogate pair; an earlier answer with reasoning. */
const CHATS = [
  { messages: [user('Hi \ud800 ✓ 日本'), assistant('Hello.')] },
  { messages: [user('a'), assistant('b'), user('c'), assistant('d')], topic: 'letters' },
  { messages: [user('Fail, please.'), assistant('No.')] },
];
/** Definitions with different parameters, calls as original answers, results of calls. */
const TOOLS = [
  { messages: [user('Tide?'), { ...assistant(null), tool_calls: [call('f')] }], tools: [tool('f', 'a')] },
  { messages: [user('Tide?'), assistant('No.')], tools: [tool('g', 'b'), tool('h', 'c')] },
  {
    messages: [
      user('Tide?'),
      { ...assistant(null), tool_calls: [call('f')] },
      result('04:12'),
      assistant('At four.'),
    ],
    tools: [tool('f', 'a')],
    score: 1.5,
  },
];
const plainRows = function* (count) {
  for (let row = 0; row < count; row++)
    yield { messages: [user(`${row} ${'word '.repeat(200)}`)], topic: null, score: row };
};

/** Each with its rows and flags; what is rare comes after ten megabytes in the last ones, and in later parts. */
const RUNS = {
  small: { rows: [...CHATS, ...TOOLS] },
  several: { rows: [...plainRows(3), ...CHATS, ...TOOLS], flags: ['--n', '2', '--include_metadata'] },
  'late-chats': { rows: [...plainRows(LATE), ...CHATS] },
  'in-parts': { rows: [...plainRows(3), ...CHATS, ...TOOLS], partRows: 2 },
  'late-tools': { rows: [...plainRows(LATE), ...CHATS, ...TOOLS], flags: ['--keep_columns', 'topic,score'] },
};

/** Answers with calls where there are tools, with reasoning where there were earlier turns; one row is refused. */
function answerTo({ tools, messages, n = 1 }) {
  const asked = messages.at(-1)?.content ?? '';
  const message = assistant(`Answer to ${asked.slice(0, 40)}`);
  if (tools !== undefined)
    Object.assign(message, { content: null, tool_calls: [call(tools[0].function.name)] });
  if (messages.length > 2) message.reasoning_content = 'Hm.';
  const finish = tools === undefined ? 'stop' : 'tool_calls';
  const choices = Array.from({ length: n }, (_, index) => ({ index, message, finish_reason: finish }));
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  return { id: 'x', object: 'chat.completion', model: 'm', choices, usage };
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{"messages":[]}');
    const fails = body.messages.at(-1)?.content === 'Fail, please.';
    response.statusCode = fails ? 400 : 200;
    response.setHeader('content-type', 'application/json');
    const error = { message: 'This prompt is refused.', type: 'invalid_request_error', code: null };
    response.end(JSON.stringify(fails ? { error } : answerTo(body)));
  });
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

const folder = mkdtempSync(join(tmpdir(), 'reannotate-consumers-'));

/**
 * The folder of a run's results; null where the run went wrong.
 * @param {string} name
 * @param {{rows: object[], flags?: string[], partRows?: number}} run
 */
async function annotate(name, { rows, flags = [], partRows }) {
  const data = join(folder, `${name}.jsonl`);
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const [saved, temp] = [join(folder, name), join(folder, 'temp', name)];
  const words = ['--dataset', data, '--annotator', 'gpt-4o-mini', '--output_format', FORMATS];
  words.push(...flags, '--save_dir', saved, '--temp_dir', temp);
  const commands = partRows === undefined ? [words] : inParts(words, rows.length, temp, partRows);
  for (const command of commands) {
    const { code, said } = await run(command);
    // One row fails on purpose.
    if (code === 0 || code === 3) continue;
    process.stdout.write(said);
    return null;
  }
  return join(saved, readdirSync(saved)[0] ?? '');
}

/**
 * The commands of a run in parts: a shard for each row, and parts of some rows.
 * @param {string[]} words
 * @param {number} rows
 * @param {string} temp
 * @param {number} partRows
 */
function inParts(words, rows, temp, partRows) {
  const runDir = join(temp, 'run');
  return [
    ['plan', ...words, '--shards', String(rows), '--run_name', 'run'],
    ['work', runDir],
    ['merge', runDir, '--part_rows', String(partRows)],
  ];
}

/** @param {string[]} words */
async function run(words) {
  const env = {
    ...process.env,
    OPENAI_API_KEY: 'none',
    OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
  };
  const child = spawn(process.execPath, ['dist/cli.js', ...words], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text) => (said += text));
  const [code] = await once(child, 'close');
  return { code, said };
}

let isGood = true;
try {
  const folders = [];
  for (const [name, wanted] of Object.entries(RUNS)) folders.push(await annotate(name, wanted));
  const whole = folders.filter((one) => one !== null);
  const check = spawnSync(interpreter.python, ['test/consumers/check.py', ...whole], {
    env: { ...process.env, HF_HUB_OFFLINE: '1', HF_DATASETS_CACHE: join(folder, 'cache'), TMPDIR: folder },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  isGood = whole.length === folders.length && check.status === 0;
} finally {
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(isGood ? 0 : 1);
