import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it, vi } from 'vitest';
import { openDataset } from '../../src/datasets/index.js';
import { ParquetFile } from '../../src/datasets/parquet.js';
import { UserError } from '../../src/lib/errors.js';
import { temporaryFolder } from '../support/cli.js';
import { cases, Tally } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const RUNS = cases(50, 2500);
/** Each of these starts a process. */
const PARQUET_RUNS = cases(2, 500);
const HUB = { endpoint: '', datasetsServerUrl: '', token: null };
const ignore = (): void => undefined;

/** Valid files; what is tried is what becomes of them. */
function files(): Record<string, Buffer> {
  const rows = Array.from({ length: 300 }, (_, index) => ({
    prompt: `Prompt ${index} — “é”\nwith a line`,
    response: index % 7 === 0 ? '' : `Response ${index}, "quoted"`,
  }));
  const column = (name: 'prompt' | 'response'): { name: string; data: string[]; type: 'STRING' } => ({
    name,
    data: rows.map((row) => row[name]),
    type: 'STRING',
  });
  const parquet = parquetWriteBuffer({
    columnData: [column('prompt'), column('response')],
    rowGroupSize: 100,
  });
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  return {
    parquet: Buffer.from(parquet),
    csv: Buffer.from(
      ['prompt,response', ...rows.map((row) => `${quoted(row.prompt)},${quoted(row.response)}`)].join('\n'),
    ),
    json: Buffer.from(JSON.stringify(rows)),
    jsonl: Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n')),
    // UTF-16 with a byte order mark.
    tsv: Buffer.from(
      `\ufeffprompt\tresponse\n${rows.map((row) => `${quoted(row.prompt)}\t${quoted(row.response)}`).join('\n')}`,
      'utf16le',
    ),
  };
}

/** What happens to the bytes of a file: flips, overwritten and removed stretches, a cut, a repetition. */
const damage = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('flip'),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      value: fc.nat(255),
    }),
    fc.record({
      kind: fc.constant('fill'),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      value: fc.nat(255),
    }),
    fc.record({
      kind: fc.constant('remove'),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      value: fc.nat(64),
    }),
    fc.record({ kind: fc.constant('cut'), at: fc.double({ min: 0, max: 1, noNaN: true }), value: fc.nat(1) }),
    fc.record({
      kind: fc.constant('repeat'),
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      value: fc.nat(255),
    }),
  ),
  { minLength: 1, maxLength: 4 },
);

function apply(bytes: Buffer, steps: { kind: string; at: number; value: number }[], tail: boolean): Buffer {
  let result = Buffer.from(bytes);
  for (const { kind, at, value } of steps) {
    // Parquet keeps what it says about itself at its end: that is where damage is worst.
    const from = tail ? Math.max(0, result.length - 600) : 0;
    const place = Math.max(0, Math.floor(from + at * (result.length - 1 - from)));
    if (result.length === 0) break;
    if (kind === 'flip') result[place] = value;
    else if (kind === 'fill') result.fill(value, place, Math.min(place + 16, result.length));
    else if (kind === 'cut') result = result.subarray(0, place);
    else {
      const rest = result.subarray(kind === 'remove' ? place + value : Math.max(0, place - value));
      result = Buffer.concat([result.subarray(0, place), rest]);
    }
  }
  return result;
}

describe('a file that is damaged or crafted', () => {
  const valid = files();
  it.each(Object.keys(valid))('gives rows, row problems or a sentence: .%s', async (ending) => {
    const tally = new Tally(`fuzz: damaged and crafted .${ending} files`);
    const runs = ending === 'parquet' ? PARQUET_RUNS : RUNS;
    const path = join(temporaryFolder(), `data.${ending}`);
    let read = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damage, fc.boolean(), async (steps, tail) => {
        writeFileSync(path, apply(valid[ending] ?? Buffer.alloc(0), steps, tail));
        try {
          const reporter = { debug: ignore, info: ignore, warning: ignore, error: ignore };
          const opened = await openDataset({ dataset: path, subset: null, split: 'train' }, HUB, reporter);
          let index = 0;
          for await (const row of opened.rows({ columns: opened.columns, offset: 0, limit: null })) {
            expect(row.index).toBe(index);
            // Bytes that are not text end the reading; they never become a character of a prompt.
            expect(JSON.stringify(row)).not.toContain('\ufffd');
            index += 1;
          }
          read += 1;
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          expect(error.message).toMatch(/[.!?]$|^.{10,}$/s);
          refused += 1;
        }
      }),
      { numRuns: runs },
    );
    expect(read + refused).toBe(runs);
    tally.survived(runs);
    // A bad line is one row's problem, so JSON Lines are hardly ever refused.
    if (!/jsonl|parquet/.test(ending)) expect(refused).toBeGreaterThan(0);
  });

  it('gives rows or a sentence where Parquet is decoded', async () => {
    const tally = new Tally('fuzz: damaged Parquet, without its process');
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(damage, fc.boolean(), async (steps, tail) => {
        const bytes = Uint8Array.from(apply(valid['parquet'] ?? Buffer.alloc(0), steps, tail));
        try {
          const file = await ParquetFile.open(bytes.buffer, 'data.parquet');
          for await (const row of file.read(file.columns, 0, Math.min(file.rows, 1000)))
            expect(JSON.stringify(row)).not.toContain('\ufffd');
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          refused += 1;
        }
      }),
      { numRuns: RUNS },
    );
    tally.survived(RUNS);
    expect(refused).toBeGreaterThan(0);
  });

  it('does not touch prototypes', () => {
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});
