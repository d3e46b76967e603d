// Peak memory with many long rows, from JSON Lines and from Parquet in one row group, beside an idle Node.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { alpacaRow, measure, measureCli, megabytes, size, startServer, writeRows } from './support.js';

const ROW_BYTES = 2000;

export async function memory(folder) {
  const rows = size('BENCH_ROWS', 200_000);
  const lines = join(folder, 'data.jsonl');
  await writeRows(lines, rows, ROW_BYTES);
  const parquet = join(folder, 'data.parquet');
  writeParquet(parquet, rows);
  const server = await startServer();
  try {
    const idle = await measure(['-e', '0']);
    const results = [];
    for (const [name, path] of Object.entries({ 'JSON Lines': lines, Parquet: parquet })) {
      const used = await measureCli(join(folder, name), path, server.url);
      results.push({
        figure: `peak memory, ${rows} rows of ${name}`,
        value: megabytes(used.memory),
        baseline: `${megabytes(idle.memory)} (node -e 0)`,
        ratio: (used.memory / idle.memory).toFixed(2),
      });
    }
    return results;
  } finally {
    server.stop();
  }
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
