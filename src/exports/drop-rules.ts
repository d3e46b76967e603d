/** `--drop`: which rows of the results are left out of the output formats and of what is pushed. */

import { LANGUAGES } from '../lib/detect-language.js';
import { UsageError } from '../lib/errors.js';
import { NEARLY_IDENTICAL } from '../lib/similarity.js';
import { nearest } from '../lib/suggest.js';
import { sanitize } from '../lib/text.js';

/** States that may be dropped. */
const STATES = ['failed', 'refused', 'filtered', 'truncated'] as const;
const LONGEST = 1e9;

/** Why a row is dropped. */
export type DropRule = { /** As it is written, which is also how it is reported. */ text: string } & (
  | { kind: 'state'; state: (typeof STATES)[number] }
  /** Without an answer, for any reason. */
  | { kind: 'unanswered' }
  /** At least this similar to the original answer, from 0 to 1. */
  | { kind: 'identical'; least: number }
  /** In another language than the original answer, or in none of these (ISO 639-1). */
  | { kind: 'language'; wanted: readonly string[] | null }
  /** With fewer, or more, characters than this. */
  | { kind: 'shorter' | 'longer'; characters: number }
);

/** How rules are written, for help and messages. */
export const DROP_CHOICES = [...STATES, 'unanswered', 'identical', 'language'] as const;
const ALL = `${DROP_CHOICES.join(', ')}, identical=0.8, language=en+de, shorter=N, longer=N`;

/**
 * Reads rules, such as `truncated,identical=0.8,longer=8000`.
 * @param source what gave them, for messages
 * @throws UsageError that says which rules there are
 */
export function parseDropRules(given: readonly string[], source: string): DropRule[] {
  return given.map((text) => {
    const [name, value] = split(text.toLowerCase());
    const rule = readRule(name, value);
    if (rule !== null) return { text: value === null ? name : `${name}=${value}`, ...rule };
    const names = [...DROP_CHOICES, 'shorter', 'longer'];
    const near = names.includes(name) ? '' : ` Did you mean ${nearest(name, names, 1).join()}?`;
    throw new UsageError(`${source} takes ${ALL}, not ${sanitize(text, 40)}.${near}`);
  });
}

type Rule = DropRule extends infer R ? (R extends unknown ? Omit<R, 'text'> : never) : never;

function readRule(name: string, value: string | null): Rule | null {
  switch (name) {
    case 'unanswered':
      return value === null ? { kind: name } : null;
    case 'identical': {
      const least = value === null ? NEARLY_IDENTICAL : numberIn(value, 0, 1);
      return least === null ? null : { kind: name, least };
    }
    case 'language':
      return value === null ? { kind: name, wanted: null } : languages(value);
    case 'shorter':
    case 'longer': {
      const characters = value === null ? null : numberIn(value, 1, LONGEST);
      return characters === null || !Number.isInteger(characters) ? null : { kind: name, characters };
    }
    default: {
      const state = STATES.find((one) => one === name);
      return state === undefined || value !== null ? null : { kind: 'state', state };
    }
  }
}

function languages(value: string): Rule | null {
  const wanted = value.split('+').map((code) => code.trim());
  return wanted.every((code) => LANGUAGES.includes(code)) ? { kind: 'language', wanted } : null;
}

function split(text: string): [string, string | null] {
  const place = text.indexOf('=');
  return place === -1 ? [text.trim(), null] : [text.slice(0, place).trim(), text.slice(place + 1).trim()];
}

function numberIn(text: string, least: number, most: number): number | null {
  const value = /^\d{1,10}(?:\.\d{1,6})?$/.test(text) ? Number(text) : NaN;
  return value >= least && value <= most ? value : null;
}
