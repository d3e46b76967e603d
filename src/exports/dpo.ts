import { answerPair, besideTurns, uniform } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/**
 * Pairs of answers to learn a preference from: the new one is chosen, the old one rejected.
 * `{"prompt": [messages], "chosen": [message], "rejected": [message]}`
 * @see https://huggingface.co/docs/trl/dataset_formats#preference
 */
export const dpo: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const pair = answerPair(row, 'field');
    if (typeof pair === 'string') return leaveOut(pair);
    const { shape } = results;
    return {
      prompt: uniform(pair.request, { ...shape, reasoning: false }),
      chosen: uniform([pair.chosen], shape),
      rejected: uniform([pair.rejected], shape),
      ...besideTurns(row, shape),
    };
  });
