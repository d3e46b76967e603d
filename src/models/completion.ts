/** What a chat completion says: the annotation, its state, and what it used. */

import { isObject } from '../lib/json.js';
import type { RowState, ToolCall } from '../types.js';
import type { AnswerRules } from './answer-rules.js';
import { nameOfReason, STANDARD_RULES, type Ending } from './finish-reason.js';
import { readMessage } from './reasoning.js';
import { tierOf, type ServiceTier } from './service-tiers.js';
import { readToolCalls } from './tool-calls.js';
import { readUsage, type Usage } from './usage.js';

export interface Completion {
  state: Exclude<RowState, 'failed' | 'pending'>;
  /** The text of every choice in the order of `index`, without its reasoning; null where a choice has none. */
  annotations: (string | null)[];
  /** The reasoning of every choice, in the same order; null where a choice gives none, or is withheld. */
  reasonings: (string | null)[];
  /** The calls of tools that every choice makes, in the same order; null where it makes none, or is withheld. */
  toolCalls: (readonly ToolCall[] | null)[];
  /** The first choice's text as the row's annotation; null where it is refused or filtered, or has none. */
  annotation: string | null;
  /** Why the state is not `ok`, where the answer says more than its finish reason. */
  note: string | null;
  /** The model that answered, usually a dated snapshot. */
  model: string | null;
  finishReason: string | null;
  usage: Usage | null;
  tier: ServiceTier;
  /** The usage object as it came. */
  rawUsage: unknown;
}

/** What an answer of the chat completions API turned out to be. */
export type Answer =
  | { kind: 'whole'; completion: Completion }
  /** A choice ended in a way that is not known to mean a whole answer; `reason` as `--accept_finish_reason` takes it. */
  | { kind: 'partial'; reason: string; usage: Usage | null; tier: ServiceTier }
  /** The answer is whole, and does not hold what was asked for; `violation` says where. */
  | { kind: 'unfit'; violation: string; usage: Usage | null; tier: ServiceTier }
  /** There is no choice, or neither text nor a call of a tool although nothing stopped the model. */
  | { kind: 'empty'; usage: Usage | null }
  /** A choice carries the error that ended it, as OpenRouter reports failures of its upstreams. */
  | { kind: 'error'; error: Record<string, unknown>; usage: Usage | null }
  /** This is no chat completion. */
  | { kind: 'foreign' };

/**
 * Reads a chat completion.
 *
 * Where it has several choices (`--n`), every one of them counts: one that broke off makes the answer partial, one that
 * breaks the schema makes it unfit, one that reached its limit makes it truncated. A later choice that was filtered or refused, or that has no text, is a null
 * among `annotations`, and the row keeps the state of its first choice.
 * @see https://platform.openai.com/docs/api-reference/chat/object
 */
export function readAnswer(response: unknown, rules: AnswerRules = STANDARD_RULES): Answer {
  if (!isObject(response) || !Array.isArray(response['choices'])) return { kind: 'foreign' };
  const usage = readUsage(response['usage']);
  const choices: Choice[] = [];
  let [error, partial]: [Choice['error'], Choice | null] = [null, null];
  for (const one of inOrder(response['choices'])) {
    const choice = readChoice(one, rules);
    choices.push(choice);
    error ??= choice.error;
    if (choice.ending === 'unknown') partial ??= choice;
  }
  const [first] = choices;
  if (first === undefined) return { kind: 'empty', usage };
  if (error !== null) return { kind: 'error', error, usage };
  const tier = tierOf(response['service_tier']);
  if (partial !== null) return { kind: 'partial', reason: nameOfReason(partial.finishReason), usage, tier };
  const judged = judge(first, choices);
  if (judged === null) return { kind: 'empty', usage };
  const violation = violationIn(choices, rules);
  if (violation !== null) return { kind: 'unfit', violation, usage, tier };
  // Written out: a spread would take longer than all else here.
  const { state, annotation, note } = judged;
  const completion: Completion = {
    state,
    annotation,
    note,
    annotations: [],
    reasonings: [],
    toolCalls: [],
    model: typeof response['model'] === 'string' ? response['model'] : null,
    finishReason: typeof first.finishReason === 'string' ? first.finishReason : null,
    usage,
    tier,
    rawUsage: response['usage'] ?? null,
  };
  for (const choice of choices) {
    const shown = isWithheld(choice) ? NOTHING : choice;
    completion.annotations.push(shown.text);
    completion.reasonings.push(shown.reasoning);
    completion.toolCalls.push(shown.calls);
  }
  return { kind: 'whole', completion };
}

/** One choice, read. */
interface Choice {
  text: string | null;
  reasoning: string | null;
  calls: readonly ToolCall[] | null;
  refusal: string | null;
  finishReason: unknown;
  ending: Ending;
  error: Record<string, unknown> | null;
}

/** What is shown of a choice that was withheld. */
const NOTHING: Pick<Choice, 'text' | 'reasoning' | 'calls'> = { text: null, reasoning: null, calls: null };

function readChoice(choice: Record<string, unknown>, rules: AnswerRules): Choice {
  const message = messageIn(choice);
  const { finish_reason: finishReason, error } = choice;
  const ending = rules.endingOf(finishReason);
  const { text, reasoning } = readMessage(message, ending === 'complete');
  return {
    text,
    reasoning,
    calls: readToolCalls(message),
    refusal: refusalOf(message),
    finishReason,
    ending,
    error: isObject(error) && Object.keys(error).length > 0 ? error : null,
  };
}

/**
 * The message of a choice. Some servers give its text alone in its place, or the `delta` of a stream in an answer that is
 * not streamed.
 */
function messageIn({ message, delta }: Record<string, unknown>): Record<string, unknown> {
  if (isObject(message)) return message;
  if (typeof message === 'string') return { content: message };
  return isObject(delta) ? delta : {};
}

/** What is wrong with the first whole text that breaks the rules; null where none does. */
function violationIn(choices: readonly Choice[], rules: AnswerRules): string | null {
  if (rules.violationIn === undefined) return null;
  for (const choice of choices) {
    if (choice.text === null || choice.ending !== 'complete' || isWithheld(choice)) continue;
    const violation = rules.violationIn(choice.text);
    if (violation !== null) return violation;
  }
  return null;
}

function inOrder(choices: readonly unknown[]): Record<string, unknown>[] {
  const objects = choices.filter(isObject);
  if (objects.length < 2) return objects;
  return objects.sort((a, b) => indexOf(a) - indexOf(b));
}

function indexOf({ index }: Record<string, unknown>): number {
  return typeof index === 'number' && index >= 0 ? index : 0;
}

/** The row's state by its choices; null where its first one holds nothing. */
function judge(
  first: Choice,
  choices: readonly Choice[],
): Pick<Completion, 'state' | 'annotation' | 'note'> | null {
  const { text, refusal, ending } = first;
  if (ending === 'filtered') {
    return { state: 'filtered', annotation: null, note: 'the provider’s content filter withheld the answer' };
  }
  if (isWithheld(first)) {
    return { state: 'refused', annotation: null, note: refusal ?? text ?? 'the model refused' };
  }
  if (ending === 'truncated') {
    const note = 'all tokens were used before any text was written; raise --max_tokens';
    return { state: 'truncated', annotation: text, note: text === null ? note : null };
  }
  if (text === null && first.calls === null) return null;
  const isCut = choices.length > 1 && choices.some((choice) => choice.ending === 'truncated');
  return { state: isCut ? 'truncated' : 'ok', annotation: text, note: null };
}

/** True where what the choice says is no answer: the filter or the model itself withheld that. */
function isWithheld({ text, calls, refusal, ending }: Choice): boolean {
  return (
    ending === 'filtered' || ending === 'refused' || (refusal !== null && text === null && calls === null)
  );
}

function refusalOf(message: Record<string, unknown>): string | null {
  const refusal = message['refusal'];
  return typeof refusal === 'string' && refusal !== '' ? refusal : null;
}
