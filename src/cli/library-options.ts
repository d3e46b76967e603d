/** `src/library/options.ts`: the options of the library as TypeScript, from the flag table. */

import { helpOf } from './flags/help.js';
import { flagsOf, type CommandFlag } from './flags/table.js';

/** Flags that are about a terminal or a command line, or that only print. */
const NOT_IN_CODE: ReadonlySet<string> = new Set([
  ...['dry_run', 'json', 'probe', 'quiet', 'config', 'env_file', 'logging_level', 'graph'],
]);

/** Flags that say how requests are sent, and not what is in a dataset. */
const OF_REQUESTS: readonly string[] = ['model', 'generation', 'limits'];
const NOT_OF_REQUESTS: ReadonlySet<string> = new Set(['max_cost', 'off_peak']);

const HEAD = `/**
 * The options of the library. Made by npm run docs from src/cli/flags/: change them there. Texts are taken as on a command
 * line, so that \`'none'\` leaves a parameter out and \`'@FILE'\` reads a file where the flag does.
 */
`;

/** The whole file. */
export function libraryOptions(): string {
  const run = flagsOf('reannotate').filter(({ name }) => !NOT_IN_CODE.has(name));
  const watch = flagsOf('watch-batch').filter(({ name }) => !NOT_IN_CODE.has(name));
  const request = run.filter(({ name, group }) => OF_REQUESTS.includes(group) && !NOT_OF_REQUESTS.has(name));
  return [
    HEAD,
    declaration('RunOptions', 'Options of `reannotate`.', run, ['dataset']),
    declaration('WatchBatchOptions', 'Options of `watchBatch`.', watch, ['dataset']),
    selection(
      'RequestOptions',
      'Options of `processRequests`: those of `reannotate` that say how requests are sent.',
      request,
    ),
  ].join('\n');
}

function declaration(
  name: string,
  what: string,
  flags: readonly CommandFlag[],
  required: readonly string[],
): string {
  const entries = flags.map((flag) => property(flag, required.includes(flag.name)));
  return `/** ${what} */\nexport interface ${name} {\n${entries.join('')}}\n`;
}

function selection(name: string, what: string, flags: readonly CommandFlag[]): string {
  const names = flags.map((flag) => `  | '${flag.name}'\n`);
  return `/** ${what} */\nexport type ${name} = Pick<\n  RunOptions,\n${names.join('')}>;\n`;
}

function property(flag: CommandFlag, isRequired: boolean): string {
  const { name, kind } = flag;
  const text = helpOf(flag).replaceAll('*/', '*∕');
  const type = `${kind.inCode ?? 'string'}${isRequired ? '' : ' | undefined'}`;
  return `  /** ${text.charAt(0).toUpperCase()}${text.slice(1)}. */\n  ${name}${isRequired ? '' : '?'}: ${type};\n`;
}
