import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ask, complete, simulate, temporaryFolder } from './support.js';

const PLAIN =
  'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n' +
  '### Instruction:\nAdd up.\n\n### Response:';
const WITH_INPUT =
  'Below is an instruction that describes a task, paired with an input that provides further context. Write a ' +
  'response that appropriately completes the request.\n\n' +
  '### Instruction:\nAdd up.\n\n### Input:\n1 + 2\n\n### Response:';

function answersFile(lines: readonly unknown[]): string {
  const path = join(temporaryFolder(), 'answers.jsonl');
  writeFileSync(
    path,
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  );
  return path;
}

describe('replayed answers', () => {
  it('match the bare instruction and the Alpaca template around it', async () => {
    const pairs = [
      { instruction: 'Add up.', input: '', output: 'Add what? 🤔' },
      { instruction: 'Add up.', input: '1 + 2', output: '3' },
      { instruction: 'No input', input: null, output: 'none\u2028needed' },
    ];
    const simulator = await simulate({ answersFile: answersFile(pairs) });
    const answer = async (question: string): Promise<unknown> =>
      (await complete(simulator, ask(question))).choices[0]?.message.content;
    expect(await answer('Add up.')).toBe('Add what? 🤔');
    expect(await answer(PLAIN)).toBe('Add what? 🤔');
    expect(await answer(WITH_INPUT)).toBe('3');
    expect(await answer('No input')).toBe('none\u2028needed');
    expect(await answer('Something else')).toMatch(/^Answer /);
    expect(simulator.statistics()).toMatchObject({ answered: 5, replayed: 4 });
  });

  it('look at the last user message', async () => {
    const simulator = await simulate({ answersFile: answersFile([{ instruction: 'b', output: 'found' }]) });
    const messages = [
      { role: 'system', content: 's' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'c' },
      { role: 'user', content: 'b' },
    ];
    expect((await complete(simulator, { messages })).choices[0]?.message.content).toBe('found');
  });

  it('name the line that is wrong', async () => {
    const path = answersFile([{ instruction: 'a', output: 'b' }, '', '{"instruction": 1}']);
    await expect(simulate({ answersFile: path })).rejects.toThrow(
      /line 3: an answer needs "instruction" and "output"/,
    );
    await expect(simulate({ answersFile: answersFile(['{']) })).rejects.toThrow(/line 1: no JSON/);
    await expect(simulate({ answersFile: join(temporaryFolder(), 'missing.jsonl') })).rejects.toThrow(
      'Cannot read',
    );
  });
});

interface Example {
  instruction: string;
  input: string | null;
  output: string;
}

function readExamples(name: string): Example[] {
  const url = new URL(`../../datasets/examples/${name}`, import.meta.url);
  const lines = readFileSync(url, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Example);
}

describe('the example data set', () => {
  const rows = readExamples('instructions.jsonl');
  const answers = readExamples('answers.jsonl');

  it('is varied', () => {
    const count = (test: (row: Example) => boolean): number => rows.filter(test).length;
    expect(rows.length).toBeGreaterThanOrEqual(120);
    expect(count(({ input }) => input === '')).toBeGreaterThan(20);
    expect(count(({ input }) => input === null)).toBeGreaterThan(2);
    expect(
      count(({ instruction, input }) => instruction.length + (input ?? '').length > 2_000),
    ).toBeGreaterThan(2);
    for (const script of [
      'Han',
      'Arabic',
      'Devanagari',
      'Cyrillic',
      'Hiragana',
      'Greek',
      'Hebrew',
      'Hangul',
      'Thai',
    ]) {
      expect(
        count((row) => new RegExp(`\\p{Script=${script}}`, 'u').test(JSON.stringify(row))),
      ).toBeGreaterThan(0);
    }
    for (const character of ['"', '\\', '\n', '\t', '```', '<', '😀']) {
      expect(
        count((row) => Object.values(row).some((text: unknown) => String(text).includes(character))),
      ).toBeGreaterThan(0);
    }
  });

  it('has another answer for each of its rows, and no row twice', () => {
    const key = ({ instruction, input }: Example): string => JSON.stringify([instruction, input]);
    expect(answers.map(key)).toEqual(rows.map(key));
    expect(new Set(rows.map((row) => JSON.stringify([row.instruction, row.input ?? '']))).size).toBe(
      rows.length,
    );
    rows.forEach((row, index) => {
      expect(answers[index]?.output).not.toBe(row.output);
      expect(answers[index]?.output.trim()).not.toBe('');
    });
  });
});
