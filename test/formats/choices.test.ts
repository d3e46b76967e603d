import { describe, expect, it } from 'vitest';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { ExactNumber } from '../../src/lib/json.js';

const LIST = ['Stone', 'Robin', 'Chair'];

/** Cells beside a question, the list that is sent, and the original answer. */
const ROWS: readonly [string, Record<string, unknown>, string, string | null][] = [
  ['a place counted from 0', { choices: LIST, answer: 0 }, 'A. Stone', 'A'],
  ['a place of Parquet or a long file', { choices: LIST, answer: new ExactNumber('2.0') }, 'C. Chair', 'C'],
  ['a place as text', { choices: LIST, answer: '1' }, 'B. Robin', 'B'],
  ['a place that the list does not have', { choices: LIST, answer: 7 }, 'B. Robin', '7'],
  ['no place: a test set without answers', { choices: LIST, answer: -1 }, 'B. Robin', '-1'],
  ['not a number', { choices: LIST, answer: NaN }, 'B. Robin', null],
  ['a letter', { choices: LIST, answer: 'B' }, 'B. Robin', 'B'],
  ['the text of a choice', { choices: LIST, answer: 'Robin' }, 'B. Robin', 'Robin'],
  ['several places', { choices: LIST, answer: [0, 2] }, 'A. Stone', 'A, C'],
  ['another name', { options: LIST, correct_index: 1 }, 'B. Robin', 'B'],
  ['whether some answer was right', { options: LIST, correct: true }, 'B. Robin', null],
  ['a label', { options: LIST, label: 1 }, 'B. Robin', 'B'],
  ['a column of both', { options: LIST, answer: 'Robin', answer_index: 1 }, 'B. Robin', 'Robin'],
  ['numbers among texts of numbers', { choices: ['2', '1', '0'], answer: 0 }, 'A. 2', 'A'],
  ['a text that is a choice', { choices: ['2', '1', '0'], answer: '1' }, 'B. 1', '1'],
  ['numbers as choices', { choices: [4, 2, 8], answer: 2 }, 'B. 2', '2'],
  [
    'labels of the dataset',
    { choices: { label: ['1', '2'], text: ['a', 'b'] }, answerKey: '1' },
    '1. a',
    '1',
  ],
  ['labels in the choices', { options: ['(A) Stone', '(B) Robin'], answer: 1 }, '(B) Robin', 'B'],
  ['a list of Python', { options: "['Stone', \"Robin's\"]", answer: 1 }, "B. Robin's", 'B'],
  ['choices in one text', { options: 'a ) Stone , b ) Robin', correct: 'b' }, 'a ) Stone , b ) Robin', 'b'],
  // How these are counted is not known.
  ['a column for each choice', { A: 'Stone', B: 'Robin', answer: 1 }, 'B. Robin', '1'],
  [
    'a column for each choice, and a label',
    { choice1: 'Stone', choice2: 'Robin', label: 1 },
    '2. Robin',
    null,
  ],
  ['columns counted from 0', { answer0: 'Stone', answer1: 'Robin', answer2: 'x', label: 1 }, '1. Robin', '1'],
];

describe('the original answer to a question with choices', () => {
  it.each(ROWS)('is the label in the list that is sent: %s', (_, cells, listed, original) => {
    const row = { question: 'Which?', ...cells };
    const format = chooseFormat('me/data', Object.keys(row), NO_FLAGS);
    const prompt = format.apply(row);
    expect(prompt.user_prompt.split('\n')).toContain(listed);
    expect(prompt.annotation_original).toBe(original);
  });

  it('has its own spelling in the kept columns', () => {
    const row = { question: 'Which?', choices: LIST, answer: 1, id: 'x' };
    const format = chooseFormat('me/data', Object.keys(row), { ...NO_FLAGS, keepColumns: ['all'] });
    expect(format.apply(row)).toMatchObject({ annotation_original: 'B', source: '{"answer":1,"id":"x"}' });
  });

  it('is the label in the template of Alpaca as well', () => {
    const row = { instruction: 'Which?', choices: LIST, output: 1 };
    expect(chooseFormat('me/data', Object.keys(row), NO_FLAGS).apply(row).annotation_original).toBe('B');
  });
});
