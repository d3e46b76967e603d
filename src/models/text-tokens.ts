/**
 * Tokens of a text by its shape: one pass, no vocabulary. A tokenizer would be exact for some models but takes a hundred
 * times as long, which a journal of a million answers cannot afford.
 */

/*
 * Fitted to o200k_base: 6 to 9 % above it on the English answers and prompts of AlpacaEval, 15 % above on CodeAlpaca's
 * code, within 25 % on translations of the Universal Declaration of Human Rights.
 */
const WORD_LETTERS = 9;
const DIGITS = 3;
const MARKS = 1.6;
const FOREIGN_LETTERS = 3;
const WIDE_PER_CHARACTER = 0.8;

/** About how many tokens a model's tokenizer makes of a text; 0 only for an empty one. */
export function estimateTokens(text: string): number {
  let tokens = 0;
  const { length } = text;
  for (let at = 0; at < length;) {
    const kind = kindOf(text.charCodeAt(at));
    const start = at;
    while (at < length && kindOf(text.charCodeAt(at)) === kind) at += 1;
    tokens += tokensOfRun(kind, at - start);
  }
  return Math.ceil(tokens);
}

type Kind = 'space' | 'break' | 'letter' | 'digit' | 'mark' | 'foreign' | 'wide';

function tokensOfRun(kind: Kind, length: number): number {
  switch (kind) {
    // A single space belongs to the word after it.
    case 'space':
      return length === 1 ? 0 : 1 + Math.floor(length / 32);
    case 'break':
      return Math.ceil(length / 8);
    case 'letter':
      return length <= WORD_LETTERS ? 1 : length / (WORD_LETTERS / 2);
    case 'digit':
      return Math.ceil(length / DIGITS);
    case 'mark':
      return length <= 2 ? 1 : length / MARKS;
    case 'foreign':
      return Math.max(1, length / FOREIGN_LETTERS);
    case 'wide':
      return Math.max(1, length * WIDE_PER_CHARACTER);
  }
}

function kindOf(code: number): Kind {
  if (code >= 0x80) return kindBeyondAscii(code);
  if (code === 0x20) return 'space';
  if (code < 0x20) return 'break';
  if (code >= 0x30 && code <= 0x39) return 'digit';
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a ? 'letter' : 'mark';
}

/** From the CJK radicals on, one character is about one token. Latin letters with accents belong to their word. */
function kindBeyondAscii(code: number): Kind {
  if (code < 0xc0) return 'mark';
  if (code < 0x250) return 'letter';
  if (code >= 0x2000 && code < 0x2e80) return 'mark';
  return code >= 0x2e80 ? 'wide' : 'foreign';
}
