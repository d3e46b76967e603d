/** What a judge says, and what its two verdicts on a pair of answers come to. */

/** What one answer of the judge says by the places of the answers. */
type Placed = 'a' | 'b' | 'tie';
/** The same by the answers themselves. */
export type Preference = 'new' | 'old' | 'tie';
/** Of a pair, judged in both orders. */
export type PairVerdict = Preference | 'undecided';

/** A verdict stands near the end; a judge that goes on for longer has none to find. */
const LOOKED_AT_CHARACTERS = 20_000;
const LONGEST_LINE = 200;
const VERDICT_LINE =
  /^[\s*_#>`"'[({-]*(?:(?:final|my)\s+)?verdict[\s*_`"']*[:：=-][\s*_`"'[({]*(?:answer\s+)?(a|b|tie)[\s*_`"'\])}.!]*$/i;
/** As the prompts of MT-Bench ask for it. */
const BRACKETS = /\[\[(a|b|c|tie)\]\]/gi;

/** Reads a judge's text: the last line with a verdict counts; null where there is none. */
export function readVerdict(text: string): Placed | null {
  const end = text.slice(-LOOKED_AT_CHARACTERS);
  for (const line of end.split(/\r?\n/).reverse()) {
    const found = line.length > LONGEST_LINE ? null : VERDICT_LINE.exec(line);
    if (found?.[1] !== undefined) return found[1].toLowerCase() as Placed;
  }
  const bracketed = [...end.matchAll(BRACKETS)].at(-1)?.[1]?.toLowerCase();
  if (bracketed === undefined) return null;
  return bracketed === 'c' ? 'tie' : (bracketed as Placed);
}

/** The order in which a pair's answers stood before the judge. */
export type Order = 'new_first' | 'old_first';

/** Which answer a verdict prefers. */
export function preferred(placed: Placed, order: Order): Preference {
  if (placed === 'tie') return 'tie';
  return (placed === 'a') === (order === 'new_first') ? 'new' : 'old';
}

/** An answer wins that is preferred in both orders; null stands for a verdict that is missing. */
export function verdictOfPair(newFirst: Preference | null, oldFirst: Preference | null): PairVerdict {
  if (newFirst === null || oldFirst === null) return 'undecided';
  return newFirst === oldFirst ? newFirst : 'tie';
}

/** True where the judge preferred the same place in both orders. */
export function isFlipped(newFirst: Preference | null, oldFirst: Preference | null): boolean {
  return (newFirst === 'new' && oldFirst === 'old') || (newFirst === 'old' && oldFirst === 'new');
}
