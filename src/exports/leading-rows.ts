/**
 * Readers of JSON Lines take the types of columns from the first rows (`datasets` from 10 MB, others from less), and fail
 * where a later one has a key or a type that these lack: calls of tools, say, of which only few rows have some. Such
 * rows come first in the file. It is decided by the types alone, so each file is the same however often it is written.
 */

import { statSync } from 'node:fs';
import { isObject } from '../lib/json.js';
import type { Results, ResultShape } from './exporter.js';
import { readResults, type ResultLine } from './rows.js';

/** Rows within the first bytes show their types where they are. With those that come first, any reader sees them. */
export const LOOKED_AT_BYTES = 4 << 20;
export const MOST_LEADING_BYTES = 2 << 20;
export const MOST_LEADING_ROWS = 100;
/** Keys that are remembered: kept columns may have a new one in each row. */
const MOST_KEYS = 10_000;

/** The lines that come first, and where they would be otherwise. */
export interface Leading {
  lines: readonly string[];
  places: ReadonlySet<number>;
}

const NONE: Leading = { lines: [], places: new Set() };

/**
 * Finds the rows of a file that must come first.
 * @param known has the types of columns that are typed without
 * @param linesOf what the file holds of a row, in their order
 */
export async function leadingRows(
  results: Results,
  known: unknown,
  linesOf: (line: ResultLine) => readonly object[],
): Promise<Leading> {
  if (!mayBeLate(results.shape) || statSync(results.path).size < LOOKED_AT_BYTES) return NONE;
  const seen = new SeenTypes(known);
  const lines: string[] = [];
  const places = new Set<number>();
  let [place, early, late] = [0, 0, 0];
  await readResults({ ...results, onProgress: () => undefined }, (line) => {
    for (const value of linesOf(line)) {
      const isEarly = early < LOOKED_AT_BYTES;
      if (isEarly) early += line.json.length;
      if (seen.learn(value) && !isEarly && lines.length < MOST_LEADING_ROWS) {
        const text = JSON.stringify(value);
        late += text.length;
        if (late <= MOST_LEADING_BYTES) {
          lines.push(text);
          places.add(place);
        }
      }
      place += 1;
    }
  });
  return { lines, places };
}

/** True for results with columns that are null, empty or of several types in some rows. */
export function mayBeLate({ tools, images, source, metadata, compared, several }: ResultShape): boolean {
  return tools || images || source || metadata || compared || several;
}

/** What is known of the values at one place. */
interface Seen {
  kinds: Set<string>;
  keys: Map<string, Seen>;
  items: Seen | null;
}

/** The types of a file's values so far. */
export class SeenTypes {
  readonly #root: Seen = newSeen();
  #keys = 0;

  constructor(known: unknown = null) {
    this.learn(known);
  }

  /** @returns true where the value has a key or a type that none had before at its place */
  learn(value: unknown): boolean {
    return this.#learn(this.#root, value);
  }

  #learn(seen: Seen, value: unknown): boolean {
    if (value === null || value === undefined) return false;
    const kind = kindOf(value);
    let isNew = !seen.kinds.has(kind);
    seen.kinds.add(kind);
    if (Array.isArray(value)) {
      seen.items ??= newSeen();
      for (const item of value as unknown[]) isNew = this.#learn(seen.items, item) || isNew;
    } else if (isObject(value)) {
      for (const [key, member] of Object.entries(value)) isNew = this.#learnKey(seen, key, member) || isNew;
    }
    return isNew;
  }

  #learnKey(seen: Seen, key: string, member: unknown): boolean {
    const known = seen.keys.get(key);
    if (known !== undefined) return this.#learn(known, member);
    if (this.#keys >= MOST_KEYS) return false;
    this.#keys += 1;
    const fresh = newSeen();
    seen.keys.set(key, fresh);
    this.#learn(fresh, member);
    return true;
  }
}

function newSeen(): Seen {
  return { kinds: new Set(), keys: new Map(), items: null };
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'list';
  // A column of whole numbers takes no fraction later.
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}
