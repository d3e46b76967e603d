import { optionalText, originalAnswer, requiredText } from './cells.js';
import type { Format } from './format.js';

/** Pairs of columns whose first is a prompt as it stands, most telling first. */
const PAIRS = [
  ['question', 'answer'],
  ['prompt', 'response'],
  ['prompt', 'completion'],
  ['query', 'response'],
  ['query', 'answer'],
  ['problem', 'solution'],
  ['problem', 'answer'],
  ['instruction', 'response'],
  ['instruction', 'completion'],
  ['instruction', 'answer'],
  ['question', 'response'],
  ['question', 'solution'],
  ['prompt', 'answer'],
  ['prompt', 'output'],
  ['input', 'output'],
  ['user_prompt', 'annotation_original'],
] as const;

const SYSTEM_COLUMNS = ['system_prompt', 'system'];

/** A prompt column and a response column, without a template. */
export const columns: Format = {
  needs: 'a pair of columns such as prompt and response',
  detect: (available) => {
    const pair = PAIRS.find(
      ([prompt, response]) => available.includes(prompt) && available.includes(response),
    );
    if (pair === undefined) return null;
    const system = SYSTEM_COLUMNS.find((column) => available.includes(column)) ?? null;
    return { prompt: pair[0], input: null, response: pair[1], system };
  },
  apply: (row, roles) => ({
    system_prompt: optionalText(row, roles.system),
    user_prompt: requiredText(row, roles.prompt),
    annotation_original: originalAnswer(row, roles.response),
  }),
};
