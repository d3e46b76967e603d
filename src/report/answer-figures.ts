/** What single answers used and cost, as the journal has it. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cooperativePause, endOfLine, readBlocks } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';
import type { Completion } from '../models/completion.js';
import { shareOf, totalCost, type Price } from '../models/prices.js';
import type { AnswerFigures } from '../models/usage.js';
import { parseJournalLine } from '../run/journal-line.js';
import { LineScanner } from '../run/line-scanner.js';
import { readLatencies } from '../run/latencies.js';
import { annotatorOf, isPaid, type Origin } from '../run/origin.js';
import type { RowFigures, ShownRow } from './data.js';

/** What answers cost. */
export interface Pricing {
  /** Null where it is not known. */
  price: Price | null;
  /** Those of other annotators that rows were sent to, by their names. */
  others?: ReadonlyMap<string, Price | null>;
  /** True where the answers came from batches. */
  isBatch: boolean;
}

/** Rows of the run that follow each other, with the folder that holds their answers. */
export interface JournalPart {
  /** The number of its first row. */
  start: number;
  /** How many there are; infinite where that is not known. */
  rows: number;
  folder: string;
  /** The rows with their prompts, a file in it. */
  rowsPath: string;
  /** True where the journal is one file for each attempt. */
  isSegmented: boolean;
}

const SEGMENT = /^output\.[1-9]\d{0,3}\.jsonl$/;

/** The files of a part's journal that exist so far. */
export function journalFiles({ folder, isSegmented }: JournalPart): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => (isSegmented ? SEGMENT.test(name) : name === 'output.jsonl'))
    .map((name) => join(folder, name))
    .sort();
}

const LONGEST_NAME = 200;

/** True where the journal alone does not show what an answer cost: it does not record when it was given. */
function dependsOnHour(origin: Origin | null, pricing: Pricing): boolean {
  return isPaid(origin) && (priceOf(origin, pricing)?.offPeak ?? null) !== null;
}

function priceOf(origin: Origin | null, { price, others }: Pricing): Price | null {
  const annotator = annotatorOf(origin);
  return annotator === null ? price : (others?.get(annotator) ?? null);
}

/** US dollars that one answer cost, at the dearest hours where that makes a difference; null where that is not known. */
export function costOfAnswer(
  { usage, tier }: AnswerFigures,
  origin: Origin | null,
  pricing: Pricing,
): number | null {
  if (!isPaid(origin)) return 0;
  const { isBatch } = pricing;
  const annotator = annotatorOf(origin);
  const price = priceOf(origin, pricing);
  // Other annotators are sent single requests.
  const isOfBatch = isBatch && annotator === null;
  const share = price === null ? null : isOfBatch ? price.batchShare : shareOf(price, tier);
  return totalCost(usage, price, [{ usage, share }])?.amount ?? null;
}

/** The figures of one answer. */
export function figuresOf(
  completion: Completion,
  figures: AnswerFigures,
  origin: Origin | null,
  pricing: Pricing,
): RowFigures {
  const { usage } = figures;
  const isCounted = usage.estimated === 0;
  return {
    model: completion.model?.slice(0, LONGEST_NAME) ?? null,
    finishReason: completion.finishReason?.slice(0, LONGEST_NAME) ?? null,
    promptTokens: isCounted ? usage.promptTokens : null,
    completionTokens: isCounted ? usage.completionTokens : null,
    reasoningTokens: usage.reasoningTokens,
    latency: null,
    cost: dependsOnHour(origin, pricing) ? null : costOfAnswer(figures, origin, pricing),
  };
}

/**
 * Adds the figures of the rows that are shown. The journal is read once, and only their lines are parsed; nothing of it
 * is changed, and another process may append to it.
 */
export async function addFigures(
  parts: readonly JournalPart[],
  shown: readonly ShownRow[],
  pricing: Pricing,
): Promise<void> {
  for (const part of parts) {
    const { start, rows } = part;
    const wanted = new Map(
      shown
        .filter(({ row, state }) => row >= start && row < start + rows && state !== 'pending')
        .map((row) => [row.row - start, row]),
    );
    if (wanted.size === 0) continue;
    for (const path of journalFiles(part)) await addFrom(path, wanted, pricing);
    addLatencies(part, wanted);
  }
}

function addLatencies({ folder }: JournalPart, wanted: ReadonlyMap<number, ShownRow>): void {
  const latencies = readLatencies(folder, (row) => wanted.has(row));
  for (const [number, { figures }] of wanted)
    if (figures !== null) figures.latency = latencies.get(number) ?? null;
}

async function addFrom(path: string, wanted: ReadonlyMap<number, ShownRow>, pricing: Pricing): Promise<void> {
  const scanner = new LineScanner();
  const pause = cooperativePause();
  for (const { bytes } of readBlocks(path)) {
    for (let start = 0; start < bytes.length;) {
      const end = endOfLine(bytes, start);
      const row = wanted.get(scanner.rowOf(bytes, start, end) ?? -1);
      if (row !== undefined) addLine(bytes.subarray(start, end), row, pricing);
      start = end + 1;
    }
    await pause();
  }
}

/** Of several answers the one counts whose text is shown; where a row took several requests, all of them do. */
function addLine(line: Buffer, row: ShownRow, pricing: Pricing): void {
  const entry = parseJournalLine(line);
  noteDiscarded(line.length * 3);
  if (entry?.kind !== 'answer') return;
  const { completion, origin, part } = entry;
  const figures = figuresOf(completion, entry.figures(), origin, pricing);
  if (part !== null) row.figures = row.figures === null ? figures : sumOf(row.figures, figures);
  else if (completion.state === row.state) {
    const isShown = (completion.annotation?.length ?? 0) === row.lengths.new;
    if (row.figures === null || isShown) row.figures = figures;
  }
}

function sumOf(one: RowFigures, other: RowFigures): RowFigures {
  const sum = (a: number | null, b: number | null): number | null =>
    a === null || b === null ? null : a + b;
  return {
    model: other.model,
    finishReason: other.finishReason,
    promptTokens: sum(one.promptTokens, other.promptTokens),
    completionTokens: sum(one.completionTokens, other.completionTokens),
    reasoningTokens: one.reasoningTokens + other.reasoningTokens,
    latency: null,
    cost: sum(one.cost, other.cost),
  };
}
