/** Rows as chats, as the formats for training want them. */

import { withReasoning } from '../models/reasoning.js';
import type { ChatMessage, ToolCall } from '../types.js';
import type { ResultShape } from './exporter.js';
import type { ResultRow } from './rows.js';

/** Why a row is not in a format that teaches answers. */
export const WITHOUT_ANSWER = 'without an answer';
/** Why a row is not in a format that compares the new answer with the old one. */
export const WITHOUT_BOTH = 'without an answer of each kind';
export const SAME_TWICE = 'with the same answer twice';

/** The request of a row as it was sent; null where the row could not be sent. */
export function requestMessages(row: ResultRow): ChatMessage[] | null {
  if (row.request_messages !== undefined && row.request_messages !== null) return row.request_messages;
  if (row.user_prompt === null) return null;
  const user: ChatMessage = { role: 'user', content: row.user_prompt };
  return row.system_prompt === '' ? [user] : [{ role: 'system', content: row.system_prompt }, user];
}

/** The turn that answers a request. */
export interface AnswerMessage extends ChatMessage {
  /** Absent where the model gave none. */
  reasoning_content?: string;
}

/** How a chat shows the reasoning of its last turn: in a field of its own, or before its text. */
type ReasoningPlace = 'field' | 'text';

/** The new answer; null where the row has none. */
export function newAnswer(row: ResultRow, place: ReasoningPlace): AnswerMessage | null {
  const { annotation, reasoning = null } = row;
  const calls = row.annotation_tool_calls ?? null;
  if (annotation === null && calls === null) return null;
  if (place === 'text') return answerMessage(withReasoning(reasoning, annotation ?? ''), calls);
  const answer: AnswerMessage = answerMessage(annotation ?? '', calls);
  return reasoning === null ? answer : { ...answer, reasoning_content: reasoning };
}

/** The original answer; null where the row has none. An empty text is none: there is nothing in it to be learnt. */
export function originalAnswer(row: ResultRow): AnswerMessage | null {
  const calls = row.annotation_original_tool_calls ?? null;
  const text = row.annotation_original ?? '';
  return text === '' && calls === null ? null : answerMessage(text, calls);
}

function answerMessage(content: string, calls: ToolCall[] | null): AnswerMessage {
  return { role: 'assistant', content, ...(calls === null ? {} : { tool_calls: calls }) };
}

/** Request and new answer; null where one of them is missing. */
export function annotatedChat(row: ResultRow, place: ReasoningPlace): AnswerMessage[] | null {
  const request = requestMessages(row);
  const answer = newAnswer(row, place);
  return request === null || answer === null ? null : [...request, answer];
}

/** Both answers to a request. */
export interface AnswerPair {
  request: ChatMessage[];
  chosen: AnswerMessage;
  rejected: AnswerMessage;
}

/** The new answer beside the old one; why not, where the row does not give both. */
export function answerPair(row: ResultRow, place: ReasoningPlace): AnswerPair | string {
  const request = requestMessages(row);
  const chosen = newAnswer(row, place);
  const rejected = originalAnswer(row);
  if (request === null || chosen === null || rejected === null) return WITHOUT_BOTH;
  return isSame(newAnswer({ ...row, reasoning: null }, 'field'), rejected)
    ? SAME_TWICE
    : { request, chosen, rejected };
}

function isSame(a: AnswerMessage | null, b: AnswerMessage): boolean {
  const called = (message: AnswerMessage): string =>
    JSON.stringify((message.tool_calls ?? []).map((call) => call.function));
  return a !== null && a.content === b.content && called(a) === called(b);
}

/**
 * Turns with the keys that all turns of the file have: a table has one type for all of them, and takes it from the first
 * ones, so a text that is not there is empty. Calls are null.
 */
export function uniform(messages: readonly AnswerMessage[], { tools, reasoning }: ResultShape): object[] {
  return messages.map(
    ({ role, content, tool_calls: calls, tool_call_id: id, reasoning_content: thought }) => ({
      role,
      content: content ?? '',
      ...(reasoning ? { reasoning_content: thought ?? '' } : {}),
      ...(tools ? { tool_calls: calls ?? null, tool_call_id: id ?? null } : {}),
    }),
  );
}

/**
 * What is beside the turns, as TRL and LLaMA-Factory take it: tools as JSON text, and references to images. No such
 * key in a file without any.
 */
export function besideTurns(
  row: ResultRow,
  shape: ResultShape,
  none: '' | null = null,
): { tools?: string | null; images?: string[] } {
  return {
    ...(shape.tools ? { tools: row.tools ?? none } : {}),
    ...(shape.images ? { images: row.images ?? [] } : {}),
  };
}
