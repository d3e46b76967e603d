import { contextText, optionalText, originalAnswer, requiredText } from './cells.js';
import type { Format } from './format.js';

/** The prompt of Stanford Alpaca for an instruction without further input; the line breaks are part of it. */
export function alpacaPrompt(instruction: string, input = ''): string {
  if (input === '') {
    return (
      'Below is an instruction that describes a task. ' +
      'Write a response that appropriately completes the request.\n\n' +
      `### Instruction:\n${instruction}\n\n### Response:`
    );
  }
  return (
    'Below is an instruction that describes a task, paired with an input that provides further context. ' +
    'Write a response that appropriately completes the request.\n\n' +
    `### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`
  );
}

/** Columns `instruction`, `input` (may be missing) and `output`. */
export const alpaca: Format = {
  needs: 'the columns instruction and output (and may have input)',
  detect: (columns) =>
    columns.includes('instruction') && columns.includes('output')
      ? {
          prompt: 'instruction',
          input: columns.includes('input') ? 'input' : null,
          response: 'output',
          system: null,
        }
      : null,
  apply: (row, roles) => ({
    system_prompt: optionalText(row, roles.system),
    user_prompt: alpacaPrompt(requiredText(row, roles.prompt), contextText(row, roles.input)),
    annotation_original: originalAnswer(row, roles.response),
  }),
};
