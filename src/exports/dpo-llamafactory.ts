import { answerPair, besideTurns } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';
import { shareGptTurns, TEXT_AND_CALLS } from './turns.js';

/**
 * Pairs of answers as LLaMA-Factory takes them, which wants one turn for each answer.
 * `{"conversations": [turns], "chosen": {"from": "gpt", "value": "…"}, "rejected": {…}}`
 * @see https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md#preference-dataset-1
 */
export const dpoLlamaFactory: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const pair = answerPair(row, 'text');
    if (typeof pair === 'string') return leaveOut(pair);
    const conversations = shareGptTurns(pair.request);
    const [chosen] = shareGptTurns([pair.chosen]) ?? [];
    const [rejected] = shareGptTurns([pair.rejected]) ?? [];
    if (conversations === null || chosen === undefined || rejected === undefined)
      return leaveOut(TEXT_AND_CALLS);
    return { conversations, chosen, rejected, ...besideTurns(row, results.shape, '') };
  });
