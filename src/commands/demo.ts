/** `reannotate demo`: the main job on bundled data, online or in batches, over real HTTP against the embedded simulator. */

import { join } from 'node:path';
import { EXIT } from '../lib/errors.js';
import type { Interruption } from '../terminal/interruption.js';
import {
  DEFAULT_SAVE_DIR,
  DEFAULT_TEMP_DIR,
  FlagReader,
  parseRunOptions,
  type RawFlags,
} from '../cli/options.js';
import { packageFile } from '../lib/package.js';
import { checkRepositoryName } from '../publishing/repository-name.js';
import type { Console } from '../terminal/progress.js';
import { runFolder, runName } from '../run/folder.js';
import { startSimulator } from '../simulator/server.js';
import { shellWord } from '../lib/text.js';
import { DEFAULT_ERROR_FILE, DEFAULT_OUTPUT_FILE, parseWatchOptions } from '../cli/watch-options.js';
import { reannotate } from './reannotate.js';
import type { Surroundings } from '../session/surroundings.js';

/** The bundled dataset's name on the simulated Hub. */
const DATASET = 'reannotate/examples';
const ANNOTATOR = 'gpt-4o-mini';
/** No secret: the simulator takes any key. */
const KEY = 'simulator';
/** Three batches of the bundled rows. */
const BATCH_SIZE = '50';
/** Long enough to see batches go on. */
const BATCH_MS = 3000;

/** What a demo works with. */
interface Demo {
  folders: { save_dir: string; temp_dir: string };
  /** Null for `reannotated.json` alone. */
  outputFormat: string | null;
  /** Where the results are pushed to; null for nowhere. */
  repository: string | null;
  variables: NodeJS.ProcessEnv;
  surroundings: Surroundings;
}

/** Runs the demo and returns its exit code. */
export async function demo(
  raw: RawFlags,
  { console, interruption }: { console: Console; interruption: Interruption },
): Promise<number> {
  const flags = new FlagReader(raw);
  const saveDir = flags.text('save_dir') ?? DEFAULT_SAVE_DIR;
  const tempDir = flags.text('temp_dir') ?? DEFAULT_TEMP_DIR;
  const inBatches = flags.on('batch');
  const repository = flags.text('push_to_hub');
  if (repository !== null) checkRepositoryName(repository, '--push_to_hub');
  const simulator = await startSimulator({
    answersFile: packageFile('datasets/examples/answers.jsonl'),
    datasets: { [DATASET]: packageFile('datasets/examples/instructions.jsonl') },
    latencyMs: 20,
    hubUser: repository?.split('/')[0],
    batchValidationMs: 500,
    batchDurationMs: BATCH_MS,
    // What can go wrong with batches is a part of what there is to see.
    batchPlans: [[], ['row_errors'], ['expire']],
  });
  const work: Demo = {
    folders: { save_dir: saveDir, temp_dir: tempDir },
    outputFormat: flags.text('output_format'),
    repository,
    variables: {
      OPENAI_API_KEY: KEY,
      OPENAI_BASE_URL: `${simulator.url}/v1`,
      HF_DATASETS_SERVER_URL: simulator.url,
      HF_ENDPOINT: simulator.url,
      HF_TOKEN: KEY,
    },
    surroundings: {
      console,
      interruption,
      resumeCommand: `npx reannotate demo${inBatches ? ' --batch' : ''}${flags.on('judge') ? ' --judge' : ''}`,
    },
  };
  try {
    console.info(`A simulated API and Hub answer at ${simulator.url}: no key, no network, no cost.`);
    let exitCode = inBatches ? await runInBatches(work) : await runOnline(work);
    if (flags.on('judge') && exitCode === EXIT.done) exitCode = await judgeAnswers(work);
    const { reannotated, config, save } = runFolder(saveDir, tempDir, runName(DATASET, ANNOTATOR));
    console.print(
      [
        '',
        `Old and new answers stand side by side in ${reannotated}`,
        `What was asked, and how, stands in ${config}`,
        `A page to look at it all: npx reannotate report ${shellWord(save)}`,
        ...(flags.on('judge')
          ? []
          : ['Which of them are better? A second opinion: npx reannotate demo --judge']),
        '',
        'Now with a model of your own:',
        '  export OPENAI_API_KEY=…',
        '  npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --limit 100 --dry_run',
      ].join('\n'),
    );
    return exitCode;
  } finally {
    await simulator.close();
  }
}

/** The flags of both. A demo starts anew each time; what an earlier one left is moved aside, as --overwrite does. */
function runFlags({ folders, outputFormat, repository }: Demo): RawFlags {
  return {
    dataset: DATASET,
    annotator: ANNOTATOR,
    ...folders,
    output_format: outputFormat ?? undefined,
    push_to_hub: repository ?? undefined,
  };
}

function runOnline(work: Demo): Promise<number> {
  const options = parseRunOptions({ ...runFlags(work), overwrite: true }, work.variables);
  return reannotate(options, work.surroundings);
}

/** The simulator has an opinion as well. */
async function judgeAnswers(work: Demo): Promise<number> {
  const { judge } = await import('./judge.js');
  const { parseJudgeOptions } = await import('../judge/options.js');
  work.surroundings.console.info(
    'A simulated judge, which mostly takes the longer answer, has a look at a sample:',
  );
  return judge(parseJudgeOptions(runFlags(work), work.variables), work.surroundings);
}

async function runInBatches(work: Demo): Promise<number> {
  const { console, interruption } = work.surroundings;
  const options = parseRunOptions(
    { ...runFlags(work), overwrite: true, batch: true, max_batch_size: BATCH_SIZE },
    work.variables,
  );
  const submitted = await reannotate(options, work.surroundings);
  if (submitted !== EXIT.done || interruption.soft.aborted) return submitted;
  console.info('That is the command for a real run; the demo goes on by itself, every second.');
  const { watchBatch } = await import('./watch-batch.js');
  const { save } = runFolder(work.folders.save_dir, work.folders.temp_dir, runName(DATASET, ANNOTATOR));
  const watching = parseWatchOptions(
    {
      ...runFlags(work),
      max_batch_size: BATCH_SIZE,
      check_interval: '1',
      retry_failed: true,
      graph: true,
      output_file: join(save, DEFAULT_OUTPUT_FILE),
      error_file: join(save, DEFAULT_ERROR_FILE),
    },
    work.variables,
  );
  return watchBatch(watching, work.surroundings);
}
