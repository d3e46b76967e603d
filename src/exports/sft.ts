import { newAnswer, requestMessages, besideTurns, uniform, WITHOUT_ANSWER } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/**
 * Prompts with their new answers, of which only the latter are learnt.
 * `{"prompt": [messages], "completion": [message]}`
 * @see https://huggingface.co/docs/trl/dataset_formats#prompt-completion
 */
export const sft: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const { shape } = results;
    const request = requestMessages(row);
    const answer = newAnswer(row, 'field');
    if (request === null || answer === null) return leaveOut(WITHOUT_ANSWER);
    return {
      prompt: uniform(request, { ...shape, reasoning: false }),
      completion: uniform([answer], shape),
      ...besideTurns(row, shape),
    };
  });
