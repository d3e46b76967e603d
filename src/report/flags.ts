/** What can be remarkable about a row's new answer beside its old one. Each flag is one function of both texts. */

import type { RowState } from '../types.js';
import { languageOf, scriptOf } from './language.js';

/** A row that has both answers. */
export interface Pair {
  old: string;
  new: string;
  state: RowState;
  /** How much they have in common, from 0 to 1. */
  similarity: number;
  /** Whether both have the same final answer; null where that is not known. */
  agrees: boolean | null;
}

const NEAR_IDENTICAL = 0.9;
/** A refusal says so at once. */
const REFUSAL_LENGTH = 200;
const REFUSALS =
  /^\W*(?:(?:i['’]?m|i am|we['’]?re) (?:very |really |so )?sorry,? (?:but )?(?:i|we|this|that|as)|(?:sorry|unfortunately|apologies),? (?:but )?(?:i|as an ai|we)\b.{0,40}\b(?:can['’]?t|cannot|can not|unable|not able|won['’]?t)|i (?:can['’]?t|cannot|can not|won['’]?t|will not) (?:help|assist|provide|comply|do that|fulfil|create|write|generate|answer|engage|support)|i['’]?m (?:unable|not able) to|as an ai(?: language model)?,? i|es tut mir leid,? (?:aber )?(?:ich|das)|je suis désolée?,? mais|lo siento,? (?:pero )?no)/iu;
const FENCE = /^ {0,3}(?:```|~~~)/m;

const FLAGS = {
  empty: (pair) => pair.new.trim() === '',
  refusal: ({ new: answer, state }) => state === 'refused' || REFUSALS.test(answer.slice(0, REFUSAL_LENGTH)),
  truncated: ({ state }) => state === 'truncated',
  disagrees: ({ agrees }) => agrees === false,
  identical: ({ old, similarity }) => old !== '' && similarity >= NEAR_IDENTICAL,
  'lost code': ({ old, new: answer }) => FENCE.test(old) && !FENCE.test(answer),
  'new script': ({ old, new: answer }) => differs(scriptOf(old), scriptOf(answer)),
  'new language': ({ old, new: answer }) => differs(languageOf(old), languageOf(answer)),
} satisfies Record<string, (pair: Pair) => boolean>;

export type FlagName = keyof typeof FLAGS;
export const FLAG_NAMES = Object.keys(FLAGS) as FlagName[];

/** What is remarkable about a pair of answers. */
export function flagsOf(pair: Pair): FlagName[] {
  return FLAG_NAMES.filter((name) => FLAGS[name](pair));
}

/** Both are known and not the same. */
function differs(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other;
}
