/** What a chat completion says: the annotation, its state, and what it used. */

import { isObject } from '../json.js';
import type { RowState } from '../types.js';
import { readUsage, type Usage } from './usage.js';

export interface Completion {
  state: Exclude<RowState, 'failed' | 'pending'>;
  /** The text of every choice in the order of `index`; null where a choice has none. */
  annotations: (string | null)[];
  /** The first choice's text as the row's annotation; null where it is refused or filtered, or has none. */
  annotation: string | null;
  /** Why the state is not `ok`, where the answer says more than its finish reason. */
  note: string | null;
  /** The model that answered, usually a dated snapshot. */
  model: string | null;
  finishReason: string | null;
  usage: Usage | null;
  /** True where flex processing answered, which costs what a batch costs. */
  isFlex: boolean;
  /** The usage object as it came. */
  rawUsage: unknown;
}

/**
 * Reads a chat completion; null where it holds no usable answer (no choices, or an empty text although nothing
 * stopped the model), which is worth another try.
 * @see https://platform.openai.com/docs/api-reference/chat/object
 */
export function readCompletion(response: unknown): Completion | null {
  if (!isObject(response) || !Array.isArray(response['choices'])) return null;
  const choices = inOrder(response['choices']);
  const first = choices[0];
  if (first === undefined) return null;
  const message = isObject(first['message']) ? first['message'] : {};
  const text = textOf(message['content']);
  const finishReason = typeof first['finish_reason'] === 'string' ? first['finish_reason'] : null;
  const judged = judge(text, refusalOf(message), finishReason);
  if (judged === null) return null;
  return {
    state: judged.state,
    annotations: choices.length === 1 ? [text] : choices.map(textOfChoice),
    annotation: judged.annotation,
    note: judged.note,
    model: typeof response['model'] === 'string' ? response['model'] : null,
    finishReason,
    usage: readUsage(response['usage']),
    isFlex: response['service_tier'] === 'flex',
    rawUsage: response['usage'] ?? null,
  };
}

function inOrder(choices: readonly unknown[]): Record<string, unknown>[] {
  const objects = choices.filter(isObject);
  if (objects.length < 2) return objects;
  return objects.sort((a, b) => numberOr(a['index'], 0) - numberOr(b['index'], 0));
}

function textOfChoice(choice: Record<string, unknown>): string | null {
  return isObject(choice['message']) ? textOf(choice['message']['content']) : null;
}

function judge(
  text: string | null,
  refusal: string | null,
  finishReason: string | null,
): Pick<Completion, 'state' | 'annotation' | 'note'> | null {
  if (finishReason === 'content_filter') {
    return { state: 'filtered', annotation: null, note: 'the provider’s content filter withheld the answer' };
  }
  if (refusal !== null && text === null) return { state: 'refused', annotation: null, note: refusal };
  if (finishReason === 'length') {
    const note = 'all tokens were used before any text was written; raise --max_tokens';
    return { state: 'truncated', annotation: text, note: text === null ? note : null };
  }
  return text === null ? null : { state: 'ok', annotation: text, note: null };
}

function refusalOf(message: Record<string, unknown>): string | null {
  const refusal = message['refusal'];
  return typeof refusal === 'string' && refusal !== '' ? refusal : null;
}

/** A message's text; some providers send it in parts (`[{type: "text", text: "…"}]`). Null where it is empty. */
function textOf(content: unknown): string | null {
  const text = Array.isArray(content)
    ? content
        .map((part: unknown) => (isObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
        .join('')
    : content;
  return typeof text === 'string' && text !== '' ? text : null;
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise;
}
