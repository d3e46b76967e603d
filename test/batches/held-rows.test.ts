import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { newChunk, type Chunk, type ChunkState } from '../../src/batches/chunk.js';
import { rowsHeld } from '../../src/batches/held-rows.js';
import { Ledger } from '../../src/batches/ledger.js';
import { requestLine } from '../../src/batches/request-line.js';
import { resultPath } from '../../src/batches/result-files.js';
import { findRunFolder, type RunFolder } from '../../src/run/folder.js';
import { temporaryFolder } from '../support/cli.js';

const ROWS = 8;

function runFolder(): RunFolder {
  const root = temporaryFolder();
  const where = { saveDir: join(root, 's'), tempDir: join(root, 't'), runName: null };
  const folder = findRunFolder({ ...where, dataset: 'data.json', annotator: 'gpt-4o-mini' });
  mkdirSync(folder.temp, { recursive: true });
  mkdirSync(folder.downloads, { recursive: true });
  return folder;
}

function batchOf(number: number): Batch {
  const files = { output_file_id: `out_${number}`, error_file_id: `err_${number}` };
  const batch = readBatch({ id: `batch_${number}`, status: 'completed', ...files });
  if (batch === null) throw new Error('no batch');
  return batch;
}

/** A chunk that sent some rows, and what its batch reported about some of them. */
interface OnlineResult {
  state: ChunkState;
  rows: number[];
  answered?: number[];
  failed?: number[];
  /** Other lines of the error file. */
  damage?: string;
}

function chunkOf(
  { state, rows, answered, failed, damage = '' }: OnlineResult,
  number: number,
  folder: RunFolder,
): Chunk {
  const file = `jobs_batch_${number}.json`;
  const body = Buffer.from('{"model":"m","messages":[]}');
  writeFileSync(join(folder.temp, file), Buffer.concat(rows.map((row) => requestLine(row, body))));
  const batch = batchOf(number);
  const write = (kind: 'output' | 'error', ids: number[] | undefined, more: string): void => {
    if (ids === undefined) return;
    const lines = ids.map((id) => `{"custom_id":"${id}","response":null,"error":{"code":"batch_expired"}}\n`);
    writeFileSync(resultPath(folder, batch, kind) ?? '', lines.join('') + more);
  };
  write('output', answered, '');
  write('error', failed, damage);
  return { ...newChunk(number, file, { requests: rows.length, bytes: 1, tokens: 1 }), state, batch };
}

async function held(...asked: OnlineResult[]): Promise<number[]> {
  const folder = runFolder();
  const ledger = Ledger.open(folder);
  ledger.add(asked.map((one, number) => chunkOf(one, number, folder)));
  const marks = await rowsHeld(ledger, folder, ROWS);
  return [...marks.keys()].filter((row) => marks[row] === 1);
}

describe('rows that are held back', () => {
  it.each<[string, OnlineResult[], number[]]>([
    ['of a batch that runs', [{ state: 'submitted', rows: [0, 1] }], [0, 1]],
    ['of one that is collected: none', [{ state: 'collected', rows: [0, 1] }], []],
    ['of one that is gone', [{ state: 'gone', rows: [2, 3], failed: [2] }], [2, 3]],
    [
      'of one that fell short: those without a line',
      [{ state: 'short', rows: [0, 1, 2], answered: [0], failed: [1] }],
      [2],
    ],
    ['of one that fell short and named no file', [{ state: 'short', rows: [0, 1] }], [0, 1]],
    [
      'whose line is damaged',
      [{ state: 'short', rows: [0, 1, 2], failed: [0], damage: '{"custom_id":"1","resp\n\nnull\n' }],
      [1, 2],
    ],
    [
      'where a line of an older batch says nothing about a newer one',
      [
        { state: 'short', rows: [4, 5], failed: [4] },
        { state: 'submitted', rows: [4] },
      ],
      [4, 5],
    ],
    [
      'where two fell short, and one of them answered',
      [
        { state: 'short', rows: [4, 5], failed: [4] },
        { state: 'short', rows: [4], failed: [] },
      ],
      [4, 5],
    ],
  ])('%s', async (_, asked, expected) => {
    expect(await held(...asked)).toEqual(expected);
  });
});
