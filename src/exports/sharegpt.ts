import { annotatedChat, besideTurns, WITHOUT_ANSWER } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';
import { shareGptTurns, TEXT_AND_CALLS } from './turns.js';

/**
 * ShareGPT's chats: `{"conversations": [{"from": "human", "value": "…"}, …]}`, the new answer last. A turn has no field
 * for reasoning, so it is before the answer as `<think>…</think>`.
 */
export const sharegpt: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const chat = annotatedChat(row, 'text');
    if (chat === null) return leaveOut(WITHOUT_ANSWER);
    const conversations = shareGptTurns(chat);
    if (conversations === null) return leaveOut(TEXT_AND_CALLS);
    return { conversations, ...besideTurns(row, results.shape, '') };
  });
