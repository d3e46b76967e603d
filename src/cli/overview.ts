/** What `reannotate` alone shows: its commands, and how to begin. */

import { COMMAND_TEXTS, COMMANDS } from './commands.js';

/** The commands with a line each, and three examples. */
export function overview(version: string): string {
  const entries = COMMANDS.map((name) => [
    name === 'reannotate' ? '--dataset …' : name,
    COMMAND_TEXTS[name].summary,
  ]);
  const width = Math.max(...entries.map(([name = '']) => name.length)) + 2;
  const commands = entries.map(([name = '', summary = '']) => `  ${name.padEnd(width)}${summary}`);
  return [
    `reannotate ${version}: regenerate every answer in a dataset with an LLM, old and new side by side`,
    '',
    'Commands:',
    ...commands,
    `  ${'help'.padEnd(width)}the flags of a command, such as: reannotate help judge`,
    '',
    'Examples:',
    '  $ npx reannotate demo',
    '      try it on a bundled dataset, without a key or a network',
    '  $ npx reannotate --annotator gpt-4o-mini --dataset answers.jsonl --dry_run',
    '      rows, tokens and price; nothing is sent',
    '  $ npx reannotate --annotator gpt-4o-mini --dataset glaiveai/glaive-code-assistant --limit 100',
    '      the first hundred rows of a dataset of the Hugging Face Hub',
    '',
    'Every flag: npx reannotate --help',
    '',
  ].join('\n');
}
