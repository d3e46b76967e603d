/** A line of parts that fits into a width: what matters least goes first, and what always matters grows shorter. */

const SEPARATOR = ' · ';
const NARROW_SEPARATOR = ' ';

/** A part of the line. */
export interface Part {
  text: string;
  /** Left out for want of room, those with the highest number first; a part without one is always there. */
  rank?: number;
  /** What a part that is always there becomes where even those alone are too wide: in a second step, and in a third. */
  shorter?: string;
  shortest?: string;
}

/**
 * The parts in their order, as many and as long as fit.
 * @param columns that there are; below some twenty the line is cut
 */
export function fitted(parts: readonly Part[], columns: number): string {
  const kept = [...parts];
  while (join(kept).length > columns) {
    const rank = Math.max(...kept.map((part) => part.rank ?? 0));
    if (rank === 0) break;
    kept.splice(
      kept.findIndex((part) => part.rank === rank),
      1,
    );
  }
  const forms = [
    join(kept),
    kept.map(({ text, shorter }) => shorter ?? text).join(SEPARATOR),
    kept.map(({ text, shorter, shortest }) => shortest ?? shorter ?? text).join(NARROW_SEPARATOR),
  ];
  return forms.find((line) => line.length <= columns) ?? (forms.at(-1) ?? '').slice(0, columns);
}

function join(parts: readonly Part[]): string {
  return parts.map(({ text }) => text).join(SEPARATOR);
}
