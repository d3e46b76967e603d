// One step of going on with a finished run, in a process of its own: nothing, scan, or scan and assemble.
import { assemble } from '../dist/run/assemble.js';
import { runFolder } from '../dist/run/folder.js';
import { JournalIndex, scanJournal } from '../dist/run/journal.js';

const [step, folder, run, rows] = process.argv.slice(2);
const { journal, ...files } = runFolder(`${folder}/saved`, `${folder}/temp`, run);
const index = new JournalIndex(Number(rows));
if (step !== 'nothing') await scanJournal(journal, index, false, () => undefined);
if (step === 'assemble') {
  const options = { includeMetadata: false, several: false, onProgress: () => undefined };
  const { missing } = await assemble({ journal, ...files }, index, options);
  if (missing > 0) throw new Error(`${missing} rows are missing`);
}
