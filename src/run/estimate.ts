/** What a run would ask: rows, tokens and bytes, counted over a dataset in bounded memory. */

import { messageText } from '../models/message-text.js';
import { countMessages, type Tokenizer } from '../models/tokenizer.js';
import type { PromptRow } from '../types.js';
import { messagesOf } from './jobs.js';

/** Above this many rows the tokenizer sees a sample, and characters do the rest. */
const TOKENIZED_ROWS = 20_000;
/** Two-sided 95 % of a normal distribution. */
const CONFIDENCE = 1.96;

/** A sum of tokens. */
export interface TokenSum {
  tokens: number;
  /** How far off it may be with 95 % confidence, as a share of it; 0 where every row was counted. */
  margin: number;
}

export interface Estimate {
  rows: number;
  unusable: number;
  /** Rows that can be used, without those that need no request of their own. */
  requests: number;
  promptTokens: TokenSum;
  /** Of the original answers, which is what is known of the length of new ones. */
  originalTokens: TokenSum;
  /** Of all request bodies. */
  bytes: number;
}

/** What was counted of one row of the sample. */
interface CountedRow {
  rank: number;
  prompt: { characters: number; tokens: number };
  original: { characters: number; tokens: number };
}

export class RowCounter {
  #rows = 0;
  #unusable = 0;
  #spared = 0;
  /** Requests beyond one for each row. */
  #further = 0;
  #bytes = 0;
  #promptCharacters = 0;
  #originalCharacters = 0;
  #sample: CountedRow[] = [];
  /** Rows whose rank is below this are counted: all at first, then half of them, a quarter … */
  #threshold = 1;

  /** @param imageTokens tokens of an image */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly imageTokens = 0,
  ) {}

  get rows(): number {
    return this.#rows;
  }

  addUnusable(): void {
    this.#rows += 1;
    this.#unusable += 1;
  }

  /** A row that needs no request: an earlier run, or a row before it, has the same one. */
  addSpared(): void {
    this.#rows += 1;
    this.#spared += 1;
  }

  /** @param bytes of the row's request body */
  add(row: PromptRow, bytes: number): void {
    this.#rows += 1;
    this.#count(row, bytes);
  }

  /** A further request of the row that was added last. */
  addFurther(row: PromptRow, bytes: number): void {
    this.#further += 1;
    this.#count(row, bytes);
  }

  #count(row: PromptRow, bytes: number): void {
    const rank = rankOf(this.#rows + this.#further - 1);
    this.#bytes += bytes;
    const messages = messagesOf(row);
    const { tools, images = [] } = row;
    const calls = row.annotation_original_tool_calls;
    const original = `${row.annotation_original ?? ''}${calls === undefined ? '' : JSON.stringify(calls)}`;
    const definitions = tools === undefined ? '' : JSON.stringify(tools);
    const characters = messages.reduce((sum, one) => sum + messageText(one).length, definitions.length);
    this.#promptCharacters += characters;
    this.#originalCharacters += original.length;
    if (rank >= this.#threshold) return;
    this.#sample.push({
      rank,
      prompt: {
        characters,
        tokens:
          countMessages(this.tokenizer, messages) +
          (tools === undefined ? 0 : this.tokenizer.count(definitions)) +
          images.length * this.imageTokens,
      },
      original: { characters: original.length, tokens: this.tokenizer.count(original) },
    });
    if (this.#sample.length <= TOKENIZED_ROWS) return;
    this.#threshold /= 2;
    this.#sample = this.#sample.filter((one) => one.rank < this.#threshold);
  }

  estimate(): Estimate {
    const requests = this.#rows + this.#further - this.#unusable - this.#spared;
    const sum = (part: 'prompt' | 'original', characters: number): TokenSum =>
      estimateSum(
        this.#sample.map((row) => row[part]),
        requests,
        characters,
      );
    return {
      rows: this.#rows,
      unusable: this.#unusable,
      requests,
      promptTokens: sum('prompt', this.#promptCharacters),
      originalTokens: sum('original', this.#originalCharacters),
      bytes: this.#bytes,
    };
  }
}

/**
 * Estimates a sum of tokens from a sample of rows and the characters of all: tokens follow characters closely, so the
 * ratio of the two is far steadier than the tokens themselves (Cochran, Sampling Techniques, chapter 6).
 */
function estimateSum(
  sample: readonly { characters: number; tokens: number }[],
  allRows: number,
  allCharacters: number,
): TokenSum {
  const add = (valueOf: (row: { characters: number; tokens: number }) => number): number =>
    sample.reduce((sum, row) => sum + valueOf(row), 0);
  const counted = add(({ tokens }) => tokens);
  const characters = add((row) => row.characters);
  if (sample.length === allRows || characters === 0) return { tokens: counted, margin: 0 };
  const ratio = counted / characters;
  const tokens = Math.round(ratio * allCharacters);
  const variance = add((row) => (row.tokens - ratio * row.characters) ** 2) / Math.max(1, sample.length - 1);
  const unseen = 1 - sample.length / allRows;
  const error = allRows * Math.sqrt((variance * unseen) / sample.length);
  return { tokens, margin: tokens === 0 ? 0 : (CONFIDENCE * error) / tokens };
}

/**
 * A number from 0 to 1 for each row, the same every time, without any pattern.
 * @param seed another one gives other numbers
 */
export function rankOf(row: number, seed = 0): number {
  return mix((row + 1) ^ mix(seed)) / 2 ** 32;
}

/** The finaliser of MurmurHash3: every bit of the result depends on every bit of the number. */
function mix(number: number): number {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Some rows out of all, each with the same chance (Vitter's algorithm R); the same ones every time. */
export class RowSample {
  readonly #rows: { index: number; row: PromptRow }[] = [];
  #seen = 0;
  #state = 42;

  constructor(private readonly size: number) {}

  add(index: number, row: PromptRow): void {
    this.#seen += 1;
    if (this.#rows.length < this.size) {
      this.#rows.push({ index, row });
      return;
    }
    const place = Math.floor(this.#random() * this.#seen);
    if (place < this.size) this.#rows[place] = { index, row };
  }

  /** In the dataset's order. */
  rows(): { index: number; row: PromptRow }[] {
    return this.#rows.toSorted((a, b) => a.index - b.index);
  }

  /** Marsaglia's xorshift32: good enough to pick rows, and the same on every machine. */
  #random(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) / 2 ** 32;
  }
}
