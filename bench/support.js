// What the benchmarks share: processes of their own, with what the system says they used.
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Rows of an environment variable, or the default. */
export function size(name, otherwise) {
  const value = Number(process.env[name] ?? otherwise);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} takes a whole number`);
  return value;
}

/** Runs a script and returns its CPU seconds, peak memory in MB and wall seconds, as the process itself saw them. */
export async function measure(args, env = {}) {
  const report = `${tmpdir()}/reannotate-usage-${process.pid}-${Math.random().toString(36).slice(2)}.json`;
  // On Linux a new process inherits the peak of the one that started it, but for the figure of its own address space.
  const hook = `
    import { existsSync, readFileSync, writeFileSync } from 'node:fs';
    process.on('exit', () => {
      const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
      const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
      const peak = Number(/VmHWM:\\s+(\\d+)/.exec(status)?.[1] ?? maxRSS);
      const usage = { cpu: (userCPUTime + systemCPUTime) / 1e6, memory: (peak * 1024) / 1e6 };
      writeFileSync(${JSON.stringify(report)}, JSON.stringify(usage));
    });`;
  const started = performance.now();
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(hook)}`, ...args],
    {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  let stderr = '';
  child.stderr.on('data', (text) => (stderr += text));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr.slice(-500)}`);
  return { ...JSON.parse(readFileSync(report, 'utf8')), wall: (performance.now() - started) / 1000, stderr };
}

/** Runs a system command and returns its CPU seconds, as the shell's `times` tells them. */
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
  const times = output
    .trim()
    .split('\n')
    .at(-1)
    .match(/(\d+)m([\d.]+)s/g);
  const cpu = times.reduce((sum, time) => {
    const [, minutes, seconds] = /(\d+)m([\d.]+)s/.exec(time);
    return sum + Number(minutes) * 60 + Number(seconds);
  }, 0);
  return { cpu };
}

/** Runs the program below a folder. */
export function measureCli(folder, dataset, url, more = []) {
  const folders = ['--save_dir', `${folder}/saved`, '--temp_dir', `${folder}/temp`];
  const env = { OPENAI_API_KEY: 'benchmark', OPENAI_BASE_URL: `${url}/v1` };
  return measure([CLI, '--annotator', 'gpt-4o-mini', '--dataset', dataset, ...folders, ...more], env);
}

/** A server without latency, in a process of its own. */
export async function startServer() {
  const script = fileURLToPath(new URL('server.js', import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [url] = await once(child.stdout.setEncoding('utf8'), 'data');
  return { url: url.trim(), stop: () => child.kill() };
}

/** Alpaca rows of about so many bytes each, as JSON Lines. */
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
  const words = (count, salt) =>
    Array.from({ length: count }, (_, word) =>
      ((index * 7919 + word * 104729 + salt) % 1e6).toString(36),
    ).join(' ');
  const part = Math.floor(bytes / 5 / 3);
  return { instruction: `${index} ${words(part, 1)}`, input: words(part, 2), output: words(part, 3) };
}

export function megabytes(value) {
  return `${Math.round(value)} MB`;
}
