import { replaceFile } from '../lib/files.js';
import { EarlyTypes } from './early-types.js';
import type { Exporter } from './exporter.js';
import { readResults } from './rows.js';

/** The objects of `reannotated.json`, one a line, with a value for each column among the first ones. */
export const jsonl: Exporter = async (results, path) => {
  let rows = 0;
  const early = new EarlyTypes();
  await replaceFile(path, async (file) => {
    const write = (lines: readonly Buffer[]): void => {
      for (const line of lines) {
        file.write(line);
        file.write('\n');
      }
    };
    await readResults(results, (line) => {
      write(early.add(line.json, () => line.parse()));
      rows += 1;
    });
    write(early.end());
  });
  return { rows, leftOut: new Map() };
};
