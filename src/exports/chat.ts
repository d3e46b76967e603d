/** Rows as chats, as the formats for training want them. */

import { withReasoning } from '../models/reasoning.js';
import type { ChatMessage } from '../types.js';
import type { ResultRow } from './rows.js';

/** Why a row is not in a format that teaches answers. */
export const WITHOUT_ANSWER = 'without an answer';

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

export function answerMessage(content: string, reasoning: string | null = null): AnswerMessage {
  return { role: 'assistant', content, ...(reasoning === null ? {} : { reasoning_content: reasoning }) };
}

/** How a chat shows the reasoning of its last turn: in a field of its own, or before its text. */
type ReasoningPlace = 'field' | 'text';

/** Request and new answer; null where one of them is missing. */
export function annotatedChat(row: ResultRow, place: ReasoningPlace): (ChatMessage | AnswerMessage)[] | null {
  const request = requestMessages(row);
  const { annotation, reasoning = null } = row;
  if (request === null || annotation === null) return null;
  const answer =
    place === 'field'
      ? answerMessage(annotation, reasoning)
      : answerMessage(withReasoning(reasoning, annotation));
  return [...request, answer];
}
