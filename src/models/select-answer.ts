/** Which of several answers to one prompt becomes the row's annotation. */

import { finalAnswer } from './final-answer.js';

export const SELECTIONS = ['first', 'longest', 'shortest', 'majority', 'judge'] as const;
export type Selection = (typeof SELECTIONS)[number];
export const DEFAULT_SELECTION: Selection = 'first';

/** How far several answers agree. */
export interface Agreement {
  /** Answers that have a text. */
  answers: number;
  /** Of these, the ones with the most frequent final answer. */
  agreeing: number;
  /** That answer, in its normal form. */
  final: string | null;
}

/** A choice among answers. */
export interface Selected {
  /** Its place in the list; 0 where none has a text. */
  choice: number;
  agreement: Agreement;
}

const LONGEST_FINAL = 200;

/**
 * @param answers in their order; null for those without a text
 * @param judged what a judge chose
 */
export function selectAnswer(answers: readonly (string | null)[], by: Selection, judged = 0): Selected {
  const given = answers.flatMap((text, choice) => (text === null ? [] : [{ text, choice }]));
  const majority = largestGroup(given);
  const agreement = {
    answers: given.length,
    agreeing: majority.members.length,
    final: majority.final?.slice(0, LONGEST_FINAL) ?? null,
  };
  const choice = by === 'judge' ? judged : chosen(given, majority.members, by);
  return { choice, agreement };
}

interface Given {
  text: string;
  choice: number;
}

function chosen(
  given: readonly Given[],
  majority: readonly Given[],
  by: Exclude<Selection, 'judge'>,
): number {
  switch (by) {
    case 'first':
      return 0;
    case 'longest':
      return extreme(given, (a, b) => a.text.length > b.text.length);
    case 'shortest':
      return extreme(given, (a, b) => a.text.length < b.text.length);
    case 'majority':
      return majority[0]?.choice ?? 0;
  }
}

/** The first of the most extreme ones. */
function extreme(given: readonly Given[], isMore: (a: Given, b: Given) => boolean): number {
  const [first] = given;
  if (first === undefined) return 0;
  return given.reduce((best, one) => (isMore(one, best) ? one : best), first).choice;
}

/**
 * The answers with the most frequent final answer; of groups of one size the one that begins first. Answers in which no
 * final answer can be made out are compared as whole texts.
 */
function largestGroup(given: readonly Given[]): { final: string | null; members: Given[] } {
  const groups = new Map<string, { final: string | null; members: Given[] }>();
  for (const one of given) {
    const final = finalAnswer(one.text);
    const key = final === null ? `text ${one.text.trim()}` : `final ${final}`;
    const group = groups.get(key) ?? { final, members: [] };
    group.members.push(one);
    groups.set(key, group);
  }
  let largest: { final: string | null; members: Given[] } = { final: null, members: [] };
  for (const group of groups.values()) if (group.members.length > largest.members.length) largest = group;
  return largest;
}
