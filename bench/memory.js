// Peak memory with many long rows, beside an idle Node: from JSON Lines and from Parquet in one row group, and in batches.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { startSimulator } from './modules/simulator/server.js';
import {
  alpacaRow,
  cliArguments,
  cliEnvironment,
  measure,
  measureCli,
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
  writeParquet(parquet, rows);
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

function writeParquet(path, rows) {
  const columns = { instruction: [], input: [], output: [] };
  for (let index = 0; index < rows; index++) {
    const row = alpacaRow(index, ROW_BYTES);
    for (const name of Object.keys(columns)) columns[name].push(row[name]);
  }
  const columnData = Object.entries(columns).map(([name, data]) => ({ name, data, type: 'STRING' }));
  writeFileSync(path, Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: rows })));
}
