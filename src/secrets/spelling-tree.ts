/** Finds the spellings of secrets in a text, whatever its characters are written as. */

import { Readings, type Written } from './readings.js';
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

export class SpellingTree {
  readonly #exact = nodeOf();
  /** Of those in which A to F are the same as a to f. */
  readonly #folded = nodeOf();

  constructor(needles: readonly Needle[]) {
    for (const { text, anyCase, source } of needles) {
      let node = anyCase ? this.#folded : this.#exact;
      for (let at = 0; at < text.length; at++) node = childOf(node, text.charCodeAt(at));
      node.source ??= source;
    }
  }

  /** All places of spellings, in order; they may overlap. */
  find(text: string): Range[] {
    const readings = new Readings(text);
    const ranges: Range[] = [];
    for (let start = 0; start < text.length; start++) {
      const written = text.charCodeAt(start);
      const escapes = readings.escapesAt(start);
      for (const isFolded of [false, true]) {
        const root = isFolded ? this.#folded : this.#exact;
        if (!begins(root, written, isFolded) && !escapes.some(({ code }) => begins(root, code, isFolded)))
          continue;
        const range = longestFrom(root, start, readings, isFolded);
        if (range !== null) ranges.push(range);
      }
    }
    return ranges;
  }
}

function begins(root: Node, code: number, isFolded: boolean): boolean {
  return root.next.has(isFolded ? folded(code) : code);
}

/** The longest spelling that begins at a place, in any way of reading it. */
function longestFrom(root: Node, start: number, readings: Readings, isFolded: boolean): Range | null {
  let longest: Range | null = null;
  for (let states: State[] = [{ node: root, at: start }]; states.length > 0;) {
    const further: State[] = [];
    for (const { node, at } of states) {
      const follow = ({ code, end }: Written): void => {
        const next = node.next.get(isFolded ? folded(code) : code);
        if (next === undefined) return;
        if (next.source !== null && end > (longest?.end ?? 0)) longest = { start, end, source: next.source };
        addState({ node: next, at: end }, further);
      };
      if (at >= readings.text.length) continue;
      follow({ code: readings.text.charCodeAt(at), end: at + 1 });
      readings.escapesAt(at).forEach(follow);
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
