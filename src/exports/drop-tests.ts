/** What each rule of `--drop`, and each evaluation set of `--decontaminate`, checks in a row. */

import { openDetector, type Detect } from '../lib/detect-language.js';
import { similarity } from '../lib/similarity.js';
import type { WordNgrams } from '../lib/word-ngrams.js';
import type { RowState } from '../types.js';
import type { DropRule } from './drop-rules.js';
import type { ResultRow } from './rows.js';

/** A reason to drop a row. */
export interface DropTest {
  /** The rule as it is written, or `overlaps FILE`. */
  reason: string;
  drops: (row: ResultRow, state: RowState) => boolean;
}

/** Prompts that a model is evaluated with. */
export interface EvaluationSet {
  /** The name of its file. */
  name: string;
  ngrams: WordNgrams;
  /** Texts that were read. */
  texts: number;
  /** Those of them that are too short to be compared. */
  tooShort: number;
}

/** The tests in the order in which they are applied: the first one that drops a row is its reason. */
export async function dropTests(
  rules: readonly DropRule[],
  evaluationSets: readonly EvaluationSet[],
): Promise<DropTest[]> {
  const detect = rules.some(({ kind }) => kind === 'language') ? await openDetector() : null;
  return [
    ...rules.map((rule) => ({ reason: rule.text, drops: testOf(rule, detect) })),
    ...evaluationSets.map(({ name, ngrams }) => ({
      reason: `overlaps ${name}`,
      drops: (row: ResultRow) => promptsOf(row).some((prompt) => ngrams.overlaps(prompt)),
    })),
  ];
}

function testOf(rule: DropRule, detect: Detect | null): DropTest['drops'] {
  switch (rule.kind) {
    case 'state':
      return (_, state) => state === rule.state;
    case 'unanswered':
      return ({ annotation, annotation_tool_calls: calls }) =>
        annotation === null && (calls ?? null) === null;
    case 'identical':
      return ({ annotation, annotation_original: original }) =>
        annotation !== null &&
        (original ?? '') !== '' &&
        similarity(original ?? '', annotation) >= rule.least;
    case 'shorter':
      return ({ annotation }) => annotation !== null && annotation.length < rule.characters;
    case 'longer':
      return ({ annotation }) => annotation !== null && annotation.length > rule.characters;
    case 'language':
      return detect === null ? () => false : languageTest(rule.wanted, detect);
  }
}

/** A row whose language is not clear stays. */
function languageTest(wanted: readonly string[] | null, detect: Detect): DropTest['drops'] {
  return ({ annotation, annotation_original: original }) => {
    if (annotation === null) return false;
    const expected = wanted ?? [...detect(original ?? '')];
    const found = detect(annotation);
    return found.size > 0 && expected.length > 0 && !expected.some((language) => found.has(language));
  };
}

/** What was asked: the prompt, or all user turns of a chat. */
function promptsOf({ user_prompt: prompt, request_messages: messages }: ResultRow): string[] {
  const turns = (messages ?? []).filter(({ role }) => role === 'user');
  return turns.length > 0 ? turns.map(({ content }) => content ?? '') : [prompt ?? ''];
}
