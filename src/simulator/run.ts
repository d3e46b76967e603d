/** `reannotate simulate`: the simulator alone, until it is stopped. */

import { once } from 'node:events';
import { startSimulator } from './server.js';
import { SIMULATOR_DEFAULTS, type SimulatorOptions } from './options.js';

/**
 * Starts a simulator, writes how to use it, and serves until the signal aborts.
 * @param write takes one line without its end
 * @throws UserError where the port is taken, or a file can't be read
 */
export async function runSimulator(
  options: SimulatorOptions,
  write: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const simulator = await startSimulator(options);
  try {
    for (const line of instructions(simulator.url, options)) write(line);
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    await simulator.close();
  }
}

function instructions(url: string, options: SimulatorOptions): string[] {
  const datasets = Object.keys({ ...options.datasets, ...options.parquet });
  return [
    `The simulator serves on ${url} until it is stopped (Ctrl-C). In another terminal:`,
    '',
    `  export OPENAI_BASE_URL=${url}/v1`,
    `  export OPENAI_API_KEY=${options.apiKey ?? 'simulator'}`,
    `  export HF_DATASETS_SERVER_URL=${url} HF_ENDPOINT=${url}`,
    `  export HF_TOKEN=${options.hubToken ?? 'hf_simulator'}`,
    '',
    `Results can be pushed to ${options.hubUser ?? SIMULATOR_DEFAULTS.hubUser}/NAME, and are lost when it stops.`,
    ...(datasets.length > 0 ? [`Datasets: ${datasets.join(', ')}`] : []),
    `What it did so far: ${url}/simulator/statistics`,
  ];
}
