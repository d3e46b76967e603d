/** The answers of a row that took several requests, put together from their lines of the journal. */

import type { AnswerRules } from '../models/answer-rules.js';
import type { Completion } from '../models/completion.js';
import { isObject } from '../lib/json.js';
import type { ChatMessage, RowState } from '../types.js';
import type { JournalIndex } from './journal.js';
import { parseJournalLine, type JournalEntry } from './journal-line.js';
import { asksRow, asksWith } from './journal-request.js';
import type { LineReader } from './line-reader.js';
import type { Origin } from './origin.js';
import type { RowParts } from './parts.js';
import { messagesOf } from './jobs.js';
import { parseRow } from './row-line.js';
import { requestOfTurn } from './turns.js';

/** What a row's parts came to. */
export type RowAnswer =
  | {
      kind: 'answer';
      completion: Completion;
      origin: Origin | null;
      /** Of a chat whose turns were all asked for: the request for the last one. */
      messages: ChatMessage[] | null;
    }
  | {
      kind: 'none';
      state: RowState;
      error: string | null;
      /** Choices that were answered nevertheless. */
      completion: Completion | null;
    }
  /** Lines that cannot be read, or answer something else. */
  | { kind: 'damaged'; offsets: number[] };

/** Where the lines of a row are looked up. */
export interface RowLines {
  index: JournalIndex;
  parts: RowParts;
  reader: LineReader;
  rules: AnswerRules;
}

type Answer = Extract<JournalEntry, { kind: 'answer' }>;

/** A line of the journal. */
interface ReadLine {
  offset: number;
  bytes: Buffer;
  /** Null where it cannot be read. */
  entry: JournalEntry | null;
}

/** A part's line, and which of the line's choices is its own. */
interface PartEntry {
  line: ReadLine;
  entry: JournalEntry;
  choice: number;
}

/**
 * Reads the parts of a row.
 * @param rowLine the row in `rows.jsonl`
 */
export function readRowAnswer(lines: RowLines, row: number, rowLine: Buffer): RowAnswer {
  const { layout } = lines.parts;
  const read = readLines(lines, row);
  const entries = read.map((line, number) => entryOf(line, number));
  const damaged = distinct(read).filter(({ entry }) => !isUsable(entry, row));
  const foreign =
    layout.kind === 'turn'
      ? foreignTurns(entries, rowLine)
      : distinct(read).filter(({ bytes }) => !asksRow(bytes, rowLine));
  if (damaged.length + foreign.length > 0) {
    const offsets = [...damaged, ...foreign].map(({ offset }) => offset);
    return { kind: 'damaged', offsets: [...new Set(offsets)] };
  }
  return layout.kind === 'turn'
    ? answerOfTurns(entries, rowLine)
    : answerOfChoices(entries, lines.index.state(row), layout.requiredOf(row));
}

/** The line of each part; several may have the same. */
function readLines({ parts, reader, rules }: RowLines, row: number): (ReadLine | null)[] {
  const read = new Map<number, ReadLine>();
  return Array.from(parts.of(row), (slot) => {
    const place = parts.slots.place(slot);
    if (place === null) return null;
    const known = read.get(place.offset);
    if (known !== undefined) return known;
    const bytes = reader.read(place);
    const line = { offset: place.offset, bytes, entry: parseJournalLine(bytes, rules) };
    read.set(place.offset, line);
    return line;
  });
}

function distinct(lines: readonly (ReadLine | null)[]): ReadLine[] {
  return [...new Set(lines)].filter((line) => line !== null);
}

function entryOf(line: ReadLine | null, number: number): PartEntry | null {
  const entry = line?.entry ?? null;
  return line === null || entry === null ? null : { line, entry, choice: entry.part === null ? number : 0 };
}

function isUsable(entry: JournalEntry | null, row: number): boolean {
  return entry?.row === row && (entry.kind === 'answer' || entry.kind === 'failure');
}

/** Turns that were asked for with other answers before them than the chat has now. */
function foreignTurns(entries: readonly (PartEntry | null)[], rowLine: Buffer): ReadLine[] {
  const request = messagesOf(parseRow(rowLine));
  const answers = entries.map((one) => textOf(one) ?? '');
  return entries.flatMap((one, turn) =>
    one === null || asksWith(one.line.bytes, requestOfTurn(request, answers.slice(0, turn)))
      ? []
      : [one.line],
  );
}

function textOf(one: PartEntry | null | undefined): string | null {
  return one?.entry.kind === 'answer' ? one.entry.completion.annotation : null;
}

function answerOfTurns(entries: readonly (PartEntry | null)[], rowLine: Buffer): RowAnswer {
  const isWhole = (one: PartEntry | null): boolean =>
    one?.entry.kind === 'answer' && one.entry.completion.state === 'ok';
  const open = entries.findIndex((one) => !isWhole(one));
  const turn = open === -1 ? entries.length - 1 : open;
  const deciding = entries[turn] ?? null;
  if (deciding === null) return { kind: 'none', state: 'pending', error: null, completion: null };
  const { entry } = deciding;
  const where = `turn ${turn + 1} of ${entries.length}`;
  if (entry.kind === 'failure') return withoutAnswer(entry.state, `${where}: ${entry.errors.at(-1) ?? ''}`);
  const { completion, origin } = entry as Answer;
  if (turn < entries.length - 1)
    return withoutAnswer(completion.state, `${where}: ${completion.note ?? 'the answer was cut off'}`);
  const answers = entries.slice(0, -1).map((one) => textOf(one) ?? '');
  const used = { ...completion, rawUsage: usageOf(entries) };
  const messages = entries.length === 1 ? null : requestOfTurn(messagesOf(parseRow(rowLine)), answers);
  return { kind: 'answer', completion: used, origin, messages };
}

function withoutAnswer(state: RowState, error: string): RowAnswer {
  return { kind: 'none', state, error, completion: null };
}

/** @param required choices that the row cannot do without */
function answerOfChoices(
  entries: readonly (PartEntry | null)[],
  state: RowState,
  required: number,
): RowAnswer {
  const merged = mergeChoices(entries, state, required);
  if (state === 'pending')
    return { kind: 'none', state, error: null, completion: merged?.completion ?? null };
  const failed = entries.slice(0, required).findIndex((one) => one?.entry.kind === 'failure');
  const failure = entries[failed]?.entry;
  if (failure?.kind === 'failure' && (failed === 0 || state === 'failed')) {
    const where = required === 1 ? '' : `answer ${failed + 1} of ${required}: `;
    const error = `${where}${failure.errors.at(-1) ?? ''}`;
    return { kind: 'none', state, error, completion: merged?.completion ?? null };
  }
  if (merged === null) return { kind: 'none', state, error: null, completion: null };
  return { kind: 'answer', ...merged, messages: null };
}

/** The choices as one request would have brought them; null where there is none. */
function mergeChoices(
  entries: readonly (PartEntry | null)[],
  state: RowState,
  required: number,
): { completion: Completion; origin: Origin | null } | null {
  const answers = entries.map((one, number) => {
    if (one?.entry.kind !== 'answer') return null;
    // Beside a row's own answers only whole ones count.
    const isOdd = number >= required && one.entry.completion.state !== 'ok';
    return isOdd ? null : { answer: one.entry, choice: one.choice };
  });
  const first = answers.find((one) => one !== null)?.answer;
  if (first === undefined) return null;
  const isAnswer = state !== 'failed' && state !== 'pending';
  const completion: Completion = {
    ...first.completion,
    state: isAnswer ? state : first.completion.state,
    annotations: answers.map((one) => one?.answer.completion.annotations[one.choice] ?? null),
    reasonings: answers.map((one) => one?.answer.completion.reasonings[one.choice] ?? null),
    toolCalls: answers.map((one) => one?.answer.completion.toolCalls[one.choice] ?? null),
    rawUsage: usageOf(entries),
  };
  return { completion, origin: first.origin };
}

/** What all requests of a row used, as the usage object of one. */
function usageOf(entries: readonly (PartEntry | null)[]): unknown {
  const counted = new Map<number, unknown>();
  for (const one of entries)
    if (one?.entry.kind === 'answer') counted.set(one.line.offset, one.entry.completion.rawUsage);
  return [...counted.values()].reduce(sum, null);
}

/** Adds numbers that have the same place; of anything else the first counts. */
function sum(one: unknown, other: unknown): unknown {
  if (one === null || one === undefined) return other;
  if (typeof one === 'number' && typeof other === 'number') return one + other;
  if (!isObject(one) || !isObject(other)) return one;
  const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return Object.fromEntries(keys.map((key) => [key, sum(one[key], other[key])]));
}
