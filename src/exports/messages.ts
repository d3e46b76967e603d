import { annotatedChat, WITHOUT_ANSWER } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/**
 * OpenAI's chats: `{"messages": [{"role": "user", "content": "…"}, …]}`, the new answer last, with its reasoning as
 * `reasoning_content`, which fine-tuning services and chat templates for reasoning models know.
 */
export const messages: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const chat = annotatedChat(row, 'field');
    return chat === null ? leaveOut(WITHOUT_ANSWER) : { messages: chat };
  });
