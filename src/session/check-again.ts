/** `--check_retry`: rows whose final answer is not the original's are sent again, so that a majority can decide. */

import { cooperativePause, readLines } from '../lib/files.js';
import { plural } from '../lib/text.js';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { finalAnswersAgree } from '../models/final-answer.js';
import { journalSource } from '../run/folder.js';
import { parseJournalLine } from '../run/journal-line.js';
import { LineReader } from '../run/line-reader.js';
import type { RowParts } from '../run/parts.js';
import { isUnusable } from '../run/rows.js';
import type { PromptRow } from '../types.js';
import { sendOnline, combineResults, type OnlineResult, type OnlineWork, type SentAgain } from './online.js';
import type { CommandContext } from './command-context.js';

/**
 * Sends the rows whose answer is there and disagrees with the original, as often as they were not sent for that yet.
 * @param rowsPath of `rows.jsonl`
 * @param asked how sending went so far; where that stopped, nothing more is sent
 * @returns how it went in all
 */
export async function checkAgain(
  work: OnlineWork,
  rowsPath: string,
  asked: OnlineResult,
  context: CommandContext,
): Promise<OnlineResult> {
  const { run } = work;
  const { checkRetry: times, retry } = work.policy;
  const { parts } = run.index;
  if (times === null || parts === null || asked.stop !== null) return asked;
  const disagreeing = await findDisagreeing(work, parts, rowsPath);
  const wantedParts = (row: number): number[] => furtherParts(parts, row, retry);
  const again: SentAgain = {
    origin: null,
    announcement: (rows) =>
      `Sending ${plural(rows, 'row')} again, up to ${plural(times, 'time')} each: the final answer is not the original’s.`,
    row: (row) => disagreeing[row] === 1 && !run.index.isHeld(row) && wantedParts(row).length > 0,
    parts: wantedParts,
    requestFor: (body) => body,
  };
  return combineResults(asked, await sendOnline({ ...work, again }, context));
}

/** The parts of a row that are sent besides its own answer. */
function furtherParts(
  { layout, slots }: RowParts,
  row: number,
  retry: Parameters<RowParts['wanted']>[1],
): number[] {
  const first = layout.firstOf(row);
  const required = layout.requiredOf(row);
  return Array.from({ length: layout.countOf(row) - required }, (_, place) => required + place).filter(
    (number) => slots.isWanted(first + number, retry),
  );
}

/** 1 for each row whose own answer is whole and has another final answer than the original. */
async function findDisagreeing(
  { call, folder, run }: OnlineWork,
  { layout, slots }: RowParts,
  rowsPath: string,
): Promise<Uint8Array> {
  const marks = new Uint8Array(run.rows);
  const rules = await answerRules(call);
  const reader = new LineReader(journalSource(folder));
  const pause = cooperativePause();
  let row = -1;
  try {
    for (const { bytes } of readLines(rowsPath)) {
      await pause();
      row += 1;
      const place = slots.place(layout.firstOf(row));
      if (place === null || run.index.state(row) !== 'ok' || isUnusable(bytes)) continue;
      const { annotation_original: original } = JSON.parse(bytes.toString('utf8')) as PromptRow;
      if (finalAnswersAgree(original, annotationIn(reader.read(place), rules)) === false) marks[row] = 1;
    }
  } finally {
    reader.close();
  }
  return marks;
}

function annotationIn(line: Buffer, rules: AnswerRules): string | null {
  const entry = parseJournalLine(line, rules);
  return entry?.kind === 'answer' ? entry.completion.annotation : null;
}
