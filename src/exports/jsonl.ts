import { replaceFile } from '../lib/files.js';
import type { Exporter } from './exporter.js';
import { readResults } from './rows.js';

/** The objects of `reannotated.json`, one a line. */
export const jsonl: Exporter = async (results, path) => {
  let rows = 0;
  await replaceFile(path, async (file) => {
    await readResults(results, ({ json }) => {
      file.write(json);
      file.write('\n');
      rows += 1;
    });
  });
  return { rows, leftOut: new Map() };
};
