/** What a judge says, and what its two verdicts on a pair of answers come to. */

/** What one answer of the judge says by the places of the answers. */
type Placed = 'a' | 'b' | 'tie';
/** The same by the answers themselves. */
export type Preference = 'new' | 'old' | 'tie';
/** Of a pair, judged in both orders. */
export type PairVerdict = Preference | 'undecided';

/** A verdict is near the end; after a longer text there is none to find. */
const LOOKED_AT_CHARACTERS = 20_000;
const LONGEST_LINE = 200;
/** `## Verdict`, with the verdict itself on the next line. */
const HEADING = /^[\s#*_]*verdict(?=[\s*_:]*$)/i;
const LONGEST_UNDER_HEADING = 20;
/** Marks of Markdown, quotes and brackets around a verdict. */
const MARKS = String.raw`[\s*_#>"'“”‘’$\x60\u200b[\](){}<.-]*`;
/** The same before a separator: a `>` is the separator then. */
const MARKS_BEFORE = String.raw`[\s*_#"'“”‘’$\x60\u200b[\](){}<.-]*`;
const CHOICE = String.raw`(?:(?:answer|assistant|response|option|a(?=\s+(?:tie|draw)))\s+)?(?<choice>a|b|tie|draw|neither|both)`;
/** `Verdict: A`, `**Final verdict: [[A]]**`, `"verdict": "A"`, `<verdict>A</verdict>`, `The verdict is A.`, `Winner: B` */
const VERDICT_LINE = new RegExp(
  String.raw`^${MARKS}(?:(?:the|final|my)\s+){0,2}(?:verdict|winner|最终判断)${MARKS_BEFORE}(?:[:：=>]|is\b)${MARKS}${CHOICE}(?<rest>[^\p{L}\d].*)?$`,
  'iu',
);
/** What may follow: closing marks, a remark, or the comparison itself. */
const REMARK =
  /^(?:[^\p{L}\d]*|[\s*_\x60"'”’$]*(?:[([—–-]|\bwins\b).{0,150}|\s+is (?!not )(?:(?!not )\w+ ){0,3}(?:better|best|preferred|winner|stronger|superior)\b.{0,60}|\s*>\s*[ab]\W*|\W*<\/verdict>\W*)$/iu;
/** As the prompts of MT-Bench, and of mathematicians, ask for it. */
const BRACKETS = /\[\[(a|b|c|tie)\]\]|\\boxed\{(a|b|tie)\}|"verdict"\s*:\s*"(a|b|tie)"/gi;

/** Reads a judge's text: the last line with a verdict counts; null where there is none. */
export function readVerdict(text: string): Placed | null {
  const end = text.slice(-LOOKED_AT_CHARACTERS);
  for (const line of verdictLines(end).reverse()) {
    const found = line.length > LONGEST_LINE ? null : VERDICT_LINE.exec(line)?.groups;
    if (found?.['choice'] !== undefined && isRemark(found['rest'] ?? '', found['choice']))
      return placedBy(found['choice']);
  }
  const bracketed = [...end.matchAll(BRACKETS)].at(-1);
  const choice = bracketed?.slice(1).find((one: string | undefined) => one !== undefined);
  return choice === undefined ? null : placedBy(choice);
}

/** Lines that are not empty; a heading that has its verdict on the next line is one line with it. */
function verdictLines(text: string): string[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line, index) => {
    const next = lines[index + 1]?.trimEnd() ?? '';
    const heading = line.length > LONGEST_LINE ? null : HEADING.exec(line);
    return heading === null || next.length === 0 || next.length > LONGEST_UNDER_HEADING
      ? line.trimEnd()
      : `${heading[0]}: ${next}`;
  });
}

/** False where what follows takes the choice back, or makes it a word of a sentence. */
function isRemark(rest: string, choice: string): boolean {
  if (!REMARK.test(rest)) return false;
  const others = /^\s*>/.test(rest) ? [] : (rest.match(/\b(?:A|B)\b/g) ?? []);
  return others.every((other) => other.toLowerCase() === choice.toLowerCase());
}

function placedBy(choice: string): Placed {
  const name = choice.toLowerCase();
  return name === 'a' || name === 'b' ? name : 'tie';
}

/** The order in which a pair's answers stood before the judge. */
export type Order = 'new_first' | 'old_first';

/** Which answer a verdict prefers. */
export function preferred(placed: Placed, order: Order): Preference {
  if (placed === 'tie') return 'tie';
  return (placed === 'a') === (order === 'new_first') ? 'new' : 'old';
}

/** An answer wins that is preferred in both orders; null is a missing verdict. */
export function verdictOfPair(newFirst: Preference | null, oldFirst: Preference | null): PairVerdict {
  if (newFirst === null || oldFirst === null) return 'undecided';
  return newFirst === oldFirst ? newFirst : 'tie';
}

/** True where the judge preferred the same place in both orders. */
export function isFlipped(newFirst: Preference | null, oldFirst: Preference | null): boolean {
  return (newFirst === 'new' && oldFirst === 'old') || (newFirst === 'old' && oldFirst === 'new');
}
