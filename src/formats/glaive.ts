import { alpacaPrompt } from './alpaca.js';
import { optionalText, originalAnswer, requiredText } from './cells.js';
import type { Format } from './format.js';

/** Columns `question` and `answer`, with the question as the instruction of an Alpaca prompt. */
export const glaive: Format = {
  needs: 'the columns question and answer',
  detect: (columns) =>
    columns.includes('question') && columns.includes('answer')
      ? { prompt: 'question', input: null, response: 'answer', system: null }
      : null,
  apply: (row, roles) => ({
    system_prompt: optionalText(row, roles.system),
    user_prompt: alpacaPrompt(requiredText(row, roles.prompt)),
    annotation_original: originalAnswer(row, roles.response),
  }),
};
