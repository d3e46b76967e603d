/** `reannotate demo`: the main job on bundled data, online or in batches, over real HTTP against the embedded simulator. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wholeDataset } from '../datasets/selection.js';
import type { OutputFormat } from '../exports/index.js';
import { DEFAULT_JUDGE, DEFAULT_SAMPLE, DEFAULT_SAMPLE_SEED } from '../judge/defaults.js';
import { judgeOptions } from '../judge/options.js';
import { EXIT } from '../lib/errors.js';
import { resolveAnnotator, type Annotator } from '../models/annotators.js';
import { DEFAULT_LIMITS } from '../models/call.js';
import { chooseGeneration } from '../models/generation.js';
import { packageFile } from '../lib/package.js';
import { readEnvironment } from '../run/environment.js';
import { fallbackOf } from '../run/fallback.js';
import { runFolder, runName } from '../run/folder.js';
import {
  DEFAULT_OUTPUT,
  DEFAULT_POLICY,
  type Environment,
  type RunPolicy,
  type RunSettings,
} from '../run/settings.js';
import { Redactor } from '../secrets/redactor.js';
import { basePathOf } from '../simulator/providers/index.js';
import type { SimulatorOptions } from '../simulator/options.js';
import { startSimulator } from '../simulator/server.js';
import { shellWord } from '../lib/text.js';
import { DEFAULT_ERROR_FILE, DEFAULT_OUTPUT_FILE, type WatchOptions } from '../session/watch-options.js';
import { reannotate } from './reannotate.js';
import type { CommandContext } from '../session/command-context.js';
import { DEMO_DATASET } from '../types.js';

/** The bundled dataset's name on the simulated Hub. */
const ANNOTATOR = 'gpt-4o-mini';
/** No secret: the simulator takes any key. */
const KEY = 'simulator';
/** What `--decontaminate` calls the evaluation set that comes with the demo. */
const BENCHMARK = 'benchmark';
/** Three batches of the bundled rows. */
const BATCH_SIZE = 50;
/** Share of rows that the model refuses if there is a fallback annotator. */
const REFUSED_SHARE = 0.1;
/** Few enough tokens that some answers are truncated. */
const SHORT_ANSWERS = 50;
/** Rows that annotators are compared on. */
const COMPARED_ROWS = 30;
/** Long enough to see batches make progress. */
const BATCH_MS = 3000;
const CHECK_INTERVAL_MS = 1000;

/** What `reannotate demo` is to do. */
export interface DemoRequest {
  /** Whose API is simulated; null for OpenAI's. */
  annotator: string | null;
  /** True for batches, false for single requests. */
  batch: boolean;
  /** True to have the answers judged as well. */
  judge: boolean;
  /** True to have several annotators compared instead. */
  compare: boolean;
  /** True for a model that thinks. */
  reasoning: boolean;
  saveDir: string;
  tempDir: string;
  formats: readonly OutputFormat[];
  /** Rules for rows to leave out; null for none. */
  drop: readonly string[] | null;
  /** Evaluation sets whose prompts are left out; null for none. */
  decontaminate: readonly string[] | null;
  /** Settings that save money, or send rows again. */
  policy: Pick<RunPolicy, 'reuse' | 'dedupe' | 'escalateTruncated' | 'fallback' | 'offPeak'>;
  /** Where the results are pushed to; null for nowhere. */
  repository: string | null;
}

/** What a demo works with. */
interface Demo {
  request: DemoRequest;
  annotator: Annotator;
  /** Where the simulator has the provider's API; null where the environment says it. */
  baseUrl: string | null;
  environment: Environment;
  context: CommandContext;
}

/** Runs the demo and returns its exit code. */
export async function demo(request: DemoRequest, context: CommandContext): Promise<number> {
  const annotator = resolveAnnotator(request.annotator ?? ANNOTATOR, false);
  const examples = examplesFor(request.policy.dedupe);
  const simulator = await startSimulator(simulated(request, annotator, examples.path));
  const { providerName } = annotator;
  const work: Demo = {
    request,
    annotator,
    baseUrl: providerName === 'openai' ? null : `${simulator.url}${basePathOf(providerName)}`,
    environment: environmentAt(simulator.url, annotator),
    context: { ...context, resumeCommand: resumeCommandOf(request) },
  };
  try {
    context.console.info(`Using a local simulator at ${simulator.url}: no key, no network, no cost.`);
    if (request.compare) return await compareAnnotators(work);
    let exitCode = request.batch ? await runInBatches(work) : await runOnline(work);
    if (request.judge && exitCode === EXIT.done) exitCode = await judgeAnswers(work);
    context.console.print(nextSteps(request, annotator));
    return exitCode;
  } finally {
    await simulator.close();
    examples.remove();
  }
}

/** What the simulator serves. */
function simulated(request: DemoRequest, annotator: Annotator, dataset: string): SimulatorOptions {
  const isMadeUp = request.compare || request.policy.escalateTruncated !== null;
  return {
    // Recorded answers are complete and by one annotator; all others are generated.
    answersFile: isMadeUp ? null : packageFile('datasets/examples/answers.jsonl'),
    refusals: refusalsOf(request, annotator),
    datasets: { [DEMO_DATASET]: dataset },
    latencyMs: 20,
    reasoning: request.reasoning ? 'reasoning_content' : null,
    hubUser: request.repository?.split('/')[0],
    batchValidationMs: 500,
    batchDurationMs: BATCH_MS,
    // The demo also shows what can go wrong with batches.
    batchPlans: [[], ['row_errors'], ['expire']],
  };
}

/** The environment that leads to the simulator. */
function environmentAt(url: string, { provider }: Annotator): Environment {
  const variables = {
    [provider.apiKeyVariable]: KEY,
    OPENAI_API_KEY: KEY,
    OPENAI_BASE_URL: `${url}/v1`,
    HF_DATASETS_SERVER_URL: url,
    HF_ENDPOINT: url,
    HF_TOKEN: KEY,
  };
  return readEnvironment(variables, new Redactor(), { apiKeyVariable: null, baseUrl: null });
}

function resumeCommandOf({ annotator, batch, judge, compare, reasoning }: DemoRequest): string {
  return [
    'npx reannotate demo',
    ...(annotator === null ? [] : ['--annotator', shellWord(annotator)]),
    ...(batch ? ['--batch'] : []),
    ...(judge ? ['--judge'] : []),
    ...(compare ? ['--compare'] : []),
    ...(reasoning ? ['--reasoning'] : []),
  ].join(' ');
}

/** Where the results are, and what to try next. */
function nextSteps({ judge, saveDir, tempDir }: DemoRequest, { name }: Annotator): string {
  const { config } = runFolder(saveDir, tempDir, runName(DEMO_DATASET, name));
  return [
    `Settings: ${config}`,
    ...(judge ? [] : ['', 'Have another model judge which answers are better: npx reannotate demo --judge']),
    '',
    'Next, a real run:',
    '  export OPENAI_API_KEY=…',
    '  npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --limit 100 --dry_run',
  ].join('\n');
}

/** The share of rows that each model refuses, for a fallback annotator or a comparison. */
function refusalsOf(
  { compare: isCompared, policy }: DemoRequest,
  annotator: Annotator,
): Record<string, number> {
  if (isCompared) return { [ANNOTATOR]: 0.05 };
  return fallbackOf(policy) === null ? {} : { [annotator.model]: REFUSED_SHARE };
}

/** The bundled rows, each of them twice to show `--dedupe`. */
function examplesFor(isDoubled: boolean): { path: string; remove: () => void } {
  const path = packageFile('datasets/examples/instructions.jsonl');
  if (!isDoubled) return { path, remove: () => undefined };
  const folder = mkdtempSync(join(tmpdir(), 'reannotate-demo-'));
  const doubled = join(folder, 'instructions.jsonl');
  const rows = readFileSync(path, 'utf8');
  writeFileSync(doubled, `${rows}${rows}`);
  return {
    path: doubled,
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The run of both. A demo starts over each time; what an earlier one left is moved aside, as --overwrite does. */
function settingsOf(
  { request, annotator, baseUrl, environment }: Demo,
  policy: Partial<RunPolicy>,
): RunSettings {
  const { saveDir, tempDir, formats, drop, repository } = request;
  const decontaminate = request.decontaminate?.map(evaluationSet) ?? null;
  const shortened = new Set(request.policy.escalateTruncated === null ? [] : ['max_tokens']);
  return {
    selection: wholeDataset(DEMO_DATASET),
    call: {
      annotator,
      baseUrl,
      apiKeyVariable: null,
      servers: null,
      ...chooseGeneration({ max_tokens: SHORT_ANSWERS }, shortened, annotator.takesSeed),
      acceptFinishReason: [],
      limits: DEFAULT_LIMITS,
      environment,
    },
    output: { ...DEFAULT_OUTPUT, saveDir, tempDir, formats, drop, decontaminate },
    policy: { ...DEFAULT_POLICY, ...request.policy, ...policy },
    push: repository === null ? null : { repository, private: false, yes: false, allowSecrets: false },
    notify: null,
    loggingLevel: 'info',
    environment,
    recorded: {},
  };
}

/** The file of an evaluation set: the bundled one by its name, unless there is a file of that name. */
function evaluationSet(name: string): string {
  return name === BENCHMARK && !existsSync(name) ? packageFile('datasets/examples/benchmark.jsonl') : name;
}

function runOnline(work: Demo): Promise<number> {
  return reannotate(settingsOf(work, { earlier: 'overwrite' }), work.context);
}

/** The simulator has an opinion as well. */
async function judgeAnswers(work: Demo): Promise<number> {
  const { judge } = await import('./judge.js');
  work.context.console.info('A simulated judge, which mostly prefers the longer answer, compares a sample:');
  const { output, call } = settingsOf(work, {});
  const options = judgeOptions({
    dataset: DEMO_DATASET,
    judged: work.annotator.name,
    judge: resolveAnnotator(DEFAULT_JUDGE, false, 'judge'),
    ...{ baseUrl: null, apiKeyVariable: null, servers: null, acceptFinishReason: [], maxTokens: undefined },
    ...{ limits: call.limits, output, maxCost: null },
    ...{ sample: DEFAULT_SAMPLE, seed: DEFAULT_SAMPLE_SEED, promptsFile: null, dryRun: false },
    loggingLevel: 'info',
    environment: work.environment,
  });
  return judge(options, work.context);
}

/** Three annotators on a sample. A demo that was run before has nothing left to send. */
async function compareAnnotators(work: Demo): Promise<number> {
  const { compare } = await import('./compare.js');
  const contestants = [ANNOTATOR, 'gpt-4.1-mini', 'gpt-4-turbo'].map((name) =>
    settingsOf({ ...work, annotator: resolveAnnotator(name, false) }, {}),
  );
  const comparison = {
    contestants,
    judge: resolveAnnotator(DEFAULT_JUDGE, false, 'judge'),
    promptsFile: null,
  };
  const size = { sample: COMPARED_ROWS, sampleSeed: DEFAULT_SAMPLE_SEED };
  return compare({ ...comparison, ...size, run: null, dryRun: false }, work.context);
}

async function runInBatches(work: Demo): Promise<number> {
  const { console, interruption } = work.context;
  const batches = { batch: true, maxBatchSize: BATCH_SIZE };
  const submitted = await reannotate(settingsOf(work, { ...batches, earlier: 'overwrite' }), work.context);
  if (submitted !== EXIT.done || interruption.soft.aborted) return submitted;
  console.info('That is the command for a real run; the demo runs it for you, polling every second.');
  const { watchBatch } = await import('./watch-batch.js');
  const { saveDir, tempDir } = work.request;
  const { save } = runFolder(saveDir, tempDir, runName(DEMO_DATASET, work.annotator.name));
  const watching: WatchOptions = {
    run: settingsOf(work, { ...batches, earlier: 'resume' }),
    batchIds: null,
    batchObjectsFile: null,
    checkInterval: CHECK_INTERVAL_MS,
    outputFile: join(save, DEFAULT_OUTPUT_FILE),
    errorFile: join(save, DEFAULT_ERROR_FILE),
    then: 'retry_failed',
    serviceTier: null,
    recover: false,
    results: null,
    giveUp: [],
    graph: true,
    cancel: false,
    yes: false,
  };
  return watchBatch(watching, work.context);
}
