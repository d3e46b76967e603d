/** How much two texts have in common, at the price of reading them once. */

/** Two texts with this similarity or more are nearly identical: `--drop identical` and the report's flag agree on it. */
export const NEARLY_IDENTICAL = 0.9;
/** Words of each text that are compared. */
const WORDS_COMPARED = 500;
const CHARACTERS_COMPARED = 6000;

/**
 * The share of pairs of neighbouring words that two texts have in common (the Sørensen–Dice coefficient of their
 * bigrams, as multisets; https://en.wikipedia.org/wiki/Dice-S%C3%B8rensen_coefficient), upper and lower case aside.
 * @returns from 0 to 1
 */
export function similarity(one: string, other: string): number {
  if (one === other) return 1;
  const first = bigrams(one);
  const second = bigrams(other);
  const all = first.length + second.length;
  if (all === 0) return 1;
  const counts = new Map<string, number>();
  for (const pair of first) counts.set(pair, (counts.get(pair) ?? 0) + 1);
  let common = 0;
  for (const pair of second) {
    const left = counts.get(pair) ?? 0;
    if (left === 0) continue;
    counts.set(pair, left - 1);
    common += 1;
  }
  return (2 * common) / all;
}

function bigrams(text: string): string[] {
  // Scripts without spaces are compared sign by sign.
  const words = text
    .slice(0, CHARACTERS_COMPARED)
    .toLowerCase()
    .match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[^\s\p{P}]+|\p{P}/gu);
  const list = ['', ...(words ?? []).slice(0, WORDS_COMPARED)];
  return list.length === 1 ? [] : list.map((word, index) => `${word} ${list[index + 1] ?? ''}`);
}
