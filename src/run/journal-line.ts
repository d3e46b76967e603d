/** A line of the journal, `[request, response, {"request_idx":N}]`, parsed whole. `line-scanner.ts` looks at most of them. */

import { isUtf8 } from 'node:buffer';
import { isObject, parseJson } from '../lib/json.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { readAnswer, type Completion } from '../models/completion.js';
import { FinishRules, NO_REASON, STANDARD_RULES } from '../models/finish-reason.js';
import { usageFromTexts } from '../models/usage-estimate.js';
import { readUsage, type AnswerFigures, type Usage } from '../models/usage.js';
import type { JobPart } from '../requests/processor.js';
import { readPart } from './line-part.js';
import { readOrigin, type Origin } from './origin.js';

/** What one line of the journal says. */
export type JournalEntry = {
  row: number;
  part: JobPart | null;
  /** Null where the row's own request was answered. */
  origin: Origin | null;
} & LineContent;

/** What it holds besides. */
type LineContent =
  | {
      kind: 'answer';
      completion: Completion;
      /** What it used; counted from the texts of the line where the answer does not report it. */
      figures: () => AnswerFigures;
    }
  /** An answer that is not known to be whole: the row is still to be asked, unless its reason is accepted. */
  | { kind: 'partial'; reason: string; figures: AnswerFigures }
  /** An answer that breaks the schema of `--response_format`: the row is still to be asked. */
  | { kind: 'unfit'; violation: string; figures: AnswerFigures }
  | { kind: 'failure'; state: 'failed' | 'filtered'; errors: string[]; usage: Usage | null };

/** Marks, in a failed line's list, a row that a provider's filter refused. */
export const FILTERED_MARK = 'filtered by the provider';

/**
 * Reads one line; null where it is damaged or not of this format.
 * @param rules which answers count as whole: lines of earlier versions are judged by them as well
 */
export function parseJournalLine(line: Buffer, rules: AnswerRules = STANDARD_RULES): JournalEntry | null {
  // Answers are written as UTF-8, whatever a server sent.
  if (!isUtf8(line)) return null;
  const value = parseJson(line.toString('utf8'));
  if (!Array.isArray(value) || value.length !== 3) return null;
  const [request, response, metadata] = value as unknown[];
  const row = isObject(metadata) ? metadata['request_idx'] : undefined;
  if (!isObject(metadata) || typeof row !== 'number' || !Number.isSafeInteger(row) || row < 0) return null;
  const content = readContent(request, response, rules);
  return { row, part: readPart(metadata), origin: readOrigin(metadata), ...content };
}

function readContent(request: unknown, response: unknown, rules: AnswerRules): LineContent {
  if (Array.isArray(response)) {
    const errors = response.map((error: unknown) =>
      typeof error === 'string' ? error : JSON.stringify(error),
    );
    const filtered = errors.at(-1) === FILTERED_MARK;
    if (filtered) errors.pop();
    return { kind: 'failure', state: filtered ? 'filtered' : 'failed', errors, usage: null };
  }
  const answer = readAnswer(response, isWithoutReasons(request, response) ? ANY_ENDING : rules);
  switch (answer.kind) {
    case 'whole':
      return wholeAnswer(answer.completion, request, response);
    case 'partial':
      return {
        kind: 'partial',
        reason: answer.reason,
        figures: { usage: usageFromTexts(answer.usage, request, response), tier: answer.tier },
      };
    case 'unfit':
      return {
        kind: 'unfit',
        violation: answer.violation,
        figures: { usage: usageFromTexts(answer.usage, request, response), tier: answer.tier },
      };
    case 'error':
      return {
        kind: 'partial',
        reason: 'error',
        figures: { usage: usageFromTexts(answer.usage, request, response), tier: 'standard' },
      };
    // The Python tool saved answers without text as good ones; they are not.
    case 'empty':
      return emptyAnswer(answer.usage);
    case 'foreign':
      return emptyAnswer(isObject(response) ? readUsage(response['usage']) : null);
  }
}

function wholeAnswer(completion: Completion, request: unknown, response: unknown): LineContent {
  const { usage, tier } = completion;
  const figures = (): AnswerFigures => ({ usage: usageFromTexts(usage, request, response), tier });
  return { kind: 'answer', completion, figures };
}

const ANY_ENDING = new FinishRules([NO_REASON]);

/**
 * True for a line of the Python tool whose choices have no field for a finish reason at all. It kept what its API client
 * gave it, so there was nothing to judge by, and its users have paid for these answers. Its requests name every
 * parameter, as null where it has no value, which ours never do.
 */
function isWithoutReasons(request: unknown, response: unknown): boolean {
  if (!isObject(request) || request['logit_bias'] !== null) return false;
  const choices = isObject(response) ? response['choices'] : null;
  return (
    Array.isArray(choices) && choices.every((one) => isObject(one) && one['finish_reason'] === undefined)
  );
}

function emptyAnswer(usage: Usage | null): LineContent {
  return { kind: 'failure', state: 'failed', errors: ['the answer has no text'], usage };
}
