// What the benchmarks share: separate processes, with what the system says they used.
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The built command. */
export const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Rows of an environment variable, or the default. */
export function size(name, otherwise) {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} takes a whole number`);
  return value;
}

/** Runs a script and returns its CPU seconds (in all, and without the kernel's part), peak memory in MB and wall seconds, as the process itself saw them. */
export async function measure(args, env = {}) {
  const report = `${tmpdir()}/reannotate-usage-${process.pid}-${Math.random().toString(36).slice(2)}.json`;
  // On Linux a new process inherits the peak of the one that started it, except in the figure of its own address space.
  const hook = `
    import { existsSync, readFileSync, writeFileSync } from 'node:fs';
    process.on('exit', () => {
      const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
      const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
      const peak = Number(/VmHWM:\\s+(\\d+)/.exec(status)?.[1] ?? maxRSS);
      const memory = (peak * 1024) / 1e6;
      const usage = { cpu: (userCPUTime + systemCPUTime) / 1e6, user: userCPUTime / 1e6, memory };
      writeFileSync(${JSON.stringify(report)}, JSON.stringify(usage));
    });`;
  const started = performance.now();
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, ...args],
    {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr.slice(-500)}`);
  const usage = JSON.parse(readFileSync(report, 'utf8'));
  rmSync(report);
  return { ...usage, wall: (performance.now() - started) / 1000, stdout, stderr };
}

/** Runs a system command and returns its CPU seconds, as the shell's `times` prints them. */
export async function measureCommand(command, args) {
  const script = '"$@" > /dev/null; times';
  const child = spawn('bash', ['-c', script, 'bash', command, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  // The second line is that of the commands that were run: "0m0.004s 0m0.120s".
  const times = output.trim().split('\n').at(-1) ?? '';
  let cpu = 0;
  for (const [, minutes, seconds] of times.matchAll(/(\d+)m([\d.]+)s/g))
    cpu += Number(minutes) * 60 + Number(seconds);
  return { cpu };
}

/** Runs a step of `steps.js`. */
export function measureStep(step, folder, rows, more = []) {
  return measure([fileURLToPath(new URL('steps.js', import.meta.url)), step, folder, String(rows), ...more]);
}

/** A result row of two times in seconds. */
export function compared(figure, used, baseline, name) {
  return {
    figure,
    value: `${used.toFixed(2)} s`,
    baseline: `${baseline.toFixed(2)} s (${name})`,
    ratio: (used / baseline).toFixed(2),
  };
}

/** Runs the program below a folder. */
export function measureCli(folder, dataset, url, more = [], env = {}) {
  return measure([...cliArguments(folder, dataset), ...more], { ...cliEnvironment(url), ...env });
}

/** What starts a run below a folder. */
export function cliArguments(folder, dataset) {
  const folders = ['--save_dir', `${folder}/saved`, '--temp_dir', `${folder}/temp`];
  return [CLI, '--annotator', 'gpt-4o-mini', '--dataset', dataset, ...folders];
}

/** The environment in which it sends its requests to a local server. */
export function cliEnvironment(url) {
  return { OPENAI_API_KEY: 'benchmark', OPENAI_BASE_URL: `${url}/v1` };
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/**
 * Starts a server on a free port, with room for thousands of new connections.
 * @param {import('node:net').Server} server
 * @returns its address
 */
export async function listen(server) {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 });
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return `http://127.0.0.1:${port}`;
}

/** A server without latency, in a separate process. */
export async function startServer() {
  const script = fileURLToPath(new URL('server.js', import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [url] = await once(child.stdout.setEncoding('utf8'), 'data');
  return { url: url.trim(), stop: () => child.kill() };
}

/** Alpaca rows of about `bytes` each, as JSON Lines. */
export async function writeRows(path, rows, bytes) {
  const file = createWriteStream(path);
  for (let index = 0; index < rows; index++) {
    if (!file.write(`${JSON.stringify(alpacaRow(index, bytes))}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'close');
}

/** A row of words, different for every index. */
export function alpacaRow(index, bytes) {
  const part = Math.floor(bytes / 5 / 3);
  const [instruction, input, output] = [1, 2, 3].map((salt) => words(part, index * 7919 + salt));
  return { instruction: `${index} ${instruction}`, input, output };
}

/** Words, in lines and with a quotation here and there, as answers have them. */
export function words(count, salt) {
  return Array.from({ length: count }, (_, word) => {
    const after = word % 19 === 18 ? '\n' : word % 61 === 60 ? ' "so" ' : ' ';
    return ((salt + word * 104729) % 1e6).toString(36) + after;
  }).join('');
}

/** A chat completion as OpenAI's API writes it. */
export function answer(content, number) {
  return {
    id: `chatcmpl-${number}`,
    object: 'chat.completion',
    created: 1764000000,
    model: 'gpt-4o-mini-2024-07-18',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: {
      prompt_tokens: 250 + (number % 100),
      completion_tokens: 200 + (number % 90),
      total_tokens: 450 + (number % 100) + (number % 90),
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: 0,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0,
      },
    },
    service_tier: 'default',
    system_fingerprint: 'fp_560af6e559',
  };
}

export function megabytes(value) {
  return `${Math.round(value)} MB`;
}
