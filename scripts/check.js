// Runs every static check, as many at a time as there are cores, and prints what each one has to say when it ends.
// `node scripts/check.js NAME…` runs some of them.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

const CACHE = 'node_modules/.cache';

/** The slowest first. */
const STEPS = {
  types: [
    ...['tsc', '-p', 'tsconfig.check.json', '--incremental'],
    ...['--tsBuildInfoFile', `${CACHE}/types.tsbuildinfo`],
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

/** Runs one step; resolves to whether it passed. */
function run(name) {
  const started = performance.now();
  const [command, ...args] = STEPS[name];
  const child = spawn(`node_modules/.bin/${command}`, args, { shell: process.platform === 'win32' });
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

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(STEPS);
const unknown = names.filter((name) => !(name in STEPS));
if (unknown.length > 0) throw new Error(`no check is named ${unknown.join(', ')}`);
let next = 0;
const worker = async () => {
  let passed = true;
  while (next < names.length) passed = (await run(names[next++])) && passed;
  return passed;
};
const results = await Promise.all(Array.from({ length: availableParallelism() }, worker));
process.exitCode = results.every(Boolean) ? 0 : 1;
