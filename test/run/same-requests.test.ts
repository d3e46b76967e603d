import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NO_FLAGS } from '../../src/formats/format.js';
import { chooseFormat } from '../../src/formats/index.js';
import { rowLine } from '../../src/run/rows.js';
import { firstOtherRequest } from '../../src/run/same-requests.js';
import type { SourceRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

type Row = Record<string, unknown>;

const chat = (text: string): object[] => [{ role: 'user', content: text }];
const ROWS: [Row, Row, Row] = [
  { messages: chat('2+2?'), answer: '4' },
  { messages: null, answer: '5' },
  { messages: [...chat('Hi'), { role: 'assistant', content: 'Hello.' }, ...chat('3+3?')], answer: '6' },
];
const WITHOUT_ANSWERS = chooseFormat('me/data', ['messages'], NO_FLAGS);
const WITH_ANSWERS = chooseFormat('me/data', ['messages', 'answer'], NO_FLAGS);

const sourceRows = (rows: readonly Row[]): SourceRow[] => rows.map((value, index) => ({ index, value }));

// eslint-disable-next-line @typescript-eslint/require-await
async function* given(rows: readonly Row[]): AsyncGenerator<SourceRow> {
  yield* sourceRows(rows);
}

function runOf(rows: readonly Row[]): string {
  const path = join(temporaryFolder(), 'rows.jsonl');
  const lines = sourceRows(rows).map((row) => `${rowLine(row, WITHOUT_ANSWERS).line}\n`);
  writeFileSync(path, lines.join(''));
  return path;
}

describe('a run that an earlier version started', () => {
  it.each<[string, Row[], number | null]>([
    ['the same requests, now with original answers', ROWS, null],
    ['another prompt', [ROWS[0], ROWS[1], { messages: chat('3+4?') }], 2],
    ['another earlier turn', [ROWS[0], ROWS[1], { messages: [...chat('Ho'), ...chat('3+3?')] }], 2],
    ['a row that could not be used, and can be now', [ROWS[0], { messages: chat('New') }, ROWS[2]], null],
    ['a row that can no longer be used', [{ messages: [] }, ROWS[1], ROWS[2]], 0],
    ['fewer rows', [ROWS[0]], 1],
    ['more rows', [...ROWS, { messages: chat('1+1?') }], null],
  ])('%s', async (_, rows, expected) => {
    expect(await firstOtherRequest(runOf(ROWS), given(rows), WITH_ANSWERS)).toBe(expected);
  });
});
