import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportResults, OUTPUT_FORMATS } from '../../src/exports/index.js';
import { readReview } from '../../src/exports/review.js';
import { temporaryFolder } from '../support/cli.js';
import { writeJsonl } from '../support/data.js';

const NONE = { several: false, metadata: false, compared: false, reasoning: false };
const SHAPE = { ...NONE, chats: false, tools: false, images: false, source: false };

describe('a review that the report saved', () => {
  it('decides by the last line of each row', () => {
    const path = writeJsonl(temporaryFolder(), 'review.jsonl', [
      { run: 'u', request_idx: 0, mark: 'reject' },
      { run: 'u', request_idx: 1, mark: 'edit', annotation: 'Better' },
      { run: 'u', request_idx: 2, mark: null, comment: 'Hm' },
      { run: 'u', request_idx: 0, mark: 'accept' },
      { request_idx: 3, mark: 'reject' },
    ]);
    const { rows, rejected, edited } = readReview(path, 'u');
    expect([[...rows], [...rejected], [...edited]]).toEqual([[0, 1, 2, 3], [3], [[1, 'Better']]]);
  });

  it.each([
    ['[1]', /line 1 is not a JSON object/],
    ['{"mark":"reject"}', /line 1 has no request_idx/],
    ['{"request_idx":-1}', /line 1 has no request_idx/],
    ['{"request_idx":1,"mark":"delete"}', /line 1 has the mark "delete"; known are accept, reject, edit/],
    ['{"request_idx":1,"mark":"edit"}', /line 1 is an edit without an annotation/],
    ['{"request_idx":1}\n{"run":"v","request_idx":1}', /line 2 is about another run \(v\)/],
  ])('%s is refused with the line that is wrong', (text, message) => {
    const path = join(temporaryFolder(), 'review.jsonl');
    writeFileSync(path, text);
    expect(() => readReview(path, 'u')).toThrow(message);
  });

  it.each(OUTPUT_FORMATS.filter((name) => name !== 'json' && name !== 'parquet'))(
    'leaves rejected rows out of %s, and takes edited answers',
    async (name) => {
      const folder = temporaryFolder();
      const path = join(folder, 'reannotated.json');
      const rows = ['Keep', 'Reject', 'Edit'].map((annotation) =>
        JSON.stringify({ system_prompt: '', user_prompt: 'Q', annotation_original: 'Old', annotation }),
      );
      writeFileSync(path, `[\n${rows.join(',\n')}\n]\n`);
      const review = {
        rows: new Set([1, 2]),
        rejected: new Set([1]),
        edited: new Map([[2, 'As it should be']]),
      };
      const results = { path, shape: SHAPE, review, onProgress: () => undefined };
      const { leftOut } = await exportResults(name, results, folder);
      const file = OUTPUT_FILES[name] ?? `${name}.jsonl`;
      const text = readFileSync(join(folder, file), 'utf8');
      expect(['Keep', 'Reject', 'As it should be'].map((answer) => text.includes(answer))).toEqual([
        true,
        false,
        true,
      ]);
      expect(leftOut.get('rejected by the review')).toBe(1);
    },
  );
});

const OUTPUT_FILES: Partial<Record<string, string>> = { jsonl: 'reannotated.jsonl' };
