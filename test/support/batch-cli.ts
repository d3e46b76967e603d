import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Simulator } from '../../src/simulator/server.js';
import { foldersIn, pointingAt, runCli, startCli, wordsOf, type CliOptions, type Finished } from './cli.js';

/** Fast enough for a test; users wait a minute. */
const INTERVAL = ['--check_interval', '0.05'];

/** The flags of a batch run of a local file, in its own folders. */
export function batchArguments(dataset: string, folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  return ['--annotator', 'gpt-4o-mini', '--dataset', dataset, ...foldersIn(folder)];
}

/** `reannotate --batch` against a simulator. */
export function submit(
  api: Simulator | { url: string },
  dataset: string,
  folder: string,
  more: string[] = [],
  options: CliOptions = {},
): Promise<Finished> {
  return runCli([...batchArguments(dataset, folder), '--batch', ...more], {
    cwd: folder,
    ...options,
    env: { ...pointingAt(api), ...options.env },
  });
}

/** The arguments and the environment of a watch of the same run. */
function watching(
  api: Simulator | { url: string },
  dataset: string,
  folder: string,
  more: string[],
  options: CliOptions,
): [string[], CliOptions] {
  return [
    [...batchArguments(dataset, folder), ...INTERVAL, ...more],
    { cwd: folder, ...options, program: 'watch-batch', env: { ...pointingAt(api), ...options.env } },
  ];
}

/** `watch-batch` against a simulator, until it ends. */
export function watch(
  api: Simulator | { url: string },
  dataset: string,
  folder: string,
  more: string[] = [],
  options: CliOptions = {},
): Promise<Finished> {
  return runCli(...watching(api, dataset, folder, more, options));
}

/** The same, as a process that a test may kill. */
export function startWatch(
  api: Simulator | { url: string },
  dataset: string,
  folder: string,
  more: string[] = [],
  options: CliOptions = {},
): ReturnType<typeof startCli> {
  return startCli(...watching(api, dataset, folder, more, options));
}

/** Runs a `watch-batch` line that `reannotate --batch` printed, as if it was pasted. */
export function paste(line: string, api: Simulator | { url: string }, cwd: string): Promise<Finished> {
  const [npx, program, ...words] = wordsOf(line.trim());
  if (npx !== 'npx' || program !== 'watch-batch') throw new Error(`not a watch-batch command: ${line}`);
  return runCli([...words, ...INTERVAL], { cwd, program, env: pointingAt(api) });
}

/** The ids that the last line of a submission's stdout names. */
export function idsOf({ stdout }: Finished): string[] {
  const words = wordsOf(stdout.trim().split('\n').at(-1) ?? '');
  return (words[words.indexOf('--batch_ids') + 1] ?? '').split(',');
}

/** The online result of the same rows, for comparison. */
export function online(api: Simulator | { url: string }, dataset: string, folder: string): Promise<Finished> {
  return runCli(batchArguments(dataset, join(folder, 'online')), { env: pointingAt(api) });
}

/** The environment in which minutes of a watch's patience take about a second. */
export function impatient(factor = 600): Record<string, string> {
  const preload = fileURLToPath(new URL('./fast-clock-preload.js', import.meta.url));
  return { NODE_OPTIONS: `--import=${preload}`, CLOCK_FACTOR: String(factor) };
}
