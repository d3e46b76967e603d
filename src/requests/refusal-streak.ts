/**
 * Tells rows that are refused each for a reason of its own from a run that is refused as a whole. Refusals that explain
 * themselves (too long, filtered) say nothing about other rows. Others do where they come one after the other, without
 * an answer between them: soon where the words are the same, later where they differ.
 */

/** Refusals in the same words that end a run, before it has an answer and after. */
const SAME_AT_START = 20;
const SAME_IN_A_ROW = 50;
/** In whatever words. */
const ANY_IN_A_ROW = 100;
const LONGEST_SHAPE = 200;

export class RefusalStreak {
  #inARow = 0;
  readonly #shapes = new Map<string, number>();

  /**
   * Counts a refusal that does not explain itself.
   * @param hasAnswers true where rows of this session were answered
   * @returns how many rows were refused one after the other where that is the run's fault; null where it is not
   */
  add(message: string, hasAnswers: boolean): number | null {
    const shape = shapeOf(message);
    const same = (this.#shapes.get(shape) ?? 0) + 1;
    this.#shapes.set(shape, same);
    this.#inARow += 1;
    if (same >= (hasAnswers ? SAME_IN_A_ROW : SAME_AT_START)) return same;
    return this.#inARow >= ANY_IN_A_ROW ? this.#inARow : null;
  }

  /** An answer came: whatever was refused before it was those rows' own fault. */
  end(): void {
    if (this.#inARow === 0) return;
    this.#inARow = 0;
    this.#shapes.clear();
  }
}

/** A message without what differs from row to row: numbers, ids, and what is quoted. */
function shapeOf(message: string): string {
  return message
    .slice(0, LONGEST_SHAPE)
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, '…')
    .replace(/[\w-]+/g, (word) => (/\d/.test(word) ? '0' : word));
}
