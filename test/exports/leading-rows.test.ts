import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ResultShape } from '../../src/exports/exporter.js';
import { describeExport, exportFile, exportResults } from '../../src/exports/index.js';
import { LOOKED_AT_BYTES, SeenTypes } from '../../src/exports/leading-rows.js';
import type { ResultRow } from '../../src/exports/rows.js';
import type { ToolCall } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

it.each<[unknown, unknown, boolean]>([
  [{ a: null }, { a: null }, false],
  [{ a: null }, { a: 'x' }, true],
  [{ a: 'x' }, { a: 'y' }, false],
  [{ a: 'x' }, { a: null }, false],
  [{ a: 1 }, { a: 1.5 }, true],
  [{ a: 1 }, { a: 'x' }, true],
  [{ a: [] }, { a: ['x'] }, true],
  [{ a: [null, 'x'] }, { a: ['y'] }, false],
  [{ a: [{ b: 1 }] }, { a: [{ b: 1 }, { b: 2, c: null }] }, true],
  [{ a: {} }, { a: { b: true } }, true],
  [{ a: { b: true } }, {}, false],
])('after %j, %j has a new type: %s', (first, second, isNew) => {
  const seen = new SeenTypes();
  seen.learn(first);
  expect(seen.learn(second)).toBe(isNew);
  expect(seen.learn(second)).toBe(false);
});

const TOOLS_SHAPE: ResultShape = {
  ...{ several: false, metadata: false, compared: false, reasoning: false },
  ...{ chats: true, tools: true, images: false, source: false },
};
const CALL: ToolCall = { id: 'c1', type: 'function', function: { name: 'tide', arguments: '{}' } };

function row(place: number, more: Partial<ResultRow> = {}): ResultRow {
  return {
    ...{ system_prompt: '', user_prompt: `${place}`, annotation_original: null, request_messages: null },
    ...{ tools: null, annotation_original_tool_calls: null, annotation: 'A', annotation_tool_calls: null },
    ...more,
  };
}

/** The prompts of a format's lines in their order, and what the end of the run says. */
async function written(
  format: 'jsonl' | 'messages' | 'sharegpt',
  rows: readonly ResultRow[],
): Promise<{ places: string[]; said: string }> {
  const folder = temporaryFolder();
  const path = join(folder, 'reannotated.json');
  writeFileSync(path, `[\n${rows.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`);
  const exported = await exportResults(
    format,
    { path, shape: TOOLS_SHAPE, onProgress: () => undefined },
    folder,
  );
  const lines = readFileSync(join(folder, exportFile(format)), 'utf8')
    .trimEnd()
    .split('\n');
  const places = lines.map((line) => /"(?:content|value|user_prompt)":"(\d+)/.exec(line)?.[1] ?? '');
  return { places, said: describeExport(format, exported) };
}

it('a row with calls comes first where it would be too late, and only then', async () => {
  const big = 'x'.repeat(LOOKED_AT_BYTES / 4);
  const plain = Array.from({ length: 5 }, (_, place) => row(place, { user_prompt: `${place} ${big}` }));
  const called = (place: number): ResultRow =>
    row(place, { tools: '[]', annotation: null, annotation_tool_calls: [CALL] });
  const late = [...plain, called(5), called(6), row(7)];
  for (const format of ['jsonl', 'messages'] as const) {
    const { places, said } = await written(format, late);
    expect(places, format).toEqual(['5', '0', '1', '2', '3', '4', '6', '7']);
    expect(said).toContain('8 rows (1 moved to the start');
  }
  // The text column `tools` is all that is new there.
  expect((await written('sharegpt', late)).places).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
  const early = await written('messages', [called(0), ...plain.slice(1), called(5)]);
  expect(early.places).toEqual(['0', '1', '2', '3', '4', '5']);
  expect(early.said).toBe('messages.jsonl: 6 rows');
});
