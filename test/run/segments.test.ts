import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { workUnder } from '../../src/lib/fence.js';
import { assemble, assembleFiles, type AssembleOptions } from '../../src/run/assemble.js';
import { runFolder } from '../../src/run/folder.js';
import {
  JournalIndex,
  JournalWriter,
  LAST_SEGMENT,
  scanJournal,
  SEGMENT_SPAN,
  type JournalSegment,
} from '../../src/run/journal.js';
import { temporaryFolder } from '../support/cli.js';
import { completion } from '../support/scripted-api.js';

const ROWS = 12;
const OPTIONS: AssembleOptions = {
  includeMetadata: false,
  several: false,
  reasoning: 'separate',
  onProgress: () => undefined,
};

function promptOf(row: number): string {
  return `prompt ${row}`;
}

function answerLine(row: number, text: string): string {
  const request = { model: 'm', messages: [{ role: 'user', content: promptOf(row) }] };
  return JSON.stringify([request, completion(text), { request_idx: row }]);
}

function failureLine(row: number): string {
  const request = { model: 'm', messages: [{ role: 'user', content: promptOf(row) }] };
  return JSON.stringify([request, ['500: no'], { request_idx: row }]);
}

function rowLines(from: number, to: number): string {
  let text = '';
  for (let row = from; row < to; row++) {
    const line = { system_prompt: '', user_prompt: promptOf(row), annotation_original: null };
    text += `${JSON.stringify(line)}\n`;
  }
  return text;
}

function segmentsOf(folder: string, texts: readonly string[]): JournalSegment[] {
  return texts.map((text, place) => {
    const path = join(folder, `output.${place + 1}.jsonl`);
    writeFileSync(path, text);
    return { number: place + 1, path };
  });
}

const line = fc
  .record({ row: fc.nat(ROWS + 1), text: fc.string(), isAnswer: fc.boolean() })
  .map(({ row, text, isAnswer }) => (isAnswer ? answerLine(row, `x${text}`) : failureLine(row)));

describe('a journal of several segments', () => {
  it('gives the results of one file that holds all of its lines', async () => {
    const [one, several] = [temporaryFolder(), temporaryFolder()];
    for (const folder of [one, several]) {
      mkdirSync(join(folder, 'run'), { recursive: true });
      writeFileSync(join(folder, 'run', 'rows.jsonl'), rowLines(0, ROWS));
    }
    const torn = fc
      .tuple(fc.nat(ROWS - 1), fc.nat(60))
      .map(([row, length]) => answerLine(row, 'torn').slice(0, length));
    const segment = fc.tuple(fc.array(line, { maxLength: 10 }), torn);
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { maxLength: 4 }), async (parts) => {
        const whole = (lines: readonly string[]): string => lines.map((text) => `${text}\n`).join('');
        const plain = { ...runFolder(one, one, 'run') };
        writeFileSync(plain.journal, parts.map(([lines]) => whole(lines)).join(''));
        const index = new JournalIndex(ROWS);
        await scanJournal(plain.journal, index);
        await assemble(plain, index, OPTIONS);

        const texts = parts.map(([lines, rest]) => whole(lines) + rest);
        const segments = segmentsOf(join(several, 'run'), texts);
        const folder = { ...runFolder(several, several, 'run'), segments };
        const union = new JournalIndex(ROWS);
        const report = await scanJournal(segments, union);
        await assemble(folder, union, OPTIONS);

        expect(readFileSync(folder.reannotated, 'utf8')).toBe(readFileSync(plain.reannotated, 'utf8'));
        expect(report).toMatchObject({
          damaged: 0,
          tornBytes: parts.reduce((sum, [, rest]) => sum + rest.length, 0),
        });
        // Another process may still append to any of them.
        segments.forEach(({ path }, place) => {
          expect(readFileSync(path, 'utf8')).toBe(texts[place]);
        });
      }),
      { numRuns: 40 },
    );
  });

  it('counts what its attempts append, at places that later attempts do not change', async () => {
    const folder = temporaryFolder();
    const index = new JournalIndex(2);
    for (const number of [1, LAST_SEGMENT]) {
      const writer = new JournalWriter(
        join(folder, `output.${number}.jsonl`),
        () => expect.unreachable(),
        number,
      );
      const row = number === 1 ? 0 : 1;
      const place = writer.appendAnswer(Buffer.from('{}'), Buffer.from(JSON.stringify(completion('a'))), {
        row,
      });
      writer.close();
      expect(place.offset).toBe(number * SEGMENT_SPAN);
      index.record(row, 'ok', place.offset, place.length);
    }
    const again = new JournalIndex(2);
    const segments = [1, LAST_SEGMENT].map((number) => ({
      number,
      path: join(folder, `output.${number}.jsonl`),
    }));
    await scanJournal(segments, again);
    expect([again.place(0), again.place(1)]).toEqual([index.place(0), index.place(1)]);
  });

  it('keeps answers in the segment of the attempt that paid for them, also after it lost its lease', () => {
    const path = join(temporaryFolder(), 'output.1.jsonl');
    const writer = new JournalWriter(path, () => expect.unreachable(), 1);
    workUnder({ verify: () => false, lost: 'taken over', token: 't' });
    onTestFinished(() => {
      workUnder(null);
    });
    writer.appendAnswer(Buffer.from('{}'), Buffer.from(JSON.stringify(completion('late'))), { row: 0 });
    writer.close();
    expect(readFileSync(path, 'utf8')).toContain('late');
  });
});

describe('results of several parts', () => {
  it.each([[[5, 7]], [[1, 1, 10]], [[12]]])('of %j rows are those of one part', async (sizes) => {
    const folder = temporaryFolder();
    const target = runFolder(folder, folder, 'target');
    mkdirSync(target.save);
    const answers = Array.from({ length: ROWS }, (_, row) =>
      row % 4 === 3 ? failureLine(row) : answerLine(row, `answer ${row}`),
    );
    writeFileSync(target.rows, rowLines(0, ROWS));
    writeFileSync(target.journal, `${answers.join('\n')}\n`);
    const index = new JournalIndex(ROWS);
    await scanJournal(target.journal, index);
    await assemble(target, index, OPTIONS);
    const expected = [target.reannotated, target.failedRows].map((path) => readFileSync(path, 'utf8'));

    async function* parts() {
      let start = 0;
      for (const size of sizes) {
        const part = join(folder, `part-${start}`);
        mkdirSync(part);
        const rows = join(part, 'rows.jsonl');
        writeFileSync(rows, rowLines(start, start + size));
        const own = answers
          .slice(start, start + size)
          .map((text, row) => text.replace(/"request_idx":\d+/, `"request_idx":${row}`));
        const journal = segmentsOf(part, [`${own.join('\n')}\n`]);
        const partIndex = new JournalIndex(size);
        await scanJournal(journal, partIndex);
        yield { rows, journal, index: partIndex };
        start += size;
      }
    }
    await assembleFiles(target.failedRows, [{ path: target.reannotated, parts }], OPTIONS);
    expect([target.reannotated, target.failedRows].map((path) => readFileSync(path, 'utf8'))).toEqual(
      expected,
    );
  });

  it('leave earlier results alone where they are refused at the end', async () => {
    const folder = temporaryFolder();
    const target = runFolder(folder, folder, 'target');
    mkdirSync(target.save);
    writeFileSync(target.rows, rowLines(0, 1));
    writeFileSync(target.reannotated, 'earlier');
    const check = (): void => {
      throw new Error('not whole');
    };
    const part = { rows: target.rows, journal: [], index: new JournalIndex(1) };
    const files = [{ path: target.reannotated, parts: () => [part] }];
    await expect(assembleFiles(target.failedRows, files, { ...OPTIONS, check })).rejects.toThrow('not whole');
    expect(readFileSync(target.reannotated, 'utf8')).toBe('earlier');
  });
});
