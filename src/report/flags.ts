/** What can be remarkable about a row's new answer. Each flag is one function of the row. */

import { NEARLY_IDENTICAL } from '../lib/similarity.js';
import type { RowState } from '../types.js';
import { languageOf, scriptOf } from '../lib/language.js';

/** A row as flags look at it. */
export interface Answered {
  /** Null where there is none. */
  old: string | null;
  new: string | null;
  state: RowState;
  /** How much they have in common, from 0 to 1; null where one is missing. */
  similarity: number | null;
  /** Whether both have the same final answer; null where that is not known. */
  agrees: boolean | null;
  /** True where the answer calls tools, so that it needs no text. */
  callsTools: boolean;
}

/** A row that has both answers. */
interface Pair extends Answered {
  old: string;
  new: string;
  similarity: number;
}

/** A refusal says so at once. */
const REFUSAL_LENGTH = 200;
const REFUSALS =
  /^\W*(?:(?:i['’]?m|i am|we['’]?re) (?:very |really |so )?sorry,? (?:but )?(?:i|we|this|that|as)|(?:sorry|unfortunately|apologies),? (?:but )?(?:i|as an ai|we)\b.{0,40}\b(?:can['’]?t|cannot|can not|unable|not able|won['’]?t)|i (?:can['’]?t|cannot|can not|won['’]?t|will not) (?:help|assist|provide|comply|do that|fulfil|create|write|generate|answer|engage|support)|i['’]?m (?:unable|not able) to|as an ai(?: language model)?,? i|es tut mir leid,? (?:aber )?(?:ich|das)|je suis désolée?,? mais|lo siento,? (?:pero )?no)/iu;
const FENCE = /^ {0,3}(?:```|~~~)/m;

/** `all`: any row can have it. `pairs`: only one with an old and a new answer. */
type Flag = { of: 'all'; has: (row: Answered) => boolean } | { of: 'pairs'; has: (row: Pair) => boolean };

const FLAGS = {
  empty: { of: 'all', has: ({ new: answer, callsTools }) => answer?.trim() === '' && !callsTools },
  refusal: {
    of: 'all',
    has: ({ new: answer, state }) =>
      state === 'refused' || (answer !== null && REFUSALS.test(answer.slice(0, REFUSAL_LENGTH))),
  },
  truncated: { of: 'all', has: ({ state }) => state === 'truncated' },
  disagrees: { of: 'pairs', has: ({ agrees }) => agrees === false },
  identical: { of: 'pairs', has: ({ old, similarity }) => old !== '' && similarity >= NEARLY_IDENTICAL },
  'lost code': { of: 'pairs', has: ({ old, new: answer }) => FENCE.test(old) && !FENCE.test(answer) },
  'new script': { of: 'pairs', has: ({ old, new: answer }) => differs(scriptOf(old), scriptOf(answer)) },
  'new language': {
    of: 'pairs',
    has: ({ old, new: answer }) => differs(languageOf(old), languageOf(answer)),
  },
} satisfies Record<string, Flag>;

export type FlagName = keyof typeof FLAGS;
export const FLAG_NAMES = Object.keys(FLAGS) as FlagName[];

/** What is remarkable about a row. */
export function flagsOf(row: Answered): FlagName[] {
  return FLAG_NAMES.filter((name) => {
    const flag: Flag = FLAGS[name];
    return flag.of === 'all' ? flag.has(row) : isPair(row) && flag.has(row);
  });
}

/** Whether a flag compares both answers. */
export function isOfPairs(name: FlagName): boolean {
  return FLAGS[name].of === 'pairs';
}

function isPair(row: Answered): row is Pair {
  return row.old !== null && row.new !== null;
}

/** Both are known and not the same. */
function differs(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && one !== other;
}
