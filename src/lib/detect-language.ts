/**
 * The language of a text, by ELD (github.com/nitotm/efficient-language-detector-js): statistics of letter sequences of 60
 * languages. It is loaded when it is needed, and takes about a megabyte of disk and 50 of memory.
 */

/** The languages that are recognised, by ISO 639-1. */
export const LANGUAGES: readonly string[] = (
  'am ar az be bg bn ca cs da de el en es et eu fa fi fr gu he hi hr hu hy is it ja ka kn ko ku lo lt lv ml mr ms nl no or ' +
  'pa pl pt ro ru sk sl sq sr sv ta te th tl tr uk ur vi yo zh'
).split(' ');

/** The language is detected from this many characters, without code, among the first `LONGEST`. */
const LOOKED_AT = 400;
const LONGEST = 4000;
/** With fewer letters, the language is unknown; where characters are syllables or words, a quarter is enough. */
const FEWEST_LETTERS = 50;
const SYLLABLES = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/gu;
/** Languages whose scores are too close to the best one to be distinguished from it: Russian and Bulgarian, Norwegian and Danish. */
const MARGIN = 0.1;

/** Languages that a text may be in; empty where that is not clear. */
export type Detect = (text: string) => ReadonlySet<string>;

/** Loads the detector. */
export async function openDetector(): Promise<Detect> {
  const { eld } = await import('eld/extrasmall');
  return (text) => {
    const prose = withoutCode(text.slice(0, LONGEST)).slice(0, LOOKED_AT);
    if (!hasLetters(prose)) return NONE;
    const found = eld.detect(prose);
    if (!found.isReliable()) return NONE;
    const scores = Object.entries(found.getScores());
    const best = Math.max(...scores.map(([, score]) => score));
    return new Set(scores.filter(([, score]) => score >= best - MARGIN).map(([language]) => language));
  };
}

const NONE: ReadonlySet<string> = new Set();

function hasLetters(text: string): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return letters >= FEWEST_LETTERS || (text.match(SYLLABLES)?.length ?? 0) >= FEWEST_LETTERS / 4;
}

/** The lines of a text that are not in fenced blocks. */
function withoutCode(text: string): string {
  let isCode = false;
  const prose = text.split('\n').filter((line) => {
    const isFence = /^ {0,3}(?:```|~~~)/.test(line);
    if (isFence) isCode = !isCode;
    return !isFence && !isCode;
  });
  return prose.join('\n');
}
