import { answerPair, newAnswer, requestMessages, besideTurns, uniform, WITHOUT_ANSWER } from './chat.js';
import type { Exporter } from './exporter.js';
import { writeLines } from './lines.js';

/**
 * Answers with a verdict: the new one is good, the old one, where there is another, is not.
 * `{"prompt": [messages], "completion": [message], "label": true}`
 * @see https://huggingface.co/docs/trl/dataset_formats#unpaired-preference
 */
export const kto: Exporter = (results, path) =>
  writeLines(results, path, (row, leaveOut) => {
    const { shape } = results;
    const request = requestMessages(row);
    const answer = newAnswer(row, 'field');
    if (request === null || answer === null) return leaveOut(WITHOUT_ANSWER);
    const pair = answerPair(row, 'field');
    const prompt = uniform(request, { ...shape, reasoning: false });
    const good = { prompt, completion: uniform([answer], shape), label: true, ...besideTurns(row, shape) };
    return typeof pair === 'string'
      ? good
      : [good, { ...good, completion: uniform([pair.rejected], shape), label: false }];
  });
