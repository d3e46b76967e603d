/**
 * The final answer in a text: what two solutions of one problem have in common where they are both right, however they
 * are worded. The same extraction compares an answer with the dataset's own, and several answers with each other.
 */

import { isObject, parseJson } from '../lib/json.js';

/** Texts beyond this have their final answer at their end. */
const END = 20_000;
/** A text on its own that is no longer is an answer as a whole. */
const SHORT = 200;
/** Lines from the end in which a number counts as the result. */
const LAST_LINES = 3;

const BOXES = ['\\boxed{', '\\fbox{'];
/** How GSM8K writes its answers. */
const HASHES = /^####\s*(\S[^\n]{0,199})$/gm;
/** “The answer is 42”, “Final answer: B”, “**Answer:** Paris”. */
const PHRASE = /\banswer(?: is|s? ?[:=]| is ?:)[*_\s:]{0,10}(?:is )?(\S[^\n]{0,199})/gi;
const NUMBER = /[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?(?:\s?\/\s?\d+)?|[-+−]?\.\d+/g;
/** Fields of JSON that hold the answer of an object. */
const ANSWER_FIELDS = ['final_answer', 'answer', 'result', 'label'];

/**
 * The final answer of a text, in a normal form: what is boxed, the answer in JSON, what is announced as the answer, the
 * last number near the end, or a short text as a whole. Null if none can be found, as in an essay.
 */
export function finalAnswer(text: string): string | null {
  const end = text.length > END ? text.slice(-END) : text;
  const boxed = lastBoxed(end);
  if (boxed !== null) return normalized(boxed);
  const json = answerInJson(text);
  if (json !== null) return json;
  const announced = lastMatch(HASHES, end) ?? lastMatch(PHRASE, end);
  if (announced !== null) return normalized(announced);
  const trimmed = end.trim();
  if (trimmed.length <= SHORT && !trimmed.includes('\n') && !/[.!?]\s+\S/.test(trimmed)) {
    if (trimmed === '') return null;
    // A sentence such as “It is 42 km.” has its number in common with “42”.
    return choiceIn(trimmed) ?? lastNumber(trimmed) ?? normalized(trimmed);
  }
  return lastNumber(lastLines(trimmed));
}

/** True where both have a final answer and it is the same, false where it differs, null where one has none. */
export function finalAnswersAgree(old: string | null, answer: string | null): boolean | null {
  const one = old === null ? null : finalAnswer(old);
  const other = answer === null ? null : finalAnswer(answer);
  return one === null || other === null ? null : one === other;
}

/** The contents of the last box whose braces match. */
function lastBoxed(text: string): string | null {
  const start = Math.max(...BOXES.map((box) => text.lastIndexOf(box)));
  if (start === -1) return null;
  const from = text.indexOf('{', start) + 1;
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '\\') at += 1;
    else if (character === '{') depth += 1;
    else if (character === '}' && --depth === 0) return text.slice(from, at);
  }
  return null;
}

/** The answer of a text that is JSON, bare or in a fence. */
function answerInJson(text: string): string | null {
  const bare = withoutFence(text.trim());
  if (!/^[[{]/.test(bare)) return null;
  const value = parseJson(bare);
  if (typeof value !== 'object' || value === null) return null;
  if (isObject(value)) {
    const field = ANSWER_FIELDS.find((name) => Object.hasOwn(value, name));
    const answer = field === undefined ? undefined : value[field];
    if (typeof answer === 'string') return normalized(answer);
    if (answer !== undefined && answer !== null) return canonical(answer);
  }
  return canonical(value);
}

function withoutFence(text: string): string {
  const opening = /^```(?:json)?\s/i.exec(text);
  const isFenced = opening !== null && text.endsWith('```') && text.length > opening[0].length + 2;
  return isFenced ? text.slice(opening[0].length, -3).trim() : text;
}

/** JSON in which neither spacing nor the order of keys makes a difference. */
function canonical(value: unknown): string {
  const sorted = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(sorted);
    if (!isObject(one)) return one;
    const keys = Object.keys(one).sort();
    return Object.fromEntries(keys.map((key) => [key, sorted(one[key])]));
  };
  return typeof value === 'number' ? String(value) : JSON.stringify(sorted(value));
}

function lastMatch(pattern: RegExp, text: string): string | null {
  let found: string | null = null;
  for (const match of text.matchAll(pattern)) found = match[1] ?? null;
  return found;
}

function lastLines(text: string): string {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-LAST_LINES)
    .join('\n');
}

function lastNumber(text: string): string | null {
  const last = [...text.matchAll(NUMBER)].at(-1)?.[0];
  return last === undefined ? null : numberOf(last);
}

/** `B`, `(B)`, `B.`, `B) Paris`: the letter of a choice. */
function choiceIn(text: string): string | null {
  return /^[*_\s]{0,4}\(?([A-Z])(?:[).:*_]|$)/.exec(text)?.[1]?.toLowerCase() ?? null;
}

/** Numbers by their value, letters of choices as such, and other texts without what is only form. */
function normalized(text: string): string {
  const plain = text
    .replace(/\\(?:text|mathrm|mathbf|textbf|operatorname)\s?\{([^{}]{0,200})\}/g, '$1')
    .replace(/\\[dt]?frac\s?\{([^{}]{1,50})\}\s?\{([^{}]{1,50})\}/g, '$1/$2')
    .replace(/\\(?:left|right|displaystyle|[,;:! ])/g, '')
    .replace(/\$|\\\(|\\\)|\\\[|\\\]|[*_`]{1,3}|\\%|\\\$|°|\\circ/g, '')
    .trim();
  const choice = choiceIn(plain);
  if (choice !== null) return choice;
  const numbers = [...plain.matchAll(NUMBER)];
  const [only] = numbers;
  // One number, with a unit, a name or a full stop at most.
  const rest = only === undefined ? '' : plain.replace(only[0], '').trim();
  if (
    only !== undefined &&
    numbers.length === 1 &&
    /^(?:[a-z]\s?=)?\s?[£€¥%]?[a-z\s]{0,30}[.%]?$/i.test(rest)
  )
    return numberOf(only[0]);
  return plain
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/^["'“”‘’(]+|(?<!["'“”‘’).,;:!?])["'“”‘’).,;:!?]+$/g, '');
}

/** The same for `1,000`, `1000.0` and `1e3`, and for `1/2` and `0.5`. */
function numberOf(digits: string): string {
  const [top = '', bottom] = digits.replaceAll(/[,\s]/g, '').replace('−', '-').split('/');
  const value = bottom === undefined ? Number(top) : Number(top) / Number(bottom);
  return Number.isFinite(value) ? String(Number(value.toPrecision(12))) : digits;
}
