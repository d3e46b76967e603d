/**
 * Adds what a chunk of a stream brings to what came before, so that the sum is what an unstreamed answer holds:
 * texts grow, lists grow, everything else is replaced. Fields that nobody has heard of follow the same rules.
 */

import { isObject } from '../lib/json.js';

/** Texts that name something and come whole, however often they are repeated. */
const WHOLE_TEXTS = new Set(['role', 'type', 'id', 'object', 'format', 'finish_reason']);
/** Deeper than any known field (`tool_calls[].function.arguments` is 3); beyond it values are replaced. */
const DEEPEST = 8;
/** Ends a hostile stream of distinct indexes: each piece of a list looks for its place among the earlier ones. */
const MOST_INDEXED = 10_000;
/** The same for distinct names: no answer has a hundred. */
export const MOST_NAMES = 1000;

type Fields = Record<string, unknown>;

/**
 * Adds the fields of a piece to those that are there, in place. A null says that there is nothing yet.
 * @throws Error where a list has more items, or an object more names, than any answer
 */
export function mergeDelta(sum: Fields, piece: Fields, depth = 0): void {
  for (const [name, value] of Object.entries(piece)) {
    // `JSON.parse` makes an ordinary field of it; an assignment would change the object's prototype.
    if (name === '__proto__') continue;
    const isKnown = Object.hasOwn(sum, name);
    if (!isKnown && Object.keys(sum).length >= MOST_NAMES)
      throw new Error(`the stream has more than ${MOST_NAMES} fields`);
    sum[name] = merged(name, isKnown ? sum[name] : undefined, value, depth);
  }
}

function merged(name: string, before: unknown, piece: unknown, depth: number): unknown {
  if (before === undefined || before === null) return Array.isArray(piece) ? append([], piece, depth) : piece;
  if (piece === null || piece === undefined) return before;
  if (name === 'content' && (Array.isArray(before) || Array.isArray(piece)))
    return append(partsOf(before), partsOf(piece), depth);
  if (typeof before === 'string' && typeof piece === 'string') return mergedText(name, before, piece);
  if (depth >= DEEPEST) return piece;
  if (Array.isArray(before) && Array.isArray(piece)) return append(before, piece, depth);
  if (isObject(before) && isObject(piece)) {
    mergeDelta(before, piece, depth + 1);
    return before;
  }
  return piece;
}

function mergedText(name: string, before: string, piece: string): string {
  if (WHOLE_TEXTS.has(name)) return piece === '' ? before : piece;
  // Some servers repeat a function's name with every piece of its arguments.
  if (name === 'name' && piece === before) return before;
  return before + piece;
}

/** Mistral's reasoning models send parts first and then plain text. */
function partsOf(content: unknown): unknown[] {
  if (Array.isArray(content)) return content;
  return content === '' ? [] : [{ type: 'text', text: content }];
}

/**
 * Items that carry an `index` (tool calls, OpenRouter's `reasoning_details`) grow in place; others follow each other.
 * The list itself grows: log probabilities come one token at a time, and copying what is there would take quadratic time.
 */
function append(list: unknown[], pieces: readonly unknown[], depth: number): unknown[] {
  for (const piece of pieces) {
    const earlier = isObject(piece) ? placeOf(list, piece) : null;
    if (earlier !== null) mergeDelta(earlier, piece as Fields, depth + 1);
    else list.push(piece);
  }
  return list;
}

/** The item that a piece belongs to; null where it begins a new one. */
function placeOf(list: readonly unknown[], piece: Fields): Fields | null {
  const { index } = piece;
  if (typeof index === 'number') {
    if (list.length > MOST_INDEXED)
      throw new Error(`a list of the stream has more than ${MOST_INDEXED} items`);
    const found = list.findLast((item) => isObject(item) && item['index'] === index);
    return isObject(found) && found['type'] === (piece['type'] ?? found['type']) ? found : null;
  }
  const last = list.at(-1);
  return isObject(last) && isSameText(last, piece) ? last : null;
}

/** True for two pieces of one content part: the same kind of text, with nothing that distinguishes them. */
function isSameText(last: Fields, piece: Fields): boolean {
  const { type } = piece;
  if (typeof type !== 'string' || last['type'] !== type) return false;
  return CONTENT_TEXTS.some((field) => isGrowing(last[field]) && isGrowing(piece[field]));
}

const CONTENT_TEXTS = ['text', 'thinking', 'summary'];

function isGrowing(value: unknown): boolean {
  return typeof value === 'string' || Array.isArray(value);
}
