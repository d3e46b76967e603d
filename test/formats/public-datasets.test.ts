/**
 * `public-datasets.jsonl` has a row of each of many public datasets, with their real columns. What is part of the prompt
 * is called P0, P1 …, earlier answers H1 …, answers A1 …; of W1 the user is warned.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { requestOf } from '../../src/run/jobs.js';

interface Example {
  dataset: string;
  row: Record<string, unknown>;
  /** Absent where the dataset is refused. */
  original?: string | null;
  isRefused?: boolean;
}

const EXAMPLES = readFileSync(new URL('public-datasets.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Example);

function tokens(value: unknown, kinds: string): string[] {
  const text = JSON.stringify(value).replaceAll('\\n', ' ');
  return [...new Set(text.match(new RegExp(`(?<![A-Za-z\\d])[${kinds}]\\d\\b`, 'g')) ?? [])];
}

describe('a row of', () => {
  it.each(EXAMPLES.filter(({ isRefused }) => isRefused !== true))(
    '$dataset is asked with all of its prompt and none of its answers',
    ({ row, original }) => {
      const format = chooseFormat('me/data', Object.keys(row), NO_FLAGS);
      const prompt = format.apply(row);
      const request = requestOf(prompt);
      expect(tokens(request, 'PH').toSorted()).toEqual(tokens(row, 'PH').toSorted());
      expect(tokens(request, 'A')).toEqual([]);
      expect(prompt.annotation_original).toBe(original);
      if (tokens(row, 'W').length > 0) expect(format.suspicious).not.toEqual([]);
    },
  );

  it.each(EXAMPLES.filter(({ isRefused }) => isRefused === true))(
    '$dataset is refused, and the message names its columns',
    ({ row }) => {
      const read = (): unknown => chooseFormat('me/data', Object.keys(row), NO_FLAGS).apply(row);
      expect(read).toThrow(
        /--prompt_column|not a list of turns|single messages|results of plugins|is an object, not text/,
      );
    },
  );
});
