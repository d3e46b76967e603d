import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { describe, expect, it } from 'vitest';
import { merge } from '../../src/commands/merge.js';
import { refuseParts } from '../../src/exports/parts.js';
import { EXIT, UserError } from '../../src/lib/errors.js';
import { shardFolder } from '../../src/shards/folders.js';
import { partsOfShards } from '../../src/shards/result-files.js';
import { temporaryFolder } from '../support/cli.js';
import { completion } from '../support/scripted-api.js';
import { plannedRun, quietSurroundings } from '../support/planned-run.js';

describe('parts of results', () => {
  it('are whole shards in their order, as few rows over the wanted number as these allow', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 120 }),
        (sizes, partRows) => {
          const parts = partsOfShards(sizes, partRows) ?? [];
          expect(parts.flat()).toEqual([...sizes.keys()]);
          const rowsOf = (shards: readonly number[]): number =>
            shards.reduce((sum, shard) => sum + (sizes[shard] ?? 0), 0);
          for (const part of parts.slice(0, -1)) {
            expect(rowsOf(part)).toBeGreaterThanOrEqual(partRows);
            expect(rowsOf(part.slice(0, -1))).toBeLessThan(partRows);
          }
        },
      ),
    );
  });

  it.each<[string, number[], number | null, number | null]>([
    ['ten million rows go into one file', [5_000_000, 5_000_000], null, null],
    ['more into parts of a million', Array<number>(24).fill(500_000), null, 12],
    ['however many into one file with none', Array<number>(24).fill(500_000), Infinity, null],
  ])('%s', (_, sizes, partRows, expected) => {
    expect(partsOfShards(sizes, partRows)?.length ?? null).toBe(expected);
  });
});

/** Rows of all parts of a format, one after the other. */
async function rowsIn(folder: string): Promise<object[]> {
  const rows: object[] = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (name.endsWith('.jsonl'))
      rows.push(
        ...readFileSync(path, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as object),
      );
    else rows.push(...(await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors })));
  }
  return rows;
}

/** Makes every answer of a shard a refusal, or an answer with reasoning. */
function answerAgain(runDir: string, shard: number, change: (answer: { message: object }) => object): void {
  const path = join(shardFolder(runDir, shard).temp, 'output.1.jsonl');
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  const changed = lines.map((line) => {
    const [request, , metadata] = JSON.parse(line) as [object, unknown, object];
    const response = completion('thought through');
    const [choice] = response.choices as [{ message: object }];
    return JSON.stringify([
      request,
      { ...response, choices: [{ ...choice, message: change(choice) }] },
      metadata,
    ]);
  });
  writeFileSync(path, `${changed.join('\n')}\n`.padEnd(readFileSync(path).length, '\n'));
}

describe('merging in parts', () => {
  it('writes the rows of one file for any shards and parts, and keeps nothing of an earlier merge', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
    const partRows = fc.integer({ min: 1, max: 8 });
    await fc.assert(
      fc.asyncProperty(sizes, partRows, partRows, async (shards, first, second) => {
        const folder = temporaryFolder();
        const planned = await plannedRun(folder, shards);
        const saved = join(folder, 'saved', 'run');
        expect(await merge(planned, null, quietSurroundings())).toBe(EXIT.done);
        const expected = JSON.parse(readFileSync(join(saved, 'reannotated.json'), 'utf8')) as object[];
        for (const rows of [first, second]) {
          expect(await merge(planned, rows, quietSurroundings())).toBe(EXIT.done);
          const parts = partsOfShards(shards, rows)?.length ?? 0;
          for (const format of ['jsonl', 'parquet']) {
            expect(readdirSync(join(saved, format))).toHaveLength(parts);
            expect(await rowsIn(join(saved, format))).toEqual(expected);
          }
          expect(readdirSync(saved).sort()).toEqual(['config.yaml', 'jsonl', 'parquet', 'summary.json']);
        }
        expect(await merge(planned, Infinity, quietSurroundings())).toBe(EXIT.done);
        expect(readdirSync(saved).sort()).toEqual(['config.yaml', 'reannotated.json', 'summary.json']);
      }),
      { numRuns: 6 },
    );
  });

  it('gives all parts the same columns, and a type to those that are null in one part alone', async () => {
    const folder = temporaryFolder();
    const planned = await plannedRun(folder, [2, 2, 2]);
    answerAgain(planned.runDir, 2, ({ message }) => ({ ...message, reasoning_content: 'because' }));
    answerAgain(planned.runDir, 0, () => ({ role: 'assistant', content: null, refusal: 'No.' }));
    await merge(planned, 1, quietSurroundings());
    const rows = await rowsIn(join(folder, 'saved', 'run', 'jsonl'));
    expect(new Set(rows.map((row) => Object.keys(row).join()))).toEqual(
      new Set(['system_prompt,user_prompt,annotation_original,annotation,reasoning']),
    );
    // No row has an original, so that column is null in all parts.
    expect(rows.map((row) => (row as { annotation_original: unknown }).annotation_original)).toEqual(
      Array(6).fill(null),
    );
    const reasoning = rows.map((row) => (row as { reasoning: unknown }).reasoning);
    expect(reasoning).toEqual(['', null, '', null, 'because', 'because']);
  });

  it('is refused where rows are to be left out, which is decided over one file', async () => {
    const planned = await plannedRun(temporaryFolder(), [2, 1], { drop: 'truncated' });
    await expect(merge(planned, 1, quietSurroundings())).rejects.toThrow(
      /--part_rows none, or plan without them/,
    );
    expect(await merge(planned, null, quietSurroundings())).toBe(EXIT.done);
  });

  it('writes the formats that are asked for, and leaves folders of others alone', async () => {
    const folder = temporaryFolder();
    const planned = await plannedRun(folder, [2, 1], { output_format: 'messages,parquet' });
    const saved = join(folder, 'saved', 'run');
    mkdirSync(join(saved, 'jsonl'), { recursive: true, mode: 0o700 });
    writeFileSync(join(saved, 'jsonl', 'mine.txt'), 'keep me');
    expect(await merge(planned, 1, quietSurroundings())).toBe(EXIT.done);
    expect(() => {
      refuseParts(saved);
    }).toThrow('--part_rows none');
    expect(readdirSync(join(saved, 'messages'))).toEqual([
      'part-00000-of-00002.jsonl',
      'part-00001-of-00002.jsonl',
    ]);
    expect(readFileSync(join(saved, 'jsonl', 'mine.txt'), 'utf8')).toBe('keep me');
    const own = await plannedRun(temporaryFolder(), [1]);
    const other = join(own.settings.output.saveDir, 'run', 'parquet');
    mkdirSync(other, { recursive: true, mode: 0o700 });
    writeFileSync(join(other, 'mine.txt'), 'keep me');
    await expect(merge(own, 1, quietSurroundings())).rejects.toThrow('contains files that are not parts');
  });

  it('leaves earlier results as they are where a shard turns out to be damaged', async () => {
    const folder = temporaryFolder();
    const planned = await plannedRun(folder, [2, 2]);
    const saved = join(folder, 'saved', 'run');
    expect(await merge(planned, 1, quietSurroundings())).toBe(EXIT.done);
    const before = await rowsIn(join(saved, 'parquet'));
    const path = join(shardFolder(planned.runDir, 1).temp, 'output.1.jsonl');
    writeFileSync(path, readFileSync(path, 'utf8').replace('"prompt', '"tpmorp'));
    await expect(merge(planned, 1, quietSurroundings())).rejects.toThrow(UserError);
    expect(await rowsIn(join(saved, 'parquet'))).toEqual(before);
    expect(readdirSync(saved).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(existsSync(join(saved, 'reannotated.json'))).toBe(false);
  });
});
