// Peak memory with many long rows, beside an idle Node: from JSON Lines and from Parquet in one row group, and in batches.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startSimulator } from '#modules/simulator/server.js';
import {
  cliArguments,
  cliEnvironment,
  measure,
  measureCli,
  measureStep,
  megabytes,
  size,
  startServer,
  writeRows,
} from './support.js';

const ROW_BYTES = 2000;
const BATCH_SIZE = 20_000;
const WATCH = fileURLToPath(new URL('../dist/watch-batch.js', import.meta.url));

export async function memory(folder) {
  const rows = size('BENCH_ROWS', 200_000);
  const lines = join(folder, 'data.jsonl');
  await writeRows(lines, rows, ROW_BYTES);
  const parquet = join(folder, 'data.parquet');
  await measureStep('write-parquet', folder, rows, [parquet, String(ROW_BYTES)]);
  const idle = await measure(['-e', '0']);
  const results = [];
  const add = (what, used) =>
    results.push({
      figure: `peak memory, ${rows} rows, ${what}`,
      value: megabytes(used.memory),
      baseline: `${megabytes(idle.memory)} (node -e 0)`,
      ratio: (used.memory / idle.memory).toFixed(2),
    });
  const server = await startServer();
  try {
    add('online from JSON Lines', await measureCli(join(folder, 'lines'), lines, server.url));
    add('going on with it', await measureCli(join(folder, 'lines'), lines, server.url, ['--resume']));
    add('online from Parquet', await measureCli(join(folder, 'parquet'), parquet, server.url));
  } finally {
    server.stop();
  }
  const simulator = await startSimulator({});
  try {
    const own = join(folder, 'batches');
    const flags = ['--batch', '--max_batch_size', String(BATCH_SIZE)];
    add('submitted in batches', await measureCli(own, lines, simulator.url, flags));
    const [, ...words] = cliArguments(own, lines);
    const outputs = ['--output_file', join(folder, 'results'), '--error_file', join(folder, 'errors')];
    const watching = [WATCH, ...words, '--check_interval', '1', ...outputs];
    add('collected from batches', await measure(watching, cliEnvironment(simulator.url)));
  } finally {
    await simulator.close();
  }
  return results;
}
