/** `reannotate demo`: the main job on bundled data, over real HTTP against the embedded simulator. */

import { fileURLToPath } from 'node:url';
import type { Interruption } from '../interruption.js';
import {
  DEFAULT_SAVE_DIR,
  DEFAULT_TEMP_DIR,
  FlagReader,
  parseRunOptions,
  type RawFlags,
} from '../options.js';
import type { Console } from '../progress.js';
import { runFolder, runName } from '../run/folder.js';
import { startSimulator } from '../simulator/server.js';
import { reannotate } from './reannotate.js';

/** The bundled dataset's name on the simulated Hub. */
const DATASET = 'reannotate/examples';
const ANNOTATOR = 'gpt-4o-mini';
/** No secret: the simulator takes any key. */
const KEY = 'simulator';

/** Runs the demo and returns its exit code. */
export async function demo(
  raw: RawFlags,
  surroundings: { console: Console; interruption: Interruption },
): Promise<number> {
  const flags = new FlagReader(raw);
  const saveDir = flags.text('save_dir') ?? DEFAULT_SAVE_DIR;
  const tempDir = flags.text('temp_dir') ?? DEFAULT_TEMP_DIR;
  const { console } = surroundings;
  const simulator = await startSimulator({
    answersFile: example('answers.jsonl'),
    datasets: { [DATASET]: example('instructions.jsonl') },
    latencyMs: 20,
  });
  try {
    console.info(`A simulated API and Hub answer at ${simulator.url}: no key, no network, no cost.`);
    // A demo starts anew each time; what an earlier one left is moved aside, as --overwrite does.
    const options = parseRunOptions(
      { dataset: DATASET, annotator: ANNOTATOR, save_dir: saveDir, temp_dir: tempDir, overwrite: true },
      {
        OPENAI_API_KEY: KEY,
        OPENAI_BASE_URL: `${simulator.url}/v1`,
        HF_DATASETS_SERVER_URL: simulator.url,
        HF_ENDPOINT: simulator.url,
      },
    );
    const exitCode = await reannotate(options, { ...surroundings, resumeCommand: 'npx reannotate demo' });
    const { reannotated, config } = runFolder(saveDir, tempDir, runName(DATASET, ANNOTATOR));
    console.print(
      [
        '',
        `Old and new answers stand side by side in ${reannotated}`,
        `What was asked, and how, stands in ${config}`,
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

/** A file that comes with the package. */
function example(name: string): string {
  return fileURLToPath(new URL(`../../datasets/examples/${name}`, import.meta.url));
}
