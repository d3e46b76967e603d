/** What the columns of a dataset are used for, in words: nothing of a prompt is left out without a word. */

import type { ChosenFormat } from '../formats/index.js';
import { sanitize } from '../lib/text.js';

const MOST_NAMES = 30;

/** One line: the format, the columns of the prompt and the answer, and those that are not used. */
export function describeColumns({ name, roles, unused }: ChosenFormat): string {
  const with_ = [
    ...roles.inputs,
    roles.choices,
    ...roles.spreadChoices,
    roles.system,
    roles.history,
    roles.tools,
    ...roles.images,
  ].filter((column) => column !== null);
  const prompt = `prompts from ${quoted([roles.prompt])}${with_.length === 0 ? '' : ` with ${quoted(with_)}`}`;
  const rest = unused.length === 0 ? '' : ` Not used: ${quoted(unused)}.`;
  return `Format ${name}: ${prompt}, ${originals(name, roles)}.${rest}`;
}

function originals(name: string, roles: ChosenFormat['roles']): string {
  const { prompt, response, chatAnswer, comparison } = roles;
  if (comparison !== null)
    return `original answers from ${quoted([comparison.first])} or ${quoted([comparison.second])} by ${quoted([comparison.verdict])}`;
  if (response !== null) return `original answers from ${quoted([response])}`;
  if (!['messages', 'conversations', 'chat'].includes(name)) return 'no column of original answers';
  return `original answers from ${quoted([prompt])}${chatAnswer === null ? '' : `, else from ${quoted([chatAnswer])}`}`;
}

/** A sentence about columns that look like a part of the prompt and are not used. */
export function columnWarnings({ suspicious }: ChosenFormat): string[] {
  if (suspicious.length === 0) return [];
  const one = suspicious.length === 1;
  return [
    `${quoted(suspicious)} ${one ? 'looks' : 'look'} like part of the prompt and ${one ? 'is' : 'are'} not sent. ` +
      'Send a column with --input_column, --system_column, --tools_column, --messages_column or --prompt_template.',
  ];
}

function quoted(columns: readonly string[]): string {
  const names = columns.slice(0, MOST_NAMES).map((column) => `"${sanitize(column, 60)}"`);
  const more = columns.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
}
