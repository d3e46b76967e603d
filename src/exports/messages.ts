import { annotatedChat, besideTurns, uniform, WITHOUT_ANSWER } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/**
 * OpenAI's chats: `{"messages": [{"role": "user", "content": "…"}, …]}`, the new answer last, with its reasoning as
 * `reasoning_content`, which fine-tuning services and chat templates for reasoning models know, and `tools` beside.
 * @see https://huggingface.co/docs/trl/dataset_formats#tool-calling
 */
export const messages: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const chat = annotatedChat(row, 'field');
    if (chat === null) return leaveOut(WITHOUT_ANSWER);
    return { messages: uniform(chat, results.shape), ...besideTurns(row, results.shape) };
  });
