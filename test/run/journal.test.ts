import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { workUnder } from '../../src/lib/fence.js';
import { readLines } from '../../src/lib/files.js';
import { JournalIndex, JournalWriter, scanJournal } from '../../src/run/journal.js';
import { parseJournalLine } from '../../src/run/journal-line.js';
import { LineScanner } from '../../src/run/line-scanner.js';
import { endOfText } from '../../src/run/text-end.js';
import { runName } from '../../src/run/folder.js';
import { codePoint } from '../support/code-point.js';
import { temporaryFolder } from '../support/cli.js';
import { completion } from '../support/scripted-api.js';

const ROWS = 20;

function answerLine(row: number, text: string): string {
  return JSON.stringify([{ model: 'm' }, completion(text), { request_idx: row }]);
}

function failureLine(row: number): string {
  return JSON.stringify([{ model: 'm' }, ['500: no'], { request_idx: row }]);
}

describe('the journal', () => {
  it('is read back as written, also when it is torn, shuffled, doubled, foreign or damaged', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'output.jsonl');
    const row = fc.integer({ min: 0, max: ROWS + 3 });
    const line = fc.oneof(
      {
        weight: 5,
        arbitrary: fc
          .tuple(row, fc.string())
          .map(([one, text]) => ({ row: one, kind: 'answer', text: answerLine(one, `x${text}\u2028`) })),
      },
      { weight: 2, arbitrary: row.map((one) => ({ row: one, kind: 'failure', text: failureLine(one) })) },
      {
        weight: 1,
        arbitrary: fc.string().map((text) => ({ row: -1, kind: 'noise', text: text.replaceAll('\n', ' ') })),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 40 }), fc.nat(60), async (lines, torn) => {
        const last = answerLine(3, 'last').slice(0, torn);
        writeFileSync(path, lines.map(({ text }) => `${text}\n`).join('') + last);
        const index = new JournalIndex(ROWS);
        await scanJournal(path, index);
        for (let one = 0; one < ROWS; one++) {
          const own = lines.filter((entry) => entry.row === one);
          const answer = own.find(({ kind }) => kind === 'answer');
          expect(index.state(one)).toBe(answer !== undefined ? 'ok' : own.length > 0 ? 'failed' : 'pending');
          const place = index.place(one);
          if (answer === undefined || place === null) continue;
          const bytes = readFileSync(path).subarray(place.offset, place.offset + place.length);
          expect(bytes.toString('utf8')).toBe(answer.text);
        }
        // The torn part was removed: the file ends with a complete line.
        const left = readFileSync(path, 'utf8');
        expect(left === '' || left.endsWith('\n')).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('holds what was appended within one turn of the event loop, at the places that were returned', async () => {
    const path = join(temporaryFolder(), 'output.jsonl');
    const journal = new JournalWriter(path, (error) => {
      throw error;
    });
    const texts = ['a', 'b'.repeat(400_000), 'c\u2028🙂', 'd'.repeat(700_000), 'e'];
    const places = texts.map((text, row) =>
      journal.appendAnswer(Buffer.from('{}'), Buffer.from(JSON.stringify(completion(text))), { row }),
    );
    places.push(journal.appendFailure(Buffer.from('{}'), { errors: ['no'], filtered: true }, { row: 5 }));
    await new Promise((resolve) => setImmediate(resolve));
    const bytes = readFileSync(path);
    places.forEach(({ offset, length }, row) => {
      const entry = parseJournalLine(bytes.subarray(offset, offset + length));
      expect(entry).toMatchObject(
        row === 5
          ? { kind: 'failure', state: 'filtered', errors: ['no'] }
          : { kind: 'answer', completion: { annotation: texts[row] } },
      );
    });
    journal.close();
  });

  it('never throws on a line', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        parseJournalLine(Buffer.from(text));
      }),
    );
  });
});

describe('readLines', () => {
  it('gives the lines of any bytes, split at newlines alone', () => {
    const path = join(temporaryFolder(), 'lines');
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: codePoint }).map((text) => text.replaceAll('\n', '\r'))),
        fc.boolean(),
        (lines, ended) => {
          const text = lines.join('\n') + (ended && lines.length > 0 ? '\n' : '');
          writeFileSync(path, text);
          const expected = text === '' ? [] : text.replace(/\n$/, '').split('\n');
          expect(Array.from(readLines(path), ({ bytes }) => bytes.toString('utf8'))).toEqual(
            expected.map((one) => Buffer.from(one).toString('utf8')),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('puts lines together that are longer than what is read at a time', () => {
    const path = join(temporaryFolder(), 'lines');
    const lines = ['x'.repeat(3_000_000), '', 'y', 'z'.repeat(1_048_576)];
    writeFileSync(path, lines.join('\n'));
    const read = Array.from(readLines(path), ({ bytes }) => bytes.toString());
    expect(read.map((line) => [line.length, line[0]])).toEqual(lines.map((line) => [line.length, line[0]]));
    expect(read.join('\n') === lines.join('\n')).toBe(true);
  });
});

describe('runName', () => {
  it('never leaves its parent folder and always fits a file system', () => {
    expect(runName('glaiveai/glaive-code-assistant', 'gpt-4o-mini')).toBe(
      'glaiveai_glaive-code-assistant_gpt-4o-mini',
    );
    fc.assert(
      fc.property(fc.string({ unit: codePoint, maxLength: 2000 }), fc.string(), (dataset, annotator) => {
        const name = runName(dataset, annotator);
        expect(name).not.toMatch(/[/\u0000]/);
        expect(['', '.', '..']).not.toContain(name);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
      }),
    );
  });
});

describe('a quick look at a line of the journal', () => {
  function cutText(line: Buffer): { model: string; text: string } | null {
    const found = new LineScanner().findText(line, 0, line.length);
    const end = found === null ? -1 : endOfText(line, found.start, line.length);
    return found === null || end === -1
      ? null
      : { model: found.model, text: line.toString('utf8', found.start, end) };
  }

  const text = fc.oneof(
    fc.string({ unit: codePoint }).map((one) => one.toWellFormed()),
    fc.constantFrom(
      '"',
      '\\',
      '\\"',
      '"finish_reason":"stop"}]',
      '\u2028',
      '/',
      '\u0001',
      'é',
      '"usage":{"prompt_tokens":1,"completion_tokens":2}',
    ),
  );
  const tokens = fc.constantFrom(0, 1, 7, 2000, 1e9, '12', -1, 1.5, null);
  const dialects = fc.record(
    {
      total_tokens: tokens,
      completion_tokens: tokens,
      cost: fc.constantFrom(0, 0.0012, '0.5', -1, null, { total_cost: 0.01 }),
      cost_in_usd_ticks: fc.constantFrom(0, 1_176_500, 1e99),
      cached_tokens: tokens,
      prompt_cache_hit_tokens: tokens,
      cache_read_input_tokens: tokens,
      cache_creation_input_tokens: tokens,
      completion_tokens_details: fc.record({ reasoning_tokens: tokens }),
      note: fc.constantFrom('}', '"cost":1}', '\\"'),
    },
    { requiredKeys: [] },
  );
  const answer = fc.record({
    content: fc.option(text),
    finish: fc.constantFrom('stop', 'stop', 'stop', 'length', 'content_filter'),
    refusal: fc.option(text, { freq: 5 }),
    model: fc.constantFrom('gpt-4o-mini-2024-07-18', 'org/model "x"', 'ü'),
    cached: fc.option(fc.nat(1000)),
    tier: fc.option(fc.constantFrom('default', 'flex')),
    noUsage: fc.boolean(),
    /** What other servers report beside or instead of OpenAI's counts. */
    dialect: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, dialects),
    row: fc.nat(1_000_000),
    /** Fields in another order, more of them, a failure. */
    shape: fc.constantFrom('usual', 'usual', 'usual', 'spaced', 'usage first', 'vllm', 'failure', 'escaped'),
  });

  function lineOf(one: typeof answer extends fc.Arbitrary<infer Answer> ? Answer : never): string {
    const { content, finish, refusal, model, cached, tier, noUsage, dialect, row, shape } = one;
    const whole = completion(content, { finish, model, ...(refusal === null ? {} : { refusal }) });
    const { usage, ...rest } = whole;
    const details =
      cached === null ? {} : { prompt_tokens_details: { cached_tokens: cached, audio_tokens: 0 } };
    const used = noUsage ? {} : { usage: { ...(usage as object), ...details, ...dialect } };
    const choices = rest['choices'] as Record<string, unknown>[];
    if (shape === 'vllm' && choices[0] !== undefined) choices[0]['stop_reason'] = null;
    const tiers = tier === null ? {} : { service_tier: tier };
    const response =
      shape === 'usage first' ? { ...used, ...tiers, ...rest } : { ...rest, ...used, ...tiers };
    const value = [
      { model: 'm', messages: [{ role: 'user', content }] },
      shape === 'failure' ? ['500: no'] : response,
      { request_idx: row },
    ];
    if (shape === 'escaped')
      return JSON.stringify(value).replace(
        /[\u0080-\uffff]/g,
        (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
      );
    return shape === 'spaced'
      ? JSON.stringify(value, null, 1).replace(/,\n */g, ', ').replace(/\n */g, '')
      : JSON.stringify(value);
  }

  const scanner = new LineScanner();

  it('sees what parsing finds, or nothing', () => {
    const ordinary = answerLine(7, 'another text');
    let seen = 0;
    fc.assert(
      fc.property(answer, fc.constantFrom('', '[', ordinary), (one, before) => {
        const line = Buffer.from(lineOf(one));
        const entry = parseJournalLine(line);
        // Lines are read in place, among others.
        const block = Buffer.from(`${before}\n${line.toString('utf8')}\n${before}`);
        const start = before.length + 1;
        const found = scanner.peek(block, start, start + line.length);
        if (found === null) return;
        seen += 1;
        if (entry?.kind !== 'answer') throw new Error('a quick look took something else for an answer');
        const { state, model, annotation } = entry.completion;
        const { usage, tier } = entry.figures();
        expect({
          state: 'ok',
          row: found.row,
          usage: found.usage,
          tier: found.tier,
        }).toEqual({ state, row: entry.row, usage, tier });
        const cut = cutText(line);
        if (cut !== null) expect(cut).toEqual({ model, text: JSON.stringify(annotation) });
      }),
      { numRuns: 3000 },
    );
    // The ordinary ones are seen, or it would be of no use.
    expect(seen).toBeGreaterThan(100);
  });

  it('takes nothing from a line that a flipped bit made invalid JSON', () => {
    const line = Buffer.from(answerLine(1, 'some text with \\ and " in it, and more'));
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.nat(7), (at, bit) => {
        const flipped = Buffer.from(line);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        const found = scanner.peek(flipped, 0, flipped.length);
        const cut = found === null ? null : cutText(flipped);
        if (cut !== null) expect(() => JSON.parse(cut.text) as unknown).not.toThrow();
      }),
    );
  });
});

describe('answers that come after another process took the run over', () => {
  it('are taken in by every later run, also while they still come', async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'output.jsonl');
    const answer = (row: number): [Buffer, Buffer, { row: number }] => [
      Buffer.from('{"model":"m"}'),
      Buffer.from(JSON.stringify(completion(`answer ${row}`))),
      { row },
    ];
    const answered = async (): Promise<number[]> => {
      const index = new JournalIndex(ROWS);
      await scanJournal(path, index);
      return [...Array(ROWS).keys()].filter((row) => index.state(row) === 'ok');
    };
    const writer = new JournalWriter(path, () => undefined);
    let isHeld = true;
    workUnder({ verify: () => isHeld, lost: 'taken over', token: 'a_token' });
    onTestFinished(() => {
      workUnder(null);
    });
    writer.appendAnswer(...answer(0));
    writer.flush();
    isHeld = false;
    writer.appendAnswer(...answer(1));
    writer.flush();
    expect(readFileSync(path, 'utf8')).not.toContain('answer 1');
    expect(await answered()).toEqual([0, 1]);
    writer.appendAnswer(...answer(2));
    writer.flush();
    writer.appendAnswer(...answer(3));
    expect(await answered()).toEqual([0, 1, 2]);
    writer.close();
    expect(await answered()).toEqual([0, 1, 2, 3]);
    expect(readdirSync(folder)).toEqual(['output.jsonl']);
  });

  it('are taken in without a last line that is torn', async () => {
    const path = join(temporaryFolder(), 'output.jsonl');
    writeFileSync(path, `${answerLine(0, 'a')}\n`);
    writeFileSync(`${path}.rescued-x`, `${answerLine(1, 'b')}\n${answerLine(2, 'c').slice(0, 30)}`);
    const index = new JournalIndex(ROWS);
    await scanJournal(path, index);
    expect([0, 1, 2].map((row) => index.state(row))).toEqual(['ok', 'ok', 'pending']);
  });
});
