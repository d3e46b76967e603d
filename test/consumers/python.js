// The interpreter that test:consumers runs, with the packages of requirements.txt: one that has them, or a virtual environment.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** What CONSUMERS says: without it, packages are used where they are. */
const MODES = {
  /** Installs them where that is quick, as `.ci/run` does; otherwise the check is skipped. */
  auto: { seconds: 90, isRequired: false },
  /** Installs them, and fails where that does not work. */
  1: { seconds: 1_200, isRequired: true },
};
const REQUIREMENTS = new URL('requirements.txt', import.meta.url).pathname;
const IMPORTS = 'import datasets, pandas, polars, pyarrow, transformers, trl.data_utils';

/**
 * @typedef {{ python: string }} Found an interpreter
 * @typedef {{ python?: undefined, why: string, isRequired: boolean }} Missing why there is none
 */

/**
 * @param {NodeJS.ProcessEnv} variables
 * @returns {Found | Missing}
 */
export function findPython({ PYTHON: given, CONSUMERS: wanted } = process.env) {
  const python = given ?? 'python3';
  if (hasPackages(python)) return { python };
  const mode = wanted === 'auto' || wanted === '1' ? MODES[wanted] : undefined;
  const lacks = `${python} lacks packages of test/consumers/requirements.txt (PYTHON names another interpreter`;
  if (mode === undefined) return { why: `${lacks}, CONSUMERS=1 installs them).`, isRequired: false };
  const installed = install(python, mode.seconds);
  return typeof installed === 'string'
    ? { python: installed }
    : { ...installed, isRequired: mode.isRequired };
}

/** @param {string} python */
function hasPackages(python) {
  return spawnSync(python, ['-c', IMPORTS], { stdio: 'ignore' }).status === 0;
}

/**
 * The interpreter of an environment that is made once for each set of requirements and version of Python.
 * @param {string} base
 * @param {number} seconds
 * @returns {string | { why: string }}
 */
function install(base, seconds) {
  const version = spawnSync(base, ['-VV'], { encoding: 'utf8' });
  if (version.status !== 0) return { why: `${base} does not run.` };
  const key = createHash('sha256').update(version.stdout).update(readFileSync(REQUIREMENTS)).digest('hex');
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(cache, 'reannotate-tests', `python-${key.slice(0, 16)}`);
  const python = join(folder, 'bin', 'python');
  const isWhole = join(folder, 'installed');
  if (existsSync(isWhole) && hasPackages(python)) return python;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const deadline = Date.now() + seconds * 1000;
  // Wheels alone: nothing is built. What is imported compiles itself, which is less than everything.
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-compile', '--only-binary', ':all:'];
  pip.push('--disable-pip-version-check', '--no-input', '--timeout', '10', '--retries', '1');
  const problem =
    run(base, ['-m', 'venv', folder], deadline) ??
    run(python, [...pip, '-r', REQUIREMENTS], deadline) ??
    // TRL asks for PyTorch, which its data utilities do not need.
    run(python, [...pip, '--no-deps', 'trl'], deadline);
  if (problem === null) {
    writeFileSync(isWhole, '');
    return hasPackages(python) ? python : { why: 'the installed packages cannot be imported.' };
  }
  rmSync(folder, { recursive: true, force: true });
  return { why: `${problem} (within ${seconds} s).` };
}

/**
 * Null where a program ends well before the deadline, in milliseconds; otherwise what happened.
 * @param {string} program
 * @param {string[]} words
 * @param {number} deadline
 */
function run(program, words, deadline) {
  const timeout = Math.max(1, deadline - Date.now());
  const { status, stderr, error } = spawnSync(program, words, {
    encoding: 'utf8',
    timeout,
    killSignal: 'SIGKILL',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status === 0) return null;
  const step = words.includes('venv') ? 'making a virtual environment' : 'installing packages';
  if (error !== undefined && 'code' in error && error.code === 'ETIMEDOUT') return `${step} took too long`;
  const lines = (stderr || '').trim().split('\n');
  const said = (lines.find((line) => line.startsWith('ERROR')) ?? lines.at(-1) ?? '').slice(0, 200);
  return `${step} failed: ${said === '' ? (error?.message ?? `exit ${status}`) : said}`;
}
