import type { ChatMessage } from '../types.js';

/** All that a model reads of a turn: its text, and the calls that it makes. */
export function messageText({ content, tool_calls: calls }: ChatMessage): string {
  return calls === undefined ? (content ?? '') : `${content ?? ''}${JSON.stringify(calls)}`;
}
