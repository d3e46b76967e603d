import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseDropRules } from '../../src/exports/drop-rules.js';
import { dropTests, type EvaluationSet } from '../../src/exports/drop-tests.js';
import { findDroppedRows } from '../../src/exports/dropped-rows.js';
import { exportResults } from '../../src/exports/index.js';
import type { ResultRow } from '../../src/exports/rows.js';
import { WordNgrams } from '../../src/lib/word-ngrams.js';
import { temporaryFolder } from '../support/cli.js';
import { writeJsonl } from '../support/data.js';

const NONE = { several: false, metadata: false, compared: false, reasoning: false };
const SHAPE = { ...NONE, chats: false, tools: false, images: false, source: false };
const ENGLISH = 'The capital of France is Paris, which is known for its museums and for its architecture.';
const GERMAN =
  'Die Hauptstadt von Frankreich ist Paris, das für seine Museen und seine Architektur bekannt ist.';
const row = (annotation: string | null, more: Partial<ResultRow> = {}): ResultRow => ({
  ...{ system_prompt: '', user_prompt: 'A question', annotation_original: 'An old answer', annotation },
  ...more,
});

async function reasonOf(rules: string, one: ResultRow, sets: EvaluationSet[] = []): Promise<string | null> {
  const tests = await dropTests(parseDropRules(rules.split(',').filter(Boolean), '--drop'), sets);
  return tests.find(({ drops }) => drops(one, 'ok'))?.reason ?? null;
}

describe('a rule of --drop', () => {
  it.each<[string, ResultRow, string | null]>([
    ['unanswered', row(null), 'unanswered'],
    ['unanswered', row('x'), null],
    ['unanswered', row(null, { annotation_tool_calls: [] }), null],
    ['identical', row('An old answer'), 'identical'],
    ['identical', row('Something else altogether'), null],
    ['identical', row('', { annotation_original: '' }), null],
    ['identical', row('x', { annotation_original: null }), null],
    ['identical=0.3', row('An old answer, but longer'), 'identical=0.3'],
    ['IDENTICAL = 1', row('An old answer'), 'identical=1'],
    ['shorter=5', row('1234'), 'shorter=5'],
    ['shorter=5', row('12345'), null],
    ['shorter=5', row(null), null],
    ['longer=5', row('123456'), 'longer=5'],
    ['longer=5', row('12345'), null],
    ['language', row(GERMAN, { annotation_original: ENGLISH }), 'language'],
    ['language', row(GERMAN, { annotation_original: GERMAN }), null],
    // What is not clear stays.
    ['language', row(GERMAN, { annotation_original: 'Yes.' }), null],
    ['language', row('Ja.', { annotation_original: ENGLISH }), null],
    ['language=en', row(GERMAN), 'language=en'],
    ['language=en+de', row(GERMAN), null],
    ['longer=5,shorter=100', row('123456'), 'longer=5'],
  ])('%s', async (rules, one, reason) => {
    expect(await reasonOf(rules, one)).toBe(reason);
  });

  it.each([
    'truncate',
    'identical=2',
    'identical=x',
    'shorter',
    'longer=0',
    'longer=1.5',
    'language=xx',
    'ok',
    'failed=1',
  ])('is not %s', (rule) => {
    expect(() => parseDropRules([rule], '--drop')).toThrow(
      /^--drop takes failed, refused, filtered, truncated/,
    );
  });

  it('suggests the nearest name', () => {
    expect(() => parseDropRules(['trunkated'], '--drop')).toThrow(/Did you mean truncated\?$/);
  });
});

describe('an evaluation set', () => {
  const evaluated = 'How many positive whole-number divisors does 196 have in all?';
  const ngrams = new WordNgrams(8);
  ngrams.add(evaluated);
  const set = { name: 'math.jsonl', ngrams, texts: 1, tooShort: 0 };

  it.each<[string, ResultRow, boolean]>([
    ['its prompt', row('x', { user_prompt: `### Instruction:\n${evaluated}\n\n### Response:` }), true],
    ['another prompt', row('x'), false],
    ['no prompt', row('x', { user_prompt: null }), false],
    // As in open-r1, prompts alone are compared.
    ['its prompt in the answer', row(evaluated), false],
    [
      'an earlier user turn',
      row('x', {
        request_messages: [
          { role: 'user', content: evaluated },
          { role: 'assistant', content: 'Nine.' },
          { role: 'user', content: 'Sure?' },
        ],
      }),
      true,
    ],
    [
      'a system prompt',
      row('x', {
        request_messages: [
          { role: 'system', content: evaluated },
          { role: 'user', content: 'Hm' },
        ],
      }),
      false,
    ],
  ])('%s', async (_, one, overlaps) => {
    expect(await reasonOf('', one, [set])).toBe(overlaps ? 'overlaps math.jsonl' : null);
  });
});

describe('dropped rows', () => {
  it('are in no output format, by the first reason that fits, with the states of failed_rows.jsonl', async () => {
    const folder = temporaryFolder();
    const rows = [row('kept'), row('short'), row('cut off', {}), row(null), row('rejected')];
    const path = join(folder, 'reannotated.json');
    writeFileSync(path, `[\n${rows.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`);
    const failedRows = writeJsonl(folder, 'failed_rows.jsonl', [
      { request_idx: 2, state: 'truncated', error: null },
      { request_idx: 3, state: 'refused', error: null },
      'damaged',
      { request_idx: 99, state: 'failed' },
    ]);
    const review = { rows: new Set([4]), rejected: new Set([4]), edited: new Map([[1, 'longer by review']]) };
    const results = { path, review, onProgress: () => undefined };
    const rules = parseDropRules(['truncated', 'refused', 'unanswered', 'shorter=4'], '--drop');
    const dropped = await findDroppedRows(results, { rows: 5, failedRows }, await dropTests(rules, []));
    expect(Object.fromEntries(dropped.counts)).toEqual({
      truncated: 1,
      refused: 1,
      unanswered: 0,
      'shorter=4': 0,
    });
    expect(dropped.size).toBe(2);
    const exported = await exportResults('jsonl', { ...results, shape: SHAPE, dropped }, folder);
    expect(exported).toMatchObject({
      rows: 2,
      leftOut: new Map([
        ['rejected by the review', 1],
        ['dropped', 2],
      ]),
    });
    const lines = readFileSync(join(folder, 'reannotated.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as ResultRow).annotation)).toEqual([
      'kept',
      'longer by review',
    ]);
  });
});
