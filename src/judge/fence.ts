/** How texts that nobody vouches for are set apart inside a prompt. */

import { createHash } from 'node:crypto';

/** Hexadecimal digits of a fence's mark. */
const DIGITS = 12;

/**
 * A mark that none of the texts holds, and that no author of a text can foresee without knowing the others; the same
 * for the same texts.
 */
export function markFor(texts: readonly string[]): string {
  for (let attempt = 0; ; attempt++) {
    const hash = createHash('sha256').update(JSON.stringify([attempt, ...texts]));
    const mark = hash.digest('hex').slice(0, DIGITS);
    if (!texts.some((text) => text.includes(mark))) return mark;
  }
}

/** A text between two lines with the mark. */
export function fence(text: string, mark: string): string {
  return `<<<TEXT ${mark}\n${text}\n${mark} TEXT>>>`;
}

/** The texts of a prompt that `fence` set apart, in their order. */
export function fencedTexts(prompt: string): string[] {
  const [, mark] = new RegExp(`^<<<TEXT ([0-9a-f]{${DIGITS}})$`, 'm').exec(prompt) ?? [];
  if (mark === undefined) return [];
  const pieces = prompt.split(`<<<TEXT ${mark}\n`).slice(1);
  return pieces.map((piece) => piece.split(`\n${mark} TEXT>>>`, 1)[0] ?? '');
}
