// Reading back what was answered: a journal beside `wc -l` of the same bytes, and the results beside `cp` of theirs.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, measureCli, measureCommand, megabytes, size, startServer, writeRows } from './support.js';

const ROW_BYTES = 2000;
const STEPS = fileURLToPath(new URL('resume-steps.js', import.meta.url));

export async function resume(folder) {
  const rows = size('BENCH_ROWS', 250_000);
  const data = join(folder, 'data.jsonl');
  await writeRows(data, rows, ROW_BYTES);
  const server = await startServer();
  try {
    await measureCli(folder, data, server.url);
  } finally {
    server.stop();
  }
  const [run] = readdirSync(join(folder, 'temp'));
  const journal = join(folder, 'temp', run, 'output.jsonl');
  const results = join(folder, 'saved', run, 'reannotated.json');
  const step = (name) => measure([STEPS, name, folder, run, String(rows)]);
  const [idle, scan, whole] = [await step('nothing'), await step('scan'), await step('assemble')];
  const lines = await measureCommand('wc', ['-l', journal]);
  const copy = await measureCommand('cp', [results, join(folder, 'copy')]);
  rmSync(join(folder, 'copy'));
  const compared = (figure, used, baseline, name) => ({
    figure,
    value: `${used.toFixed(2)} s`,
    baseline: `${baseline.toFixed(2)} s (${name})`,
    ratio: (used / baseline).toFixed(2),
  });
  return [
    compared(
      `CPU to read back ${megabytes(statSync(journal).size / 1e6)} of journal`,
      scan.cpu - idle.cpu,
      lines.cpu,
      'wc -l',
    ),
    compared(
      `CPU to assemble ${megabytes(statSync(results).size / 1e6)} of results`,
      whole.cpu - scan.cpu,
      copy.cpu,
      'cp',
    ),
    {
      figure: 'peak memory of both',
      value: megabytes(whole.memory),
      baseline: `${megabytes(idle.memory)} (node)`,
      ratio: (whole.memory / idle.memory).toFixed(2),
    },
  ];
}
