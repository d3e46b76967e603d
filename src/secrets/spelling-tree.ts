/** Finds the spellings of secrets in a text, whatever its characters are written as. */

import type { Readings } from './readings.js';
import type { Spelling } from './spellings.js';

/** A spelling, and whose it is. */
export interface Needle extends Spelling {
  source: string;
}

/** From a character (inclusive) to another (exclusive). */
export interface Range {
  start: number;
  end: number;
  source: string;
}

/** The characters on the way to a node have been read. */
interface Node {
  next: Map<number, Node>;
  /** Whose spelling ends here; null for none. */
  source: string | null;
}

/** What some way of reading leads to, and where the text continues after it. */
interface State {
  node: Node;
  at: number;
}

/** Ways of reading a place beyond that are dropped, so that time grows with the length of the text alone. */
const MOST_STATES = 16;
const LETTER_A = 0x41;
const LETTER_F = 0x46;
const CASE = 0x20;

/** Which of the two trees has spellings that begin with a character. */
const BEGINS_EXACT = 1;
const BEGINS_FOLDED = 2;

export class SpellingTree {
  readonly #exact = nodeOf();
  /** Of those in which A to F are the same as a to f. */
  readonly #folded = nodeOf();
  /** By UTF-16 unit: nearly every character begins no spelling. */
  readonly #begins = new Uint8Array(1 << 16);

  constructor(needles: readonly Needle[]) {
    for (const { text, anyCase, source } of needles) {
      let node = anyCase ? this.#folded : this.#exact;
      for (let at = 0; at < text.length; at++) node = childOf(node, text.charCodeAt(at));
      node.source ??= source;
    }
    for (let code = 0; code < this.#begins.length; code++)
      this.#begins[code] =
        (this.#exact.next.has(code) ? BEGINS_EXACT : 0) |
        (this.#folded.next.has(folded(code)) ? BEGINS_FOLDED : 0);
  }

  /**
   * All places of spellings, in order; they may overlap.
   * @param readings of the text
   */
  find(readings: Readings): Range[] {
    const { text } = readings;
    const ranges: Range[] = [];
    for (let start = 0; start < text.length; start++) {
      const begun = this.#begunAt(readings, start);
      if (begun === 0) continue;
      for (const isFolded of [false, true]) {
        if ((begun & (isFolded ? BEGINS_FOLDED : BEGINS_EXACT)) === 0) continue;
        const range = longestFrom(isFolded ? this.#folded : this.#exact, start, readings, isFolded);
        if (range !== null) ranges.push(range);
      }
    }
    return ranges;
  }

  /** What may begin at a place, in any way of reading it. */
  #begunAt(readings: Readings, at: number): number {
    let begun = this.#begins[readings.text.charCodeAt(at)] ?? 0;
    for (const { code } of readings.escapesAt(at)) begun |= this.#begins[code] ?? 0;
    return begun;
  }
}

/** The longest spelling that begins at a place, in any way of reading it. */
function longestFrom(root: Node, start: number, readings: Readings, isFolded: boolean): Range | null {
  let longest: Range | null = null;
  const { text } = readings;
  for (let states: State[] = [{ node: root, at: start }]; states.length > 0;) {
    const further: State[] = [];
    const follow = (node: Node, code: number, end: number): void => {
      const next = node.next.get(isFolded ? folded(code) : code);
      if (next === undefined) return;
      if (next.source !== null && end > (longest?.end ?? 0)) longest = { start, end, source: next.source };
      addState({ node: next, at: end }, further);
    };
    for (const { node, at } of states) {
      if (at >= text.length) continue;
      follow(node, text.charCodeAt(at), at + 1);
      for (const { code, end } of readings.escapesAt(at)) follow(node, code, end);
    }
    states = further;
  }
  return longest;
}

function addState(state: State, to: State[]): void {
  if (to.length >= MOST_STATES) return;
  if (!to.some(({ node, at }) => node === state.node && at === state.at)) to.push(state);
}

function nodeOf(): Node {
  return { next: new Map(), source: null };
}

function childOf(node: Node, code: number): Node {
  const known = node.next.get(code);
  if (known !== undefined) return known;
  const child = nodeOf();
  node.next.set(code, child);
  return child;
}

/** Other letters change nothing in hexadecimal. */
function folded(code: number): number {
  return code >= LETTER_A && code <= LETTER_F ? code | CASE : code;
}
