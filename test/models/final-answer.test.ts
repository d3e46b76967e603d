import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { finalAnswer, finalAnswersAgree } from '../../src/models/final-answer.js';
import { selectAnswer } from '../../src/models/select-answer.js';

const ESSAY = `${'A long text about many things, one after the other, without any result at all. '.repeat(20)}\nThe end.`;

describe('the final answer', () => {
  it.each<[string, string | null]>([
    ['So we get \\boxed{42}.', '42'],
    ['First \\boxed{1}, and at last $\\boxed{\\frac{1}{2}}$ as 3 steps show.', '0.5'],
    ['\\boxed{\\text{Paris}}', 'paris'],
    ['\\boxed{x = 5}', '5'],
    ['\\boxed{(3, 4)}', '3, 4'],
    ['\\boxed{\\{1, 2\\}}', '\\{1, 2\\}'],
    ['an unclosed \\boxed{7 and 8', '8'],
    ['Tom has 3 + 4 apples.\n#### 1,234', '1234'],
    ['Long reasoning. It has steps.\nThe answer is 12.5 km.', '12.5'],
    ['Step 1. Step 2.\n**Final answer:** (B)', 'b'],
    ['Step 1. Step 2.\n**Answer: B) Paris**', 'b'],
    ['B', 'b'],
    ['(C).', 'c'],
    ['Paris', 'paris'],
    ['“Paris.”', 'paris'],
    ['42', '42'],
    ['It is 42 km.', '42'],
    ['$1,000.00', '1000'],
    ['1e3', '1000'],
    ['−5', '-5'],
    ['Adding 3 and 4 gives seven. Then we double it.\nThat makes 14 in all.', '14'],
    ['{"reason": "since 3 < 4", "answer": "Yes"}', 'yes'],
    ['```json\n{"answer": 42}\n```', '42'],
    ['{"b": 1, "a": [1, 2]}', '{"a":[1,2],"b":1}'],
    [ESSAY, null],
    ['', null],
    [' \n ', null],
  ])('of %j', (text, answer) => {
    expect(finalAnswer(text)).toBe(answer);
  });

  it.each<[string | null, string | null, boolean | null]>([
    ['#### 72', 'Natalia sold 48 + 24 clips. So \\boxed{72}.', true],
    ['#### 72', 'The answer is 71.', false],
    ['{"a":1,"b":2}', '{ "b": 2, "a": 1 }', true],
    ['Paris', 'The answer is **Paris**.', true],
    ['0.5', '\\boxed{\\dfrac{1}{2}}', true],
    ['B', 'Some thought. More thought.\nAnswer: (B) because of it', true],
    [ESSAY, '42', null],
    [null, '42', null],
    ['42', null, null],
  ])('of %j and %j agree: %s', (old, answer, agrees) => {
    expect(finalAnswersAgree(old, answer)).toBe(agrees);
  });

  it('is found in any text, in time in proportion to its length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const answer = finalAnswer(text);
        expect(answer === null || typeof answer === 'string').toBe(true);
        expect(finalAnswersAgree(text, text)).not.toBe(false);
      }),
    );
    for (const hostile of [
      '\\boxed{',
      '{',
      'answer is ',
      '#### 1\n',
      '1,',
      '1,111',
      '```json\n',
      '\\text{',
      '*_',
      ' \n',
    ]) {
      const started = performance.now();
      finalAnswer(hostile.repeat(1_000_000 / hostile.length));
      expect(performance.now() - started, hostile).toBeLessThan(2000);
    }
  });
});

describe('of several answers', () => {
  const answers = ['It is \\boxed{41}', '\\boxed{42}', null, 'I think that the answer is 42', 'So 42'];

  it.each([
    ['first', 0],
    ['longest', 3],
    ['shortest', 4],
    ['majority', 1],
  ] as const)('%s', (by, choice) => {
    expect(selectAnswer(answers, by)).toEqual({
      choice,
      agreement: { answers: 4, agreeing: 3, final: '42' },
    });
  });

  it('the first is taken where none has a majority, or a text', () => {
    expect(selectAnswer(['1', '2'], 'majority').choice).toBe(0);
    expect(selectAnswer([null, null], 'majority')).toEqual({
      choice: 0,
      agreement: { answers: 0, agreeing: 0, final: null },
    });
    expect(selectAnswer([`${ESSAY}a`, ESSAY, ESSAY], 'majority').choice).toBe(1);
  });
});
