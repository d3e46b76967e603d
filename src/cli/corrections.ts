/** What was probably meant by a command line that is wrong. */

import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { hasFileEnding } from '../datasets/file-names.js';
import { alternatives, nearWord } from '../lib/suggest.js';
import { sanitize, shellWord } from '../lib/text.js';
import { ANNOTATORS } from '../models/annotators.js';
import { isProviderName } from '../models/providers.js';
import { COMMAND_TEXTS, COMMANDS, type CommandName } from './commands.js';
import { flagsBeginningWith, nearFlag } from './flags/near.js';
import { flagsOf, takesValue, whyNotTaken, type CommandFlag } from './flags/table.js';

/** Commands that the first word may be. */
const FIRST_WORDS: readonly string[] = [...COMMANDS.filter((name) => name !== 'reannotate'), 'help'];
/** Flags that commander adds. */
const BUILT_IN: ReadonlySet<string> = new Set(['help', 'version', 'h', 'V']);

/**
 * Ends with a message and the exit code 2 where a word is no flag, no command and no value.
 * @param words in their plain spelling
 * @throws CommanderError
 */
export function correctWords(program: Command, command: CommandName, words: readonly string[]): void {
  const isSubcommand = words[0] === command && command !== 'reannotate';
  const own = isSubcommand ? words.slice(1) : words;
  if (words[0] === 'help') {
    const [, topic] = words;
    if (topic !== undefined && !FIRST_WORDS.includes(topic))
      stop(program, `unknown command '${shown(topic)}'`, commandHint(topic));
    return;
  }
  const { unknownFlag, loose } = sorted(command, own);
  if (unknownFlag !== null)
    stop(program, `unknown option '${unknownFlag}'`, flagHint(command, unknownFlag) ?? helpHint(command));
  const { argument } = COMMAND_TEXTS[command];
  const allowed = argument === undefined ? 0 : argument.isRepeated === true ? Infinity : 1;
  const extra = loose[allowed];
  if (argument !== undefined && argument.name.startsWith('<') && loose.length === 0 && !asksForHelp(own))
    stop(program, `${command} needs ${argument.name}: ${argument.help}`, helpHint(command));
  if (extra === undefined) return;
  const isFirst = !isSubcommand && own[0] === extra;
  const isCommand = isFirst && !isData(extra) && !isModel(extra);
  const what = `${isCommand ? 'unknown command' : 'unexpected argument'} '${shown(extra)}'`;
  stop(program, what, wordHint(command, extra, isFirst) ?? helpHint(command));
}

function asksForHelp(words: readonly string[]): boolean {
  return words.includes('--help') || words.includes('-h');
}

function stop(program: Command, what: string, hint: string): never {
  program.error(`error: ${what}\n(${hint})`, { exitCode: 2 });
}

function helpHint(command: CommandName): string {
  return command === 'reannotate'
    ? 'reannotate --help shows the commands and flags.'
    : `reannotate ${command} --help shows its flags.`;
}

interface SortedWords {
  /** The first flag that the command does not have; null where it has all. */
  unknownFlag: string | null;
  /** Words that are neither flags nor their values. */
  loose: string[];
}

function sorted(command: CommandName, words: readonly string[]): SortedWords {
  const flags = new Map(flagsOf(command).map((flag) => [flag.name, flag]));
  const loose: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (word === '--') return { unknownFlag: null, loose: [...loose, ...words.slice(index + 1)] };
    if (!word.startsWith('-') || word === '-') {
      loose.push(word);
      continue;
    }
    const [flag = '', ...value] = word.split('=');
    const name = flag.replace(/^--?/, '');
    const found = flag.startsWith('--') ? flags.get(name) : undefined;
    if (found === undefined && !BUILT_IN.has(name)) return { unknownFlag: shown(flag), loose };
    if (value.length === 0 && found !== undefined && takesNext(found, words[index + 1])) index += 1;
  }
  return { unknownFlag: null, loose };
}

/** True where the next word is a flag's value, which some flags can do without. */
function takesNext(flag: CommandFlag, next: string | undefined): boolean {
  if (takesValue(flag)) return true;
  return flag.kind.argument.startsWith('[') && next !== undefined && !next.startsWith('-');
}

function flagHint(command: CommandName, flag: string): string | null {
  const name = flag.replace(/^-+/, '').toLowerCase();
  const why = whyNotTaken(command, name.replaceAll('-', '_'));
  if (why !== null) return `${command} takes no --${name}: ${why}.`;
  const near = nearFlag(command, name);
  if (near !== null) return `Did you mean --${near}?`;
  const longer = flagsBeginningWith(command, name);
  if (longer.length > 0) return `Did you mean ${alternatives(longer.map((one) => `--${one}`))}?`;
  const builtIn = name === 'v' ? 'version' : nearWord(name, ['version', 'help']);
  if (builtIn !== null) return `Did you mean --${builtIn}?`;
  const other = COMMANDS.find((one) => one !== command && flagsOf(one).some((known) => known.name === name));
  return other === undefined ? null : `${other} has such a flag, ${command} has not.`;
}

function wordHint(command: CommandName, word: string, isFirst: boolean): string | null {
  const takes = (name: string): boolean => flagsOf(command).some((flag) => flag.name === name);
  if (takes('annotator') && isModel(word)) return `Did you mean --annotator ${shellWord(shown(word))}?`;
  if (takes('dataset') && isData(word)) return `Did you mean --dataset ${shellWord(shown(word))}?`;
  return isFirst ? commandHint(word) : null;
}

/** Commands of other tools, and what does that here. */
const OTHER_COMMANDS: readonly (readonly [words: readonly string[], hint: string])[] = [
  [
    ['run', 'annotate', 'start', 'generate', 'ask', 'process'],
    'A run is started with reannotate --dataset ID_OR_PATH.',
  ],
  [['resume', 'continue', 'retry', 'restart'], 'Run the command of the run again with --resume.'],
  [
    ['batch', 'batches', 'submit'],
    'Add --batch to the command of a run; reannotate watch-batch collects the answers.',
  ],
  [['watch', 'poll', 'collect', 'fetch', 'download'], 'Did you mean reannotate watch-batch?'],
  [
    ['cancel', 'abort', 'stop', 'kill'],
    'Ctrl-C stops a run; reannotate watch-batch --cancel cancels batches.',
  ],
  [
    ['rm', 'remove', 'delete', 'del', 'clean', 'prune'],
    'To delete a run, delete its folders in --save_dir and --temp_dir.',
  ],
  [['ls', 'runs', 'ps', 'history', 'jobs'], 'Did you mean reannotate list?'],
  [['push', 'upload', 'publish'], 'Add --push_to_hub OWNER/NAME to the command of a run.'],
  [['export', 'convert', 'save', 'format'], 'Add --resume --output_format NAME to the command of a run.'],
  [['show', 'view', 'open', 'ui', 'serve', 'web', 'html', 'viewer'], 'Did you mean reannotate report?'],
  [['eval', 'evaluate', 'score', 'grade', 'rate'], 'Did you mean reannotate judge?'],
  [
    ['estimate', 'cost', 'price', 'dry-run', 'dry_run', 'plan-cost'],
    'Add --dry_run to the command of a run.',
  ],
  [
    ['login', 'auth', 'init', 'setup', 'configure'],
    'There is nothing to set up: put the key into OPENAI_API_KEY, or <PROVIDER>_API_KEY.',
  ],
  [['config', 'settings'], 'reannotate --config FILE reads flags from a file.'],
  [['mock', 'simulator', 'server'], 'Did you mean reannotate simulate?'],
  [['try', 'example', 'examples', 'quickstart', 'tutorial'], 'Did you mean reannotate demo?'],
  [['shard', 'split', 'shards'], 'Did you mean reannotate plan?'],
];

function commandHint(word: string): string {
  const other = OTHER_COMMANDS.find(([words]) => words.includes(word.toLowerCase()));
  if (other !== undefined) return other[1];
  const near = nearWord(word, FIRST_WORDS);
  return near === null ? `The commands are ${FIRST_WORDS.join(', ')}.` : `Did you mean reannotate ${near}?`;
}

/** True for a file that exists, or a name like those of files with data and of datasets on the Hub. */
function isData(word: string): boolean {
  return existsSync(word) || hasFileEnding(word) || /^[\w.-]+\/[\w.-]+$/.test(word);
}

function isModel(word: string): boolean {
  return Object.hasOwn(ANNOTATORS, word) || isProviderName(word.split('/')[0] ?? '');
}

function shown(word: string): string {
  return sanitize(word, 120);
}
