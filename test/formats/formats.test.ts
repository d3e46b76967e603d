import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseFormat, FORMATS, KNOWN_DATASETS } from '../../src/formats/index.js';
import type { Format } from '../../src/formats/format.js';
import { RowProblem } from '../../src/formats/row-problem.js';

const noFlags = { format: null, promptColumn: null, responseColumn: null, systemColumn: null };

describe('every format', () => {
  it.each(Object.entries<Format>(FORMATS))(
    '%s says what it needs, detects only that, and never takes a hostile row for a prompt',
    (name, format) => {
      expect(format.needs).toMatch(/column/);
      expect(format.detect([])).toBeNull();
      expect(format.detect(['unrelated'])).toBeNull();
      const columns = [
        'instruction',
        'input',
        'output',
        'question',
        'answer',
        'messages',
        'conversations',
        'prompt',
        'response',
      ];
      const roles = format.detect(columns);
      if (roles === null) throw new Error(`${name} does not fit its own columns`);
      const row = fc.dictionary(fc.constantFrom(...columns, '__proto__', 'system'), fc.jsonValue());
      fc.assert(
        fc.property(row, (value) => {
          try {
            const prompt = format.apply(value, roles);
            expect(typeof prompt.user_prompt).toBe('string');
            expect(prompt.user_prompt).not.toBe('');
            expect(typeof prompt.system_prompt).toBe('string');
          } catch (error) {
            expect(error).toBeInstanceOf(RowProblem);
          }
        }),
      );
    },
  );
});

describe('chooseFormat', () => {
  it.each([
    [['instruction', 'input', 'output'], 'alpaca'],
    [['instruction', 'output'], 'alpaca'],
    [['question', 'answer'], 'columns'],
    [['prompt', 'response'], 'columns'],
    [['prompt', 'completion'], 'columns'],
    [['query', 'response'], 'columns'],
    [['problem', 'solution'], 'columns'],
    [['id', 'messages'], 'messages'],
    [['conversations', 'source'], 'conversations'],
  ])('takes %j for %s', (columns, expected) => {
    expect(chooseFormat('me/data', columns, noFlags).name).toBe(expected);
  });

  it.each(Object.entries(KNOWN_DATASETS))('knows %s as %s', (dataset, format) => {
    const columns = format === 'glaive' ? ['question', 'answer'] : ['input', 'output', 'instruction'];
    expect(chooseFormat(dataset, columns, noFlags).name).toBe(format);
  });

  it('lets flags name the columns', () => {
    const flags = { ...noFlags, promptColumn: 'ask', responseColumn: 'said', systemColumn: 'role' };
    const format = chooseFormat('me/data', ['ask', 'said', 'role'], flags);
    expect(format.apply({ ask: 'Why?', said: 'Because', role: 'Be kind' })).toEqual({
      system_prompt: 'Be kind',
      user_prompt: 'Why?',
      annotation_original: 'Because',
    });
  });

  it('lists columns and flags where nothing fits', () => {
    expect(() => chooseFormat('me/data', ['a', 'b'], noFlags)).toThrow(/a, b.*--prompt_column.*--format/);
    expect(() => chooseFormat('me/data', ['a'], { ...noFlags, promptColumn: 'x' })).toThrow(
      /--prompt_column x.*It has a/,
    );
    expect(() => chooseFormat('me/data', ['a'], { ...noFlags, format: 'alpaka' })).toThrow(
      /Known are .*alpaca/,
    );
    expect(() => chooseFormat('me/data', ['a'], { ...noFlags, format: 'alpaca' })).toThrow(
      /needs the columns instruction/,
    );
  });
});

describe('prompts to the letter', () => {
  it('of glaive', () => {
    const format = chooseFormat('glaiveai/glaive-code-assistant', ['question', 'answer'], noFlags);
    expect(format.apply({ question: 'Q\n', answer: 'A' })).toEqual({
      system_prompt: '',
      user_prompt:
        'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nQ\n\n\n### Response:',
      annotation_original: 'A',
    });
  });

  it('of alpaca with a null input', () => {
    const format = chooseFormat('me/data', ['instruction', 'input', 'output'], noFlags);
    expect(format.apply({ instruction: 'I', input: null, output: null })).toEqual({
      system_prompt: '',
      user_prompt:
        'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nI\n\n### Response:',
      annotation_original: null,
    });
  });

  it('of chats, in either spelling', () => {
    const format = chooseFormat('me/data', ['messages'], noFlags);
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hello' },
    ];
    expect(format.apply({ messages })).toEqual({
      system_prompt: '',
      user_prompt: 'Hi',
      annotation_original: 'Hello',
    });
    expect(() => format.apply({ messages: [{ role: 'assistant', content: 'Hello' }] })).toThrow(
      /no user turn/,
    );
    expect(() => format.apply({ messages: 'nothing' })).toThrow(/not a list/);
    expect(() => format.apply({ messages: [{ role: 'wizard', content: 'x' }] })).toThrow(/turn 1 .* no role/);
  });
});
