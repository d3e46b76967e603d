/** Sequences of words that texts have in common. */

import { DigestSet, type Digest } from './digests.js';

/**
 * Words as open-r1's decontamination has them (`normalize_string` and `word_ngrams` of its `scripts/decontaminate.py`,
 * github.com/huggingface/open-r1): lower case, separated by white space; punctuation belongs to its word.
 */
export function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** The sequences of some texts: some 24 bytes each, independent of the texts that they are compared with. */
export class WordNgrams {
  readonly #known = new DigestSet();

  /** @param length words of each sequence */
  constructor(private readonly length: number) {}

  /** How many different sequences there are. */
  get size(): number {
    return this.#known.size;
  }

  /** @returns false for a text that is too short to have one */
  add(text: string): boolean {
    let has = false;
    this.#forEach(text, (digest) => {
      this.#known.add(digest);
      has = true;
      return false;
    });
    return has;
  }

  /** True where a text has a sequence in common with those that were added. */
  overlaps(text: string): boolean {
    return this.#known.size > 0 && this.#forEach(text, (digest) => this.#known.has(digest));
  }

  /** Goes through the sequences of a text until one is found. */
  #forEach(text: string, isFound: (digest: Digest) => boolean): boolean {
    const words = wordsOf(text);
    const { length } = this;
    const high = words.map((word) => hashOf(word, HIGH_SEED));
    const low = words.map((word) => hashOf(word, LOW_SEED));
    for (let start = 0; start + length <= words.length; start++) {
      const end = start + length;
      if (isFound({ high: joined(high, start, end), low: joined(low, start, end) })) return true;
    }
    return false;
  }
}

const HIGH_SEED = 0x811c_9dc5;
const LOW_SEED = 0x9747_b28c;
/** FNV-1a over UTF-16, with the mixing of MurmurHash3 at its end (both are in the public domain). */
function hashOf(word: string, seed: number): number {
  let hash = seed;
  for (let place = 0; place < word.length; place++)
    hash = Math.imul(hash ^ word.charCodeAt(place), 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The hash of some hashes, whose order matters. */
function joined(hashes: readonly number[], start: number, end: number): number {
  let hash = end - start;
  for (let place = start; place < end; place++) {
    hash = Math.imul(hash ^ (hashes[place] ?? 0), 0xcc9e_2d51);
    hash = ((hash << 15) | (hash >>> 17)) + 0xe654_6b64;
  }
  return (hash ^ (hash >>> 16)) >>> 0;
}
