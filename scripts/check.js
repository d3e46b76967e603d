// Runs every static check, one per core at a time, and prints the output of each one when it ends.
// `node scripts/check.js NAME…` runs some of them; with --build, the build runs in parallel.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

const CACHE = 'node_modules/.cache';

/** The slowest first. */
const STEPS = {
  types: [
    ...['tsc', '-p', 'tsconfig.check.json', '--incremental'],
    ...['--tsBuildInfoFile', `${CACHE}/types.tsbuildinfo`],
  ],
  'script types': [
    ...['tsc', '-p', 'tsconfig.js.json', '--incremental'],
    ...['--tsBuildInfoFile', `${CACHE}/script-types.tsbuildinfo`],
  ],
  'page types': [
    ...['tsc', '-p', 'tsconfig.page.json', '--incremental'],
    ...['--tsBuildInfoFile', `${CACHE}/page-types.tsbuildinfo`],
  ],
  lint: ['oxlint'],
  unused: ['knip'],
  format: [
    'prettier',
    '--check',
    '.',
    '--log-level',
    'warn',
    '--cache',
    '--cache-location',
    `${CACHE}/prettier-cache`,
  ],
};

/** Not a check. No check needs its output, so it can run in parallel. */
const BUILD = 'build';

function start(name) {
  if (name === BUILD) return spawn(process.execPath, ['scripts/build.js']);
  const [command, ...args] = STEPS[name];
  return spawn(`node_modules/.bin/${command}`, args, { shell: process.platform === 'win32' });
}

/** Runs one step; resolves to whether it passed. */
function run(name) {
  const started = performance.now();
  const child = start(name);
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  return new Promise((resolve) => {
    child.on('error', (error) => (output += `${error.message}\n`));
    child.on('close', (code) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      process.stdout.write(`${code === 0 ? '✓' : '✗'} ${name} (${seconds} s)\n${output}`);
      resolve(code === 0);
    });
  });
}

const wanted = process.argv.slice(2).filter((word) => word !== '--build');
const unknown = wanted.filter((name) => !(name in STEPS));
if (unknown.length > 0) throw new Error(`no check is named ${unknown.join(', ')}`);
const names = wanted.length > 0 ? wanted : Object.keys(STEPS);
if (process.argv.includes('--build')) names.unshift(BUILD);
let next = 0;
const worker = async () => {
  let passed = true;
  while (next < names.length) passed = (await run(names[next++])) && passed;
  return passed;
};
const results = await Promise.all(Array.from({ length: availableParallelism() }, worker));
process.exitCode = results.every(Boolean) ? 0 : 1;
