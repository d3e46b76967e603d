/** Which rows a run uses, and how they become prompts. */

import { DEFAULT_ENCODING, encodingNamed } from '../../datasets/encodings.js';
import { datasetName } from '../../datasets/names.js';
import { TURNS } from '../../formats/all-turns.js';
import { FORMAT_NAMES } from '../../formats/format.js';
import { UsageError } from '../../lib/errors.js';
import { integer, kind, LIST_IN_CODE, oneOf, text, textOrFile } from '../../lib/kinds.js';
import { sanitize } from '../../lib/text.js';
import { flag } from './flag.js';

/** `watch-batch` needs these only for batches that another tool submitted. */
const OF_BATCHES = { 'watch-batch': true } as const;

const columnName = text('<name>');

function columnList(given: string, source: string): string[] {
  const names = given.split(',').map((name) => name.trim());
  if (!names.includes('')) return [...new Set(names)];
  throw new UsageError(
    `${source} takes names of columns separated by commas, or all, not ${sanitize(given, 60)}.`,
  );
}

export const DATA_FLAGS = {
  dataset: flag({
    kind: kind('<id_or_path>', datasetName, { completes: 'file' }),
    fallback: null,
    group: 'data',
    help: 'Hub dataset id; local file, folder or glob; or - for standard input',
    details: 'See [datasets](datasets.md).',
    short: 'd',
    aliases: ['data', 'input', 'input_file', 'file', 'dataset_name', 'dataset_path', 'path'],
    isIdentity: true,
    commands: {
      reannotate: true,
      'watch-batch': { help: 'as given to reannotate' },
      judge: { help: 'as given to the run' },
      report: { help: 'the run’s dataset' },
      work: { help: 'where the planned file is on this machine' },
    },
  }),
  subset: flag({
    kind: text('<name>'),
    fallback: null,
    usual: 'the only one, or "default"',
    group: 'data',
    help: 'subset of a Hub dataset',
    aliases: ['config_name', 'dataset_config', 'dataset_subset'],
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
  split: flag({
    kind: text('<name>', { choices: ['train', 'test', 'validation'] }),
    fallback: null,
    usual: 'train',
    group: 'data',
    help: 'split',
    aliases: ['dataset_split'],
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
  format: flag({
    kind: text('<name>', { choices: FORMAT_NAMES }),
    fallback: null,
    usual: 'detected from the columns',
    group: 'data',
    help: FORMAT_NAMES.join(', '),
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
  prompt_column: flag({
    kind: columnName,
    fallback: null,
    group: 'data',
    help: 'column with the prompt',
    aliases: ['prompt_field', 'text_column', 'input_key'],
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
  response_column: flag({
    kind: columnName,
    fallback: null,
    group: 'data',
    help: 'column with the original answer, or none',
    aliases: ['answer_column', 'output_column', 'completion_column'],
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
  system_column: flag({
    kind: columnName,
    fallback: null,
    group: 'data',
    help: 'column with the system prompt, or none',
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
  input_column: flag({
    kind: columnName,
    fallback: null,
    group: 'data',
    help: 'column with the input or context of the prompt, or none',
    aliases: ['context_column'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  messages_column: flag({
    kind: columnName,
    fallback: null,
    group: 'data',
    help: 'column with a chat, or none',
    aliases: ['conversations_column', 'chat_column'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  tools_column: flag({
    kind: columnName,
    fallback: null,
    group: 'data',
    help: 'column with definitions of tools, or none',
    aliases: ['functions_column'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  turns: flag({
    kind: oneOf('<which>', TURNS),
    fallback: 'last',
    group: 'data',
    help: 'in a chat: regenerate the last answer, or all of them in order, each with the new answers before it',
    details: 'See [all turns of a chat](models.md#all-turns-of-a-chat).',
    aliases: ['multi_turn', 'multiturn', 'all_turns'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  prompt_template: flag({
    kind: textOrFile,
    fallback: null,
    group: 'data',
    help: 'template for every prompt, with {column} and {prompt}',
    details:
      '`{prompt}` is the detected prompt, `{{` and `}}` are braces. In a chat it applies to the last user turn. ' +
      '`@FILE` reads it from a file.',
    aliases: ['template', 'prompt_format'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  system_prompt: flag({
    kind: textOrFile,
    fallback: null,
    group: 'data',
    help: 'system prompt for every request, instead of the dataset’s',
    details: '`@FILE` reads it from a file.',
    aliases: ['system', 'system_message'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  keep_columns: flag({
    kind: kind('<a,b>', columnList, { inCode: LIST_IN_CODE }),
    fallback: null,
    group: 'data',
    help: 'columns to keep in the results under "source"; all: every unused column',
    aliases: ['keep', 'metadata_columns'],
    isIdentity: true,
    commands: { reannotate: true },
  }),
  encoding: flag({
    kind: kind('<name>', encodingNamed, { choices: ['utf-8', 'utf-16', 'windows-1252', 'latin1'] }),
    fallback: DEFAULT_ENCODING,
    group: 'data',
    help: 'encoding of a local text file, such as windows-1252',
    isIdentity: true,
    commands: { reannotate: true },
  }),
  limit: flag({
    kind: integer(1),
    fallback: null,
    usual: 'all',
    group: 'data',
    help: 'maximum number of rows; --resume with a larger one extends the run',
    details: 'Without one, or with a larger one, `--resume` sends only the new rows.',
    aliases: ['max_rows', 'num_rows', 'max_samples', 'num_samples', 'max_examples', 'rows', 'head'],
    isIdentity: true,
    commands: { reannotate: true, 'watch-batch': { help: 'maximum number of rows' } },
  }),
  offset: flag({
    kind: integer(0),
    fallback: 0,
    group: 'data',
    help: 'rows to skip',
    aliases: ['skip', 'start'],
    isIdentity: true,
    commands: { reannotate: true, ...OF_BATCHES },
  }),
};
