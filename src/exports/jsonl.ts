import { replaceFile } from '../lib/files.js';
import { EarlyTypes, TYPED_FIRST_ROW } from './early-types.js';
import type { Exporter } from './exporter.js';
import { leadingRows } from './leading-rows.js';
import { readResults } from './rows.js';

/** The objects of `reannotated.json`, one a line, with a value for each column among the first ones. */
export const jsonl: Exporter = async (results, path) => {
  const leading = await leadingRows(results, TYPED_FIRST_ROW, (line) => [line.parse()]);
  const early = new EarlyTypes();
  let rows = 0;
  await replaceFile(path, async (file) => {
    const write = (lines: readonly (Buffer | string)[]): void => {
      for (const line of lines) {
        file.write(line);
        file.write('\n');
      }
    };
    write(leading.lines);
    await readResults(results, (line) => {
      if (!leading.places.has(rows)) write(early.add(line.json, () => line.parse()));
      rows += 1;
    });
    write(early.end());
  });
  return { rows, leftOut: new Map(), leading: leading.lines.length, untyped: early.untyped };
};
