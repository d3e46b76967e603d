import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { startSimulator, type Simulator } from '../../src/simulator/server.js';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import { runWarm, type Order } from './warm-program.js';

const programs = {
  reannotate: fileURLToPath(new URL('../../dist/cli.js', import.meta.url)),
  'watch-batch': fileURLToPath(new URL('../../dist/watch-batch.js', import.meta.url)),
};

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  env?: Record<string, string | undefined>;
  cwd?: string;
  program?: keyof typeof programs;
  /** True where it matters that the process is a new one. */
  isNewProcess?: boolean;
}

/** What the program is started with: nothing of this machine's environment but the path and where temporary files go. */
function orderOf(args: string[], options: CliOptions): Order {
  const { PATH, TMPDIR } = process.env;
  const env = { PATH, TMPDIR, HOME: '/nonexistent', ...options.env };
  const given = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const program = programs[options.program ?? 'reannotate'];
  return { program, args, env: Object.fromEntries(given), cwd: options.cwd ?? temporaryFolder() };
}

/** The built program as a separate process, which a test may signal. */
export function startCli(
  args: string[],
  options: CliOptions = {},
): { child: ChildProcessWithoutNullStreams; finished: Promise<Finished> } {
  const { program, env, cwd } = orderOf(args, options);
  const child = spawn(process.execPath, [program, ...args], { env, cwd });
  const finished = new Promise<Finished>((resolve) => {
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
  return { child, finished };
}

/** The built program until it ends by itself; mostly in a process that has run it before. */
export async function runCli(args: string[], options: CliOptions = {}): Promise<Finished> {
  const warm = options.isNewProcess === true ? null : runWarm(orderOf(args, options));
  return warm ?? startCli(args, options).finished;
}

/** The words of a command line that the program printed, without the quotes of its shell. */
export function wordsOf(commandLine: string): string[] {
  return [...commandLine.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replaceAll("'\\''", "'"),
  );
}

/** A folder that goes away with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'reannotate-test-'));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** A simulator that stops with the test. */
export async function simulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const started = await startSimulator(options);
  onTestFinished(() => started.close());
  return started;
}

/** The environment that leads the program to a simulator. */
export function pointingAt(
  { url }: { url: string },
  more: Record<string, string> = {},
): Record<string, string> {
  return {
    OPENAI_BASE_URL: `${url}/v1`,
    OPENAI_API_KEY: 'sk-test-key-0001',
    HF_DATASETS_SERVER_URL: url,
    HF_ENDPOINT: url,
    ...more,
  };
}

/** `--resume` if a run below a folder has started; without one there is nothing to resume, which is an error. */
export function resuming(folder: string): string[] {
  const hasBegun = ['saved', 'temp'].some(
    (parent) => existsSync(join(folder, parent)) && readdirSync(join(folder, parent)).length > 0,
  );
  return hasBegun ? ['--resume'] : [];
}

/** The flags that put a run's folders below one folder. */
export function foldersIn(folder: string): string[] {
  return ['--save_dir', join(folder, 'saved'), '--temp_dir', join(folder, 'temp')];
}

export interface ResultRow {
  system_prompt: string;
  user_prompt: string | null;
  annotation_original: string | null;
  annotation: string | null;
  reasoning?: string | null;
  annotations?: (string | null)[];
  request_messages?: { role: string; content: string }[] | null;
  metadata?: Record<string, unknown>;
}

/** The files of the only run below a folder. */
export function resultsIn(folder: string): {
  rows: () => ResultRow[];
  bytes: () => string;
  summary: () => {
    rows: Record<string, number>;
    requests: Record<string, number>;
    tokens: Record<string, number>;
    cost_usd: number | null;
    models: Record<string, number>;
    mode: string;
  };
  saved: (name: string) => string;
  temp: (name: string) => string;
  lines: (name: string) => unknown[];
} {
  const only = (parent: string): string => {
    const names = readdirSync(join(folder, parent)).filter((name) => !/\.\d{4}-\d\d-\d\dT/.test(name));
    if (names.length !== 1) throw new Error(`expected one run in ${parent}, found ${names.join(', ')}`);
    return join(folder, parent, names[0] ?? '');
  };
  const saved = (name: string): string => join(only('saved'), name);
  const temp = (name: string): string => join(only('temp'), name);
  const read = (path: string): string => readFileSync(path, 'utf8');
  return {
    saved,
    temp,
    bytes: () => read(saved('reannotated.json')),
    rows: () => JSON.parse(read(saved('reannotated.json'))) as ResultRow[],
    summary: () =>
      JSON.parse(read(saved('summary.json'))) as ReturnType<ReturnType<typeof resultsIn>['summary']>,
    lines: (name) =>
      read(name === 'failed_rows.jsonl' ? saved(name) : temp(name))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as unknown),
  };
}
