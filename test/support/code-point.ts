import fc from 'fast-check';

const SURROGATES = { first: 0xd800, count: 0x800 };

/**
 * Any code point but a surrogate, for `fc.string({ unit })`: what fast-check's own `unit: 'binary'` draws, without the
 * table of all 1,112,064 of them that it builds first (a second of CPU time in each process).
 */
export const codePoint = fc
  .integer({ min: 0, max: 0x10ffff - SURROGATES.count })
  .map(characterAt, (character) => {
    if (typeof character !== 'string') throw new Error('not a character');
    const point = character.codePointAt(0) ?? 0;
    const index = point < SURROGATES.first ? point : point - SURROGATES.count;
    if (index < 0 || characterAt(index) !== character) throw new Error('not one code point');
    return index;
  });

function characterAt(index: number): string {
  return String.fromCodePoint(index < SURROGATES.first ? index : index + SURROGATES.count);
}
