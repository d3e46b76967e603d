/**
 * What a push stores next to its data, so that the next one can say which rows are new, changed or gone without reading
 * the data back: two digests of each row, as text. In memory they take sixteen bytes per row, both for the earlier rows
 * and for the new ones.
 */

import type { ResultRow } from '../exports/rows.js';
import { digestOf, type Digest } from '../lib/digests.js';
import { count, plural } from '../lib/text.js';

/** Rows of one file: 4.6 MB, which the Hub keeps as an ordinary file. */
export const ROWS_A_FILE = 200_000;
/** Larger results are pushed without digests. */
export const MOST_ROWS = 5_000_000;
/** Sixteen bytes as base64url. */
const LINE = /^[\w-]{22}$/;
const BYTES = 16;

/** How rows differ from those of the last push. */
export interface RowChanges {
  /** Rows with a prompt that the last push does not have, or has fewer times. */
  new: number;
  /** Rows that had another answer. */
  changed: number;
  /** Rows of the last push whose prompt is no longer there. */
  gone: number;
  unchanged: number;
}

/** `5,000 rows are new, 12 have another answer, 3 were removed` */
export function describeChanges({ new: added, changed, gone }: RowChanges): string {
  const plain = (rows: number, one: string, many: string): string =>
    `${plural(rows, 'row')} ${rows === 1 ? one : many}`;
  return [
    plain(added, 'is new', 'are new'),
    `${count(changed)} ${changed === 1 ? 'has' : 'have'} another answer`,
    `${count(gone)} ${gone === 1 ? 'was' : 'were'} removed`,
  ].join(', ');
}

/** The digests of some rows, whose order does not matter. */
export class RowDigests {
  /** Of prompts. */
  readonly #prompts: BigUint64Array;
  /** Of prompts with their answers. */
  readonly #whole: BigUint64Array;
  #rows = 0;

  /** @param rows the most that will be added */
  constructor(rows: number) {
    this.#prompts = new BigUint64Array(rows);
    this.#whole = new BigUint64Array(rows);
  }

  get rows(): number {
    return this.#rows;
  }

  /** @returns the row's line in a file of digests */
  add(row: ResultRow): string {
    const prompt = JSON.stringify([
      ...[row.system_prompt, row.user_prompt, row.request_messages ?? null],
      ...[row.tools ?? null, row.images ?? null],
    ]);
    const { annotation, annotation_tool_calls: calls, reasoning, annotations } = row;
    const answer = JSON.stringify([annotation, calls ?? null, reasoning ?? null, annotations ?? null]);
    const bytes = Buffer.alloc(BYTES);
    writeDigest(digestOf(prompt), bytes, 0);
    writeDigest(digestOf(`${prompt}\n${answer}`), bytes, BYTES / 2);
    this.#addBytes(bytes);
    return bytes.toString('base64url');
  }

  /**
   * Adds the rows of a file of digests.
   * @returns false if the text is not such a file, or has more rows than expected
   */
  addFile(text: string): boolean {
    const lines = text.split('\n').filter((line) => line !== '');
    if (this.#rows + lines.length > this.#prompts.length) return false;
    for (const line of lines) {
      if (!LINE.test(line)) return false;
      this.#addBytes(Buffer.from(line, 'base64url'));
    }
    return true;
  }

  #addBytes(bytes: Buffer): void {
    this.#prompts[this.#rows] = bytes.readBigUInt64LE(0);
    this.#whole[this.#rows] = bytes.readBigUInt64LE(BYTES / 2);
    this.#rows += 1;
  }

  /** How these rows differ from earlier ones. Rows with the same prompt are compared by their answers, in any order. */
  changesSince(earlier: RowDigests): RowChanges {
    const kept = countCommon(this.#sorted(this.#prompts), earlier.#sorted(earlier.#prompts));
    const unchanged = countCommon(this.#sorted(this.#whole), earlier.#sorted(earlier.#whole));
    return {
      new: this.#rows - kept,
      changed: kept - unchanged,
      gone: earlier.#rows - kept,
      unchanged,
    };
  }

  #sorted(digests: BigUint64Array): BigUint64Array {
    return digests.subarray(0, this.#rows).sort();
  }
}

function writeDigest({ high, low }: Digest, bytes: Buffer, at: number): void {
  bytes.writeUInt32LE(high, at);
  bytes.writeUInt32LE(low, at + 4);
}

/** How many numbers two sorted lists have in common, each as often as both have it. */
function countCommon(one: BigUint64Array, other: BigUint64Array): number {
  let common = 0;
  for (let first = 0, second = 0; first < one.length && second < other.length;) {
    const [a = 0n, b = 0n] = [one[first], other[second]];
    if (a === b) common += 1;
    if (a <= b) first += 1;
    if (b <= a) second += 1;
  }
  return common;
}
