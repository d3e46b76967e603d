/** What single answers used and cost, as the journal has it. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cooperativePause, endOfLine, readBlocks } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';
import type { Completion } from '../models/completion.js';
import { shareOf, totalCost, type Price, type Rates } from '../models/prices.js';
import type { AnswerFigures } from '../models/usage.js';
import { parseJournalLine } from '../run/journal-line.js';
import { LineScanner } from '../run/line-scanner.js';
import { readTimes, type RequestTimes, type Span } from '../run/latencies.js';
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

function priceOf(origin: Origin | null, { price, others }: Pricing): Price | null {
  const annotator = annotatorOf(origin);
  return annotator === null ? price : (others?.get(annotator) ?? null);
}

/** US dollars that one answer cost, at the dearest hours where that makes a difference; null where that is not known. */
export function costOfAnswer(figures: AnswerFigures, origin: Origin | null, pricing: Pricing): number | null {
  return costAt(figures, origin, pricing, priceOf(origin, pricing));
}

/**
 * The same at the hour when the answer was requested.
 * @param time null where that was not recorded: then a price that depends on it is not known
 */
export function costWhen(
  figures: AnswerFigures,
  origin: Origin | null,
  pricing: Pricing,
  time: Span | null,
): number | null {
  const price = priceOf(origin, pricing);
  const offPeak = isOfBatch(origin, pricing) ? null : (price?.offPeak ?? null);
  if (offPeak === null || !isPaid(origin)) return costOfAnswer(figures, origin, pricing);
  if (time === null) return null;
  // As the account of a run counts it: no provider says which of the two times decides.
  return costAt(
    figures,
    origin,
    pricing,
    offPeak.hours.includesAll(time.from, time.to) ? offPeak.rates : price,
  );
}

/** True where what an answer cost may depend on when it was requested. */
export function hasHourlyPrice({ price, others }: Pricing): boolean {
  return [price, ...(others?.values() ?? [])].some((one) => (one?.offPeak ?? null) !== null);
}

/** Batches have one price at any hour. Other annotators are sent single requests. */
function isOfBatch(origin: Origin | null, { isBatch }: Pricing): boolean {
  return isBatch && annotatorOf(origin) === null;
}

function costAt(
  { usage, tier }: AnswerFigures,
  origin: Origin | null,
  pricing: Pricing,
  rates: Rates | null,
): number | null {
  if (!isPaid(origin)) return 0;
  const price = priceOf(origin, pricing);
  const share = price === null ? null : isOfBatch(origin, pricing) ? price.batchShare : shareOf(price, tier);
  return totalCost(usage, rates, [{ usage, share }])?.amount ?? null;
}

/**
 * The figures of one answer, apart from its latency.
 * @param cost in US dollars; null where it is not known
 */
export function figuresOf(completion: Completion, figures: AnswerFigures, cost: number | null): RowFigures {
  const { usage } = figures;
  const isCounted = usage.estimated === 0;
  return {
    model: completion.model?.slice(0, LONGEST_NAME) ?? null,
    finishReason: completion.finishReason?.slice(0, LONGEST_NAME) ?? null,
    promptTokens: isCounted ? usage.promptTokens : null,
    completionTokens: isCounted ? usage.completionTokens : null,
    reasoningTokens: usage.reasoningTokens,
    latency: null,
    cost,
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
    const times = readTimes(part.folder, (row) => wanted.has(row));
    for (const path of journalFiles(part)) await addFrom(path, wanted, pricing, times);
    for (const [number, { figures }] of wanted)
      if (figures !== null) figures.latency = times.latencyOf(number);
  }
}

async function addFrom(
  path: string,
  wanted: ReadonlyMap<number, ShownRow>,
  pricing: Pricing,
  times: RequestTimes,
): Promise<void> {
  const scanner = new LineScanner();
  const pause = cooperativePause();
  for (const { bytes } of readBlocks(path)) {
    for (let start = 0; start < bytes.length;) {
      const end = endOfLine(bytes, start);
      const row = wanted.get(scanner.rowAbout(bytes, start, end) ?? -1);
      if (row !== undefined) addLine(bytes.subarray(start, end), row, pricing, times);
      start = end + 1;
    }
    await pause();
  }
}

/** Of several answers the one counts whose text is shown; where a row took several requests, all of them do. */
function addLine(line: Buffer, row: ShownRow, pricing: Pricing, times: RequestTimes): void {
  const entry = parseJournalLine(line);
  noteDiscarded(line.length * 3);
  if (entry?.kind !== 'answer') return;
  const { completion, origin, part } = entry;
  const used = entry.figures();
  const cost = costWhen(used, origin, pricing, times.timeOf(entry.row, part));
  const figures = figuresOf(completion, used, cost);
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
