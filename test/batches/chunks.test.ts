import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkChunk, halve, planChunks } from '../../src/batches/chunks.js';
import { LineIndex } from '../../src/batches/line-index.js';
import { bodyOf, rowOf, rowOfId } from '../../src/batches/request-line.js';
import type { Chunk } from '../../src/batches/chunk.js';
import { Ledger } from '../../src/batches/ledger.js';
import { runFolder, type RunFolder } from '../../src/run/folder.js';
import { codePoint } from '../support/code-point.js';
import { temporaryFolder } from '../support/cli.js';

function body(prompt: string): Record<string, unknown> {
  return { model: 'gpt-4o-mini', messages: [{ role: 'user', content: prompt }] };
}

function runWith(prompts: readonly string[]): RunFolder {
  const root = temporaryFolder();
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), 'run');
  mkdirSync(folder.save, { recursive: true });
  mkdirSync(folder.temp, { recursive: true });
  const jobs = prompts.map((prompt, row) =>
    JSON.stringify({ ...body(prompt), metadata: { request_idx: row } }),
  );
  writeFileSync(folder.jobs, jobs.map((job) => `${job}\n`).join(''));
  return folder;
}

async function plan(
  folder: RunFolder,
  rows: number,
  limits: { requests: number; bytes: number },
): Promise<{ ledger: Ledger; chunks: Chunk[]; tooLarge: number[] }> {
  const ledger = Ledger.open(folder);
  const tooLarge: number[] = [];
  const chunks = await planChunks(
    folder,
    ledger,
    {
      ...{ total: rows, wanted: () => true, url: '/v1/chat/completions' },
      ...{ onTooLarge: (row) => tooLarge.push(row), onProgress: () => undefined },
    },
    limits,
  );
  return { ledger, chunks, tooLarge };
}

function linesOf(ledger: Ledger, chunk: Chunk): Buffer[] {
  const text = readFileSync(ledger.pathOf(chunk) ?? '');
  return text
    .toString('utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => Buffer.from(line));
}

describe('chunks', () => {
  it('hold every row once, in order, within both limits, for any prompts', async () => {
    const prompts = fc.array(
      fc.string({ unit: codePoint, maxLength: 400 }).map((text) => text.toWellFormed()),
      { minLength: 1, maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(
        prompts,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 250, max: 3000 }),
        async (texts, requests, bytes) => {
          const folder = runWith(texts);
          const { ledger, chunks, tooLarge } = await plan(folder, texts.length, { requests, bytes });
          const rows: number[] = [];
          for (const chunk of chunks) {
            const path = ledger.pathOf(chunk) ?? '';
            expect(statSync(path).size).toBe(chunk.bytes);
            expect(chunk.bytes).toBeLessThanOrEqual(bytes);
            expect(chunk.requests).toBeLessThanOrEqual(requests);
            await checkChunk(path, chunk);
            for (const line of linesOf(ledger, chunk)) {
              const row = rowOf(line) ?? -1;
              rows.push(row);
              expect(JSON.parse((bodyOf(line) ?? '').toString())).toEqual(body(texts[row] ?? ''));
            }
          }
          expect([...rows, ...tooLarge].sort((a, b) => a - b)).toEqual(texts.map((_, row) => row));
          expect(rows).toEqual([...rows].sort((a, b) => a - b));
        },
      ),
      { numRuns: 20 },
    );
  });

  it('are halved without losing a row', async () => {
    const folder = runWith(Array.from({ length: 7 }, (_, row) => `prompt ${row}`));
    const { ledger, chunks } = await plan(folder, 7, { requests: 100, bytes: 100_000 });
    const [whole] = chunks;
    if (whole === undefined) throw new Error('no chunk');
    ledger.change(whole, { kind: 'waits', reason: 'full', tryAgainAt: null });
    expect(await halve(folder, ledger, whole)).toBe(true);
    const halves = ledger.chunks.filter(({ state }) => state === 'waiting');
    expect(halves.map(({ requests }) => requests)).toEqual([4, 3]);
    expect(halves.flatMap((half) => linesOf(ledger, half).map(rowOf))).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const half of halves) await checkChunk(ledger.pathOf(half) ?? '', half);
    expect(halves.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(whole.tokens);
    expect(Ledger.open(folder).chunks).toEqual(ledger.chunks);
  });

  it.each([
    ['a line that is no JSON', 'x', /line 1 is not a JSON object/],
    [
      'the same row twice',
      '{"custom_id":"0","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n'.repeat(2),
      /line 2 has no custom_id of its own/,
    ],
    [
      'another address',
      '{"custom_id":"0","method":"POST","url":"/v1/other","body":{"model":"m"}}\n',
      /line 1 is not for \/v1\/chat\/completions or/,
    ],
    [
      'two models',
      '{"custom_id":"0","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}}\n{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"n"}}\n',
      /line 2 names another model/,
    ],
    ['nothing', '', /it holds 0 requests instead of 3/],
  ])('are checked before they are uploaded: %s', async (_, content, problem) => {
    const folder = runWith(['a', 'b', 'c']);
    const { ledger, chunks } = await plan(folder, 3, { requests: 100, bytes: 100_000 });
    const [chunk] = chunks;
    if (chunk === undefined) throw new Error('no chunk');
    const path = ledger.pathOf(chunk) ?? '';
    writeFileSync(path, content);
    await expect(checkChunk(path, chunk)).rejects.toThrow(problem);
  });

  it('recognise the rows in lines that other tools wrote', async () => {
    expect(rowOf(Buffer.from('{"method":"POST","custom_id":"12","body":{}}'))).toBe(12);
    expect([rowOfId('007'), rowOfId('-1'), rowOfId('1e3'), rowOfId(5), rowOfId('request-1')]).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
    const root = temporaryFolder();
    const path = join(root, 'input.jsonl');
    writeFileSync(path, '{"custom_id":"3"}\n{"custom_id":"x"}\n{"custom_id":"9"}\n');
    const { index, foreign } = await LineIndex.build(path, 5);
    expect({ foreign, size: index.size, has: [index.has(3), index.has(2)] }).toEqual({
      foreign: 2,
      size: 1,
      has: [true, false],
    });
    expect(index.read(3)?.toString()).toBe('{"custom_id":"3"}');
    index.close();
  });
});
