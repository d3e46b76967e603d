/** Rows as chats, as the formats for training want them. */

import type { ChatMessage } from '../types.js';
import type { ResultRow } from './rows.js';

/** Why a row is not in a format that teaches answers. */
export const WITHOUT_ANSWER = 'without an answer';

/** The request of a row as it was sent; null where the row could not be sent. */
export function requestMessages(row: ResultRow): ChatMessage[] | null {
  if (row.messages !== undefined) return row.messages;
  if (row.user_prompt === null) return null;
  const user: ChatMessage = { role: 'user', content: row.user_prompt };
  return row.system_prompt === '' ? [user] : [{ role: 'system', content: row.system_prompt }, user];
}

/** The turn that answers a request. */
export function answerMessage(content: string): ChatMessage {
  return { role: 'assistant', content };
}

/** Request and new answer; null where one of them is missing. */
export function annotatedChat(row: ResultRow): ChatMessage[] | null {
  const request = requestMessages(row);
  return request === null || row.annotation === null ? null : [...request, answerMessage(row.annotation)];
}
