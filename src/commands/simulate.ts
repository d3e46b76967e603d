/** `reannotate simulate`: the embedded simulator alone, to rehearse a run for free. */

import type { SimulatorOptions } from '../simulator/options.js';
import { runSimulator } from '../simulator/run.js';

/** Serves until the signal aborts. */
export async function simulate(options: SimulatorOptions, signal: AbortSignal): Promise<void> {
  await runSimulator(options, (line) => process.stderr.write(`${line}\n`), signal);
}
