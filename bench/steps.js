// One step of the work on a run's files, in a process of its own, so that its CPU and memory are its own.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { assemble } from './modules/run/assemble.js';
import { runFolder } from './modules/run/folder.js';
import { JournalIndex, scanJournal } from './modules/run/journal.js';
import { RUN } from './history.js';

const [step, parent, count] = process.argv.slice(2);
const folder = runFolder(`${parent}/saved`, `${parent}/temp`, RUN);
const rows = Number(count);

const STEPS = {
  nothing: () => undefined,
  /** What a program does that thinks of nothing: every line parsed. */
  parse: async () => {
    const lines = createInterface({ input: createReadStream(folder.journal), crlfDelay: Infinity });
    let answered = 0;
    for await (const line of lines) if (JSON.parse(line)[2].request_idx >= 0) answered += 1;
    if (answered !== rows) throw new Error(`${answered} lines`);
  },
  scan,
  assemble: async () => {
    const index = await scan();
    const options = { includeMetadata: false, several: false, onProgress: () => undefined };
    const { missing } = await assemble(folder, index, options);
    if (missing > 0) throw new Error(`${missing} rows are missing`);
  },
};

async function scan() {
  const index = new JournalIndex(rows);
  let tokens = 0;
  const report = await scanJournal(folder.journal, index, false, ({ answer }) => {
    tokens += answer.usage.completionTokens;
  });
  if (report.lines !== rows || tokens === 0) throw new Error(`${report.lines} lines, ${tokens} tokens`);
  return index;
}

await STEPS[step]();
