import { answerMessage, requestMessages } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/**
 * Pairs of answers to learn a preference from: the new one is chosen, the old one rejected.
 * `{"prompt": [messages], "chosen": [message], "rejected": [message]}`
 * @see https://huggingface.co/docs/trl/dataset_formats#preference
 */
export const dpo: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const prompt = requestMessages(row);
    const { annotation, annotation_original: original } = row;
    // An empty text is no answer: there is nothing in it to be rejected.
    if (prompt === null || annotation === null || original === null || original === '') {
      return leaveOut('without an answer of each kind');
    }
    if (annotation === original) return leaveOut('with the same answer twice');
    return {
      prompt,
      chosen: [answerMessage(annotation, row.reasoning)],
      rejected: [answerMessage(original)],
    };
  });
