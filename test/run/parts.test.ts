import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assemble } from '../../src/run/assemble.js';
import { runFolder } from '../../src/run/folder.js';
import { JournalWriter, scanJournal, type JournalIndex } from '../../src/run/journal.js';
import { parseJournalLine } from '../../src/run/journal-line.js';
import { LineScanner } from '../../src/run/line-scanner.js';
import { choiceLayout, indexOfRows, turnLayout } from '../../src/run/parts.js';
import { choiceBody } from '../../src/requests/choices.js';
import type { RetriableState } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';
import { completion } from '../support/scripted-api.js';

const FAILED: RetriableState[] = ['failed'];

/** A row's request, which says nothing of which of its answers it is for. */
function request(row: number): Buffer {
  return Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content: `p${row}` }] }));
}

function answer(texts: (string | null)[], finish = 'stop'): Buffer {
  const body = completion('');
  body['choices'] = texts.map((content, index) => ({
    index,
    message: { role: 'assistant', content },
    finish_reason: content === null ? 'content_filter' : finish,
  }));
  body['usage'] = { prompt_tokens: 1, completion_tokens: texts.length, total_tokens: 1 + texts.length };
  return Buffer.from(JSON.stringify(body));
}

type Line =
  | { row: number; choice?: number; texts: (string | null)[]; finish?: string }
  | { row: number; choice?: number; errors: string[] };

function open(
  rows: number,
  each: number,
  required = each,
): { index: JournalIndex; layout: ReturnType<typeof choiceLayout> } {
  const layout = choiceLayout(rows, each, required);
  return { index: indexOfRows(rows, layout), layout };
}

/** Writes lines as a session would, and reads them back as the next one does. */
async function session(lines: readonly Line[], rows: number, each: number) {
  const root = temporaryFolder();
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), 'run');
  mkdirSync(folder.temp, { recursive: true });
  mkdirSync(folder.save, { recursive: true });
  writeFileSync(
    folder.rows,
    Array.from({ length: rows }, (_, row) =>
      JSON.stringify({ system_prompt: '', user_prompt: `p${row}`, annotation_original: null }),
    ).join('\n') + '\n',
  );
  const live = open(rows, each);
  const journal = new JournalWriter(folder.journal, (error) => {
    throw error;
  });
  for (const line of lines) {
    const part = line.choice === undefined ? undefined : { kind: 'choice' as const, number: line.choice };
    const about = { row: line.row, part: part ?? null };
    if ('errors' in line) {
      const place = journal.appendFailure(
        request(line.row),
        { errors: line.errors, filtered: false },
        { row: line.row, part },
      );
      live.index.recordLine({ ...about, choices: 1 }, 'failed', place, { isError: true });
    } else {
      const bytes = answer(line.texts, line.finish);
      const place = journal.appendAnswer(request(line.row), bytes, { row: line.row, part });
      const entry = parseJournalLine(
        Buffer.from(`[${String(request(line.row))},${String(bytes)},{"request_idx":0}]`),
      );
      const state = entry?.kind === 'answer' ? entry.completion.state : 'failed';
      live.index.recordLine({ ...about, choices: line.texts.length }, state, place);
    }
  }
  journal.close();
  const { index } = open(rows, each);
  const paid: string[] = [];
  await scanJournal(folder.journal, index, { onEntry: ({ kind }) => paid.push(kind) });
  const states = Array.from({ length: rows }, (_, row) => index.state(row));
  expect(states).toEqual(Array.from({ length: rows }, (_, row) => live.index.state(row)));
  const assembled = await assemble(folder, index, {
    ...{ includeMetadata: true, several: true, reasoning: 'separate' as const },
    onProgress: () => undefined,
  });
  expect(assembled.damaged).toEqual([]);
  expect(Object.entries(index.counts).filter(([, count]) => count > 0)).toEqual(
    Object.entries(assembled.rows).filter(([state, count]) => state !== 'total' && count > 0),
  );
  const results = JSON.parse(readFileSync(folder.reannotated, 'utf8')) as {
    annotation: string | null;
    annotations: (string | null)[];
    metadata: { usage: { total_tokens: number } | null };
  }[];
  return { index, states, paid, results, folder, assembled };
}

describe('the parts of rows', () => {
  it.each<[string, Line[], string, (string | null)[], string | null, number[]]>([
    ['one request for all', [{ row: 0, texts: ['a', 'b', 'c'] }], 'ok', ['a', 'b', 'c'], 'a', []],
    [
      'a server that gives one of three',
      [{ row: 0, texts: ['a'] }],
      'pending',
      ['a', null, null],
      null,
      [1, 2],
    ],
    [
      'the rest, one by one',
      [
        { row: 0, texts: ['a'] },
        { row: 0, choice: 2, texts: ['c'] },
        { row: 0, choice: 1, texts: ['b'] },
      ],
      'ok',
      ['a', 'b', 'c'],
      'a',
      [],
    ],
    ['more than were asked for', [{ row: 0, texts: ['a', 'b', 'c', 'd'] }], 'ok', ['a', 'b', 'c'], 'a', []],
    [
      'a failure among answers',
      [
        { row: 0, texts: ['a', 'b'] },
        { row: 0, choice: 2, errors: ['500: no'] },
      ],
      'failed',
      ['a', 'b', null],
      null,
      [2],
    ],
    [
      'a failure that was retried',
      [
        { row: 0, texts: ['a', 'b'] },
        { row: 0, choice: 2, errors: ['500: no'] },
        { row: 0, choice: 2, texts: ['c'] },
      ],
      'ok',
      ['a', 'b', 'c'],
      'a',
      [],
    ],
    ['a row that failed as a whole', [{ row: 0, errors: ['400: no'] }], 'failed', [], null, [0, 1, 2]],
    [
      'one that was cut off',
      [
        { row: 0, texts: ['a', 'b'] },
        { row: 0, choice: 2, texts: ['c'], finish: 'length' },
      ],
      'truncated',
      ['a', 'b', 'c'],
      'a',
      [],
    ],
    [
      'the first filtered',
      [
        { row: 0, choice: 0, texts: [null] },
        { row: 0, choice: 1, texts: ['b'] },
        { row: 0, choice: 2, texts: ['c'] },
      ],
      'filtered',
      [null, 'b', 'c'],
      null,
      [],
    ],
    [
      'a later one filtered',
      [
        { row: 0, choice: 0, texts: ['a'] },
        { row: 0, choice: 1, texts: [null] },
        { row: 0, choice: 2, texts: ['c'] },
      ],
      'ok',
      ['a', null, 'c'],
      'a',
      [],
    ],
    [
      'a second answer to the same part',
      [
        { row: 0, texts: ['a', 'b', 'c'] },
        { row: 0, choice: 1, texts: ['other'] },
      ],
      'ok',
      ['a', 'b', 'c'],
      'a',
      [],
    ],
    [
      'a choice that the run does not have',
      [
        { row: 0, texts: ['a', 'b', 'c'] },
        { row: 0, choice: 7, texts: ['x'] },
      ],
      'ok',
      ['a', 'b', 'c'],
      'a',
      [],
    ],
  ])('give the row its state: %s', async (_, lines, state, annotations, annotation, wanted) => {
    const { index, results, states } = await session(lines, 1, 3);
    expect(states).toEqual([state]);
    expect(results[0]).toMatchObject({ annotations, annotation });
    expect(index.parts?.wanted(0, FAILED)).toEqual(wanted);
    expect(index.isWanted(0, FAILED)).toBe(wanted.length > 0);
  });

  it('are each paid for once, and add up in the row’s usage', async () => {
    const { results, paid } = await session(
      [
        { row: 0, texts: ['a'] },
        { row: 0, choice: 1, texts: ['b'] },
        { row: 0, choice: 2, texts: ['c'] },
      ],
      1,
      3,
    );
    expect(paid).toEqual(['answer', 'answer', 'answer']);
    expect(results[0]?.metadata.usage?.total_tokens).toBe(6);
  });

  it('in any order of lines give the same states while they come and when they are read back', async () => {
    const line = fc.oneof(
      fc.record({
        row: fc.nat(2),
        choice: fc.option(fc.nat(3), { nil: undefined }),
        texts: fc.array(fc.oneof(fc.constant('x'), fc.constant(null)), { minLength: 1, maxLength: 3 }),
        finish: fc.constantFrom('stop', 'length'),
      }),
      fc.record({
        row: fc.nat(2),
        choice: fc.option(fc.nat(3), { nil: undefined }),
        errors: fc.constant(['500: no']),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), async (lines) => {
        // A line for one choice holds one.
        const written = lines.map((one) =>
          one.choice === undefined || 'errors' in one ? one : { ...one, texts: one.texts.slice(0, 1) },
        );
        await session(written as Line[], 3, 3);
      }),
      { numRuns: 40 },
    );
  });

  it('that cannot be read are asked for again, and only they', async () => {
    const { folder } = await session(
      [
        { row: 0, texts: ['a', 'b'] },
        { row: 0, choice: 2, texts: ['c'] },
      ],
      1,
      3,
    );
    const text = readFileSync(folder.journal, 'utf8').trimEnd().split('\n');
    // The answer of another row by one flipped digit of the prompt.
    writeFileSync(folder.journal, `${text[0] ?? ''}\n${(text[1] ?? '').replace('"p0"', '"p1"')}\n`);
    const { index } = open(1, 3);
    await scanJournal(folder.journal, index);
    const { damaged } = await assemble(folder, index, {
      ...{ includeMetadata: false, several: true, reasoning: 'separate' as const },
      onProgress: () => undefined,
    });
    expect(damaged).toHaveLength(1);
    for (const one of damaged) index.forgetLine(one.row, one.offset);
    expect(index.state(0)).toBe('pending');
    expect(index.parts?.wanted(0, FAILED)).toEqual([2]);
  });

  it('of a run that asks once: only the first of them counts', async () => {
    const root = temporaryFolder();
    const path = join(root, 'output.jsonl');
    const line = (choice: number | null, text: string): string => {
      const part = choice === null ? '' : `,"choice":${choice}`;
      return `[${String(request(0))},${String(answer([text]))},{"request_idx":0${part}}]`;
    };
    writeFileSync(path, `${line(1, 'second')}\n${line(0, 'first')}\n`);
    const index = indexOfRows(1, null);
    const paid: string[] = [];
    await scanJournal(path, index, { onEntry: ({ kind }) => paid.push(kind) });
    expect(paid).toEqual(['unused', 'answer']);
    expect(index.offsetOf(0)).toBe(line(1, 'second').length + 1);
  });
});

describe('a line with a part', () => {
  it.each([
    '{"request_idx":7,"choice":12}',
    '{"request_idx":7,"turn":0}',
    '{"escalated":4,"request_idx":7,"choice":1}',
  ])('ends its content where the metadata begin: %s', (metadata) => {
    const line = Buffer.from(`[${String(request(7))},${String(answer(['a']))},${metadata}]`);
    expect(new LineScanner().endOfContent(line, 0, line.length)).toBe(line.length - metadata.length - 2);
    expect(new LineScanner().rowOf(line, 0, line.length)).toBeNull();
    const fields = JSON.parse(metadata) as { choice?: number; turn?: number };
    const kind = fields.choice === undefined ? 'turn' : 'choice';
    expect(parseJournalLine(line)).toMatchObject({ row: 7, part: { kind, number: fields[kind] } });
  });

  it('is none if metadata only look like it', () => {
    const line = Buffer.from(`[${String(request(7))},${String(answer(['a']))},{"request_idx":7,"other":1}]`);
    expect(new LineScanner().endOfContent(line, 0, line.length)).toBe(-1);
    expect(parseJournalLine(line)).toMatchObject({ row: 7, part: null });
  });
});

describe('the turns of rows', () => {
  it('are asked one after the other, and an earlier one that is answered again undoes the later ones', () => {
    const index = indexOfRows(2, turnLayout(Uint32Array.of(3, 1)));
    const turn = (row: number, number: number) => ({
      row,
      part: { kind: 'turn' as const, number },
      choices: 1,
    });
    const wanted = (): (readonly number[] | undefined)[] =>
      [0, 1].map((row) => index.parts?.wanted(row, FAILED));
    expect(wanted()).toEqual([[0], [0]]);
    index.recordLine(turn(0, 0), 'ok', { offset: 0, length: 5 });
    index.recordLine(turn(1, 0), 'ok', { offset: 6, length: 5 });
    expect(wanted()).toEqual([[1], []]);
    index.recordLine(turn(0, 1), 'ok', { offset: 12, length: 5 });
    index.recordLine(turn(0, 2), 'truncated', { offset: 18, length: 5 });
    expect([index.state(0), index.state(1)]).toEqual(['truncated', 'ok']);
    index.forgetLine(0, 0);
    expect(wanted()).toEqual([[0], []]);
    index.recordLine(turn(0, 0), 'ok', { offset: 24, length: 5 });
    expect([index.state(0), wanted()[0]]).toEqual(['pending', [1]]);
  });

  it('end where one of them is not answered', () => {
    const index = indexOfRows(1, turnLayout(Uint32Array.of(3)));
    const turn = (number: number) => ({ row: 0, part: { kind: 'turn' as const, number }, choices: 1 });
    index.recordLine(turn(0), 'ok', { offset: 0, length: 5 });
    index.recordLine(turn(1), 'refused', { offset: 6, length: 5 });
    expect(index.state(0)).toBe('refused');
    expect(index.parts?.wanted(0, FAILED)).toEqual([]);
    expect(index.parts?.wanted(0, ['refused'])).toEqual([1]);
  });
});

describe('the request for one of several answers', () => {
  it.each([
    [{ n: 4, seed: 42 }, 0, { seed: 42 }],
    [{ n: 4, seed: 42 }, 3, { seed: 45 }],
    [{ n: 4, random_seed: 1 }, 2, { random_seed: 3 }],
    [{ n: 4 }, 2, {}],
    [{ seed: 7 }, 1, { seed: 8 }],
    [{ messages: [{ content: '"n":4' }], n: 2 }, 0, { messages: [{ content: '"n":4' }] }],
  ])('asks for one, with another seed: %j, %i', (body, number, expected) => {
    expect(JSON.parse(choiceBody(Buffer.from(JSON.stringify(body)), number).toString())).toEqual(expected);
  });
});
