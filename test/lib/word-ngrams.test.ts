import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WordNgrams, wordsOf } from '../../src/lib/word-ngrams.js';

/** `word_ngrams(normalize_string(text), 8)` of open-r1's scripts/decontaminate.py, as a set of texts. */
function ngramsAsInOpenR1(text: string): Set<string> {
  const words = text.toLowerCase().trim().split(/\s+/).filter(Boolean);
  return new Set(
    Array.from({ length: Math.max(0, words.length - 7) }, (_, start) =>
      words.slice(start, start + 8).join(' '),
    ),
  );
}

const EVALUATED =
  'Find the number of ordered pairs  of integers such that\tthe sum of their SQUARES is at most 25.';

describe('sequences of eight words', () => {
  it.each([
    ['the same text', EVALUATED, true],
    ['other case and white space', 'find THE number of\nordered pairs of integers', true],
    ['inside a longer prompt', `Hello! ${EVALUATED.slice(0, 60)} and so on`, true],
    ['seven words', 'find the number of ordered pairs of', false],
    ['another word in the middle', 'Find the number of all ordered pairs of integers such', false],
    // Punctuation belongs to its word there as well.
    ['a comma', 'Find the number of ordered pairs, of integers', false],
    ['nothing', '', false],
  ])('%s', (_, text, overlaps) => {
    const ngrams = new WordNgrams(8);
    expect(ngrams.add(EVALUATED)).toBe(true);
    expect(ngrams.overlaps(text)).toBe(overlaps);
  });

  it('are none in a short text, which overlaps with nothing', () => {
    const ngrams = new WordNgrams(8);
    expect(ngrams.add('What is 2 + 2?')).toBe(false);
    expect(ngrams.size).toBe(0);
    expect(ngrams.overlaps('What is 2 + 2?')).toBe(false);
  });

  it('overlap as sets of texts do', () => {
    const words = fc
      .array(fc.constantFrom('a', 'b', 'c', 'Ü', 'x²'), { maxLength: 30 })
      .map((list) => list.join(' '));
    fc.assert(
      fc.property(fc.array(words, { maxLength: 5 }), words, (evaluated, prompt) => {
        const ngrams = new WordNgrams(8);
        for (const text of evaluated) ngrams.add(text);
        const known = new Set(evaluated.flatMap((text) => [...ngramsAsInOpenR1(text)]));
        expect(ngrams.size).toBe(known.size);
        expect(ngrams.overlaps(prompt)).toBe([...ngramsAsInOpenR1(prompt)].some((one) => known.has(one)));
      }),
    );
  });

  it('have words as Python splits them', () => {
    expect(wordsOf(' A\u00a0b\u3000C\n\n d ')).toEqual(['a', 'b', 'c', 'd']);
  });
});
