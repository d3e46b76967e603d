/** A line of parts that fits into a width: what matters least goes first, and what matters most grows shorter. */

const SEPARATOR = ' · ';
const NARROW_SEPARATOR = ' ';
/** Parts of a higher rank are left out before any of the others is written shorter. */
const KEPT_RANK = 1;

/** A part of the line. */
export interface Part {
  text: string;
  /** Left out where there is no room, those with the highest number first; a part without one is always there. */
  rank?: number;
  /** What it becomes where the parts that matter are too wide: in a first step, in a second one, and at last. */
  shorter?: string;
  short?: string;
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
    if (rank <= KEPT_RANK) break;
    kept.splice(
      kept.findIndex((part) => part.rank === rank),
      1,
    );
  }
  const necessary = kept.filter(({ rank = 0 }) => rank === 0);
  const forms = [
    join(kept),
    join(kept, ({ text, shorter }) => shorter ?? text),
    join(kept, shortOf),
    shortest(kept),
    shortest(necessary),
  ];
  return forms.find((line) => line.length <= columns) ?? shortest(necessary).slice(0, columns);
}

function shortOf({ text, shorter, short }: Part): string {
  return short ?? shorter ?? text;
}

function shortest(parts: readonly Part[]): string {
  return join(parts, (part) => part.shortest ?? shortOf(part), NARROW_SEPARATOR);
}

function join(
  parts: readonly Part[],
  formOf: (part: Part) => string = ({ text }) => text,
  separator = SEPARATOR,
): string {
  return parts.map(formOf).join(separator);
}
