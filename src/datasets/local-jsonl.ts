import { basename } from 'node:path';
import { UserError, messageOf } from '../errors.js';
import { breather } from '../files.js';
import { kindOf } from '../formats/cells.js';
import { inert } from '../text.js';
import type { DatasetRequest, OpenDataset, SourceRow } from '../types.js';
import { columnsOf, firstRows, localDataset, select, textLines, type TextLine } from './local.js';

/** Rows after which it is looked whether somebody else needs a turn. */
const ROWS_BETWEEN_BREATHS = 100;

/** A file of one JSON object a line. A bad line is one row's problem; a file without a good one is refused. */
export async function openLocalJsonl(request: DatasetRequest): Promise<OpenDataset> {
  const path = request.dataset;
  const first = await firstRows(jsonLines(path));
  const good = first.filter((row) => 'value' in row).map((row) => row.value);
  const problem = first.find((row) => 'problem' in row);
  if (good.length === 0 && problem !== undefined) {
    throw new UserError(
      `${path} is no JSON Lines file: ${problem.problem}. Each line must be a JSON object.`,
    );
  }
  return localDataset(columnsOf(good), first.length === 0 ? 0 : null, (selection) =>
    select(jsonLines(path), selection),
  );
}

async function* jsonLines(path: string): AsyncGenerator<SourceRow> {
  let index = 0;
  const pause = breather();
  for (const line of textLines(path)) {
    if (line.text.trim() === '') continue;
    yield readLine(line, index, path);
    index += 1;
    if (index % ROWS_BETWEEN_BREATHS === 0) await pause();
  }
}

function readLine({ number, text }: TextLine, index: number, path: string): SourceRow {
  const where = `line ${number} of ${basename(path)}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { index, problem: `${where} is not JSON (${inert(messageOf(error), 120)})` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { index, problem: `${where} is ${kindOf(value)}, not an object` };
  }
  return { index, value: value as Record<string, unknown> };
}
