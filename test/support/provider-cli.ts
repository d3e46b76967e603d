import { mkdirSync } from 'node:fs';
import type { BatchApiName } from '../../src/models/batch-terms.js';
import { basePathOf } from '../../src/simulator/providers/index.js';
import { foldersIn, runCli, startCli, type CliOptions, type Finished } from './cli.js';

/** A model of each provider that has batches. */
export const ANNOTATORS: Readonly<Record<BatchApiName, string>> = {
  openai: 'gpt-4o-mini',
  azure: 'azure/my-deployment',
  groq: 'groq/llama-3.3-70b-versatile',
  parasail: 'parasail/some-model',
  doubleword: 'doubleword/Qwen/Qwen3-30B-A3B',
  novita: 'novita/deepseek/deepseek-r1',
  together: 'together/meta-llama/Llama-3.3-70B-Instruct-Turbo',
  mistral: 'mistral/mistral-small-latest',
  anthropic: 'anthropic/claude-haiku-4-5',
  gemini: 'gemini/gemini-2.5-flash',
  xai: 'xai/grok-4',
  openrouter: 'openrouter/openai/gpt-4o',
  fireworks: 'fireworks/accounts/fireworks/models/llama-v3p1-8b-instruct',
};

export const PROVIDER_NAMES = Object.keys(ANNOTATORS) as BatchApiName[];

/** A run of a local file with one provider's API of a simulator. */
export interface ProviderRun {
  provider: BatchApiName;
  api: { url: string };
  dataset: string;
  folder: string;
}

function argumentsOf({ provider, api, dataset, folder }: ProviderRun): string[] {
  mkdirSync(folder, { recursive: true });
  const address = `${api.url}${basePathOf(provider)}`;
  const annotator = ANNOTATORS[provider];
  return ['--annotator', annotator, '--dataset', dataset, '--base_url', address, ...foldersIn(folder)];
}

function environment(provider: BatchApiName, more: NodeJS.ProcessEnv = {}): Record<string, string> {
  const variable = `${provider.toUpperCase()}_API_KEY`;
  return { [variable]: 'key-for-the-simulator-0123456789', ...(more as Record<string, string>) };
}

function submitting(run: ProviderRun, more: string[], options: CliOptions): [string[], CliOptions] {
  const env = environment(run.provider, options.env);
  return [[...argumentsOf(run), ...more], { cwd: run.folder, ...options, env }];
}

function watching(run: ProviderRun, more: string[], options: CliOptions): [string[], CliOptions] {
  const [words, rest] = submitting(run, ['--check_interval', '0.05', ...more], options);
  return [words, { ...rest, program: 'watch-batch' }];
}

/** `reannotate`, with `--batch` among the flags or without. */
export function runWith(run: ProviderRun, more: string[] = [], options: CliOptions = {}): Promise<Finished> {
  return runCli(...submitting(run, more, options));
}

/** `watch-batch` until it ends. */
export function watchWith(
  run: ProviderRun,
  more: string[] = [],
  options: CliOptions = {},
): Promise<Finished> {
  return runCli(...watching(run, more, options));
}

/** The same as a process that a test may kill. */
export function startWith(
  run: ProviderRun,
  program: 'reannotate' | 'watch-batch',
  more: string[] = [],
  options: CliOptions = {},
): ReturnType<typeof startCli> {
  return startCli(...(program === 'reannotate' ? submitting : watching)(run, more, options));
}
