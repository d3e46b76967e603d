/** Whatever the columns are: what looks like a part of the prompt is sent, or warned of, or the row is refused by name. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openDataset } from '../../src/datasets/index.js';
import { looksLikePrompt } from '../../src/formats/column-names.js';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat, type ChosenFormat } from '../../src/formats/index.js';
import { RowProblem } from '../../src/formats/row-problem.js';
import { SHAPES } from '../../src/formats/shapes.js';
import { requestOf } from '../../src/run/jobs.js';
import { UserError } from '../../src/lib/errors.js';
import type { SourceRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

/** Every name that a shape knows, and others that datasets have beside them. */
const NAMES = [
  ...new Set([
    ...SHAPES.flatMap(({ prompt, response, needsAlso = [] }) => [...prompt, ...response, ...needsAlso]),
    ...SHAPES.flatMap(({ inputs = [], choices = [], system = [], history = [] }) => [
      ...[...inputs, ...choices, ...system, ...history],
    ]),
    ...[
      'Context',
      'CHOICES',
      'Instruction',
      'Question',
      'System Prompt',
      'retrieved_contexts',
      'source_code',
    ],
    ...[
      'passages',
      'article',
      'documents',
      'few_shot_examples',
      'option_a',
      'option_b',
      'distractor1',
      'hint',
    ],
    ...['instances', 'starter_code', 'chat_template_kwargs', 'premise', 'hypothesis', 'schema', 'persona'],
    ...['id', 'source', 'category', 'score', 'lang', 'url', 'metadata', 'language_code', 'original_question'],
  ]),
];

/** A cell that holds the token, a number of 9 digits, as datasets nest it; or one without. */
const CELLS: readonly ((token: string) => unknown)[] = [
  (token) => `Text of ${token}, with more.`,
  (token) => `Text of ${token}.\nAnd a second line.`,
  (token) => [`Text of ${token}`],
  (token) => [{ title: 'A', text: `Text of ${token}` }],
  (token) => [{ role: 'user', content: `Text of ${token}` }],
  (token) => ({ text: `Text of ${token}` }),
  (token) => JSON.stringify([{ role: 'user', content: `Text of ${token}` }]),
  () => null,
  () => '',
  () => [],
  (token) => Number(token),
  (token) => [Number(token), 1.5, null],
  (token) => `Größe 日本語 \u{1F600} \ud800 ${token} \u202e <image> \\ " {`,
  (token) => ({ a: { b: [{ ключ: [[`Text of ${token}`]] }], __proto__: null } }),
  (token) => ({ text: { nested: `Text of ${token}` } }),
  (token) => `['Text of ${token}', "it's", None]`,
  () => true,
  () => false,
  () => 0,
  () => ({}),
  () => [[]],
  () => ' \n\t',
  () => [null],
];

/** Those of them with a user's turn. */
const HOLDS_USER = new Set([4, 6]);

interface Cell {
  name: string;
  kind: number;
}

const rowOfCells = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom(...NAMES),
    // Text is what most cells hold.
    kind: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(0, 1) },
      { weight: 2, arbitrary: fc.nat(CELLS.length - 1) },
    ),
  }),
  { selector: ({ name }) => name, minLength: 1, maxLength: 7 },
);

const tokenOf = (row: number, place: number): string => `${731_000_000 + row * 1_000 + place * 10 + 7}`;

function check(cells: readonly Cell[], row: SourceRow, index: number, format: ChosenFormat): void {
  if ('problem' in row) throw new Error(row.problem);
  let sent: string;
  try {
    const prompt = format.apply(row.value);
    expect(prompt.user_prompt.trim()).not.toBe('');
    sent = JSON.stringify(requestOf(prompt));
  } catch (error) {
    if (!(error instanceof RowProblem)) throw error;
    // A message names the column, or what is missing in a chat.
    expect(error.message).toMatch(/"|chat|turn|user|image/);
    return;
  }
  const { response, chatAnswer, prompt } = format.roles;
  const answers = [response, chatAnswer].filter((column) => column !== prompt);
  const holdsDialogue = cells.some(({ name, kind }) => name === response && HOLDS_USER.has(kind));
  for (const [place, { name, kind }] of cells.entries()) {
    const token = tokenOf(index, place);
    // Such rows are this program's own, and hold what it wrote.
    if (format.name === 'reannotated') continue;
    // A preferred dialogue holds its prompt itself.
    if (format.name === 'preference' && holdsDialogue && name === prompt) continue;
    if (!JSON.stringify(CELLS[kind]?.(token)).includes(token)) continue;
    // A column of answers may hold the whole dialogue.
    if (answers.includes(name)) {
      if (!HOLDS_USER.has(kind)) expect(sent, `the answer in ${name}`).not.toContain(token);
    } else if (looksLikePrompt(name, false) && !format.unused.includes(name))
      expect(sent, `${name} is used`).toContain(token);
    else if (looksLikePrompt(name, true)) expect(format.suspicious, `${name} is not used`).toContain(name);
  }
}

it('holds for any rows of a file, also for columns that only a late row has', async () => {
  const folder = temporaryFolder();
  await fc.assert(
    fc.asyncProperty(fc.array(rowOfCells, { minLength: 1, maxLength: 3 }), async (rows) => {
      const path = join(folder, 'data.jsonl');
      const lines = rows.map((cells, row) =>
        JSON.stringify(
          Object.fromEntries(
            cells.map(({ name, kind }, place) => [name, CELLS[kind]?.(tokenOf(row, place)) ?? null]),
          ),
        ),
      );
      writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
      const reporter = { debug: () => undefined, info: () => undefined, warning: () => undefined };
      const dataset = await openDataset(
        { dataset: path, subset: null, split: null },
        { endpoint: '', datasetsServerUrl: '', token: null },
        { ...reporter, error: () => undefined },
      );
      let format: ChosenFormat;
      try {
        format = chooseFormat('me/data', dataset.columns, NO_FLAGS);
      } catch (error) {
        expect(error).toBeInstanceOf(UserError);
        return;
      }
      expect([...format.columns, ...format.unused].toSorted()).toEqual(dataset.columns.toSorted());
      const selection = { columns: format.columns, offset: 0, limit: null };
      let index = 0;
      for await (const row of dataset.rows(selection)) {
        check(rows[index] ?? [], row, index, format);
        index += 1;
      }
      expect(index).toBe(rows.length);
    }),
    { numRuns: 3000 },
  );
});

/** Names that objects have by nature, or that nobody gives a column. */
const ODD_NAMES = ['__proto__', 'constructor', 'toString', '', ' ', 'a.b', '日本', '\ud800', 'Prompt\n'];

it('holds for any object: a row becomes a request, or is refused with a reason', () => {
  const name = fc.oneof(
    fc.constantFrom(...NAMES),
    fc.constantFrom(...ODD_NAMES),
    fc.string({ maxLength: 8 }),
  );
  const value = fc.oneof(
    { weight: 2, arbitrary: fc.string({ unit: 'grapheme' }) },
    { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }) },
    { weight: 1, arbitrary: fc.constantFrom(...CELLS).map((make) => make(tokenOf(0, 1))) },
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 8 }),
      (cells) => {
        const row = Object.fromEntries(cells) as Record<string, unknown>;
        try {
          const prompt = chooseFormat('me/data', Object.keys(row), NO_FLAGS).apply(row);
          const { messages } = requestOf(prompt) as { messages: { role: string; content: unknown }[] };
          expect(messages.some(({ role }) => role === 'user')).toBe(true);
          expect(prompt.user_prompt.trim()).not.toBe('');
        } catch (error) {
          if (!(error instanceof RowProblem) && !(error instanceof UserError)) throw error;
          expect(error.message).not.toBe('');
        }
      },
    ),
    { numRuns: 300 },
  );
});
