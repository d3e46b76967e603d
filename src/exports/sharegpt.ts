import type { ChatMessage } from '../types.js';
import { annotatedChat, WITHOUT_ANSWER } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/** ShareGPT's names for the roles. */
const FROM: Readonly<Record<ChatMessage['role'], string>> = {
  system: 'system',
  user: 'human',
  assistant: 'gpt',
};

/**
 * ShareGPT's chats: `{"conversations": [{"from": "human", "value": "…"}, …]}`, the new answer last. A turn has no field
 * for reasoning, so it stands before the answer as `<think>…</think>`.
 */
export const sharegpt: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const chat = annotatedChat(row, 'text');
    if (chat === null) return leaveOut(WITHOUT_ANSWER);
    return { conversations: chat.map(({ role, content }) => ({ from: FROM[role], value: content })) };
  });
