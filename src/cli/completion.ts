/** `reannotate completion SHELL`: a script by which a shell completes commands, flags and their values. */

import { UsageError } from '../lib/errors.js';
import { alternatives, didYouMean } from '../lib/suggest.js';
import { sanitize } from '../lib/text.js';
import { COMMAND_TEXTS, COMMANDS, type CommandName } from './commands.js';
import { flagsOf, spellingsOf, takesValue, type CommandFlag } from './flags/table.js';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

const SUBCOMMANDS = COMMANDS.filter((name) => name !== 'reannotate');
/** Commands that take a folder without a flag. */
const OF_FOLDERS = COMMANDS.filter(
  (name) => name !== 'completion' && COMMAND_TEXTS[name].argument !== undefined,
);

/**
 * @param shell its name
 * @throws UsageError where there is no script for it
 */
export function completionScript(shell: string): string {
  if (shell === 'bash') return bashScript();
  if (shell === 'zsh') return zshScript();
  if (shell === 'fish') return fishScript();
  throw new UsageError(
    `completion takes ${alternatives(SHELLS)}, not ${sanitize(shell, 40)}.${didYouMean(shell, SHELLS)}`,
  );
}

/** The flags of a command as words: `--limit`, `-m`. */
function words(flags: readonly CommandFlag[]): string[] {
  return [...flags.flatMap(spellingsOf), '--help'];
}

/** A text inside single quotes of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function bashScript(): string {
  const valueCase = (command: CommandName, flag: CommandFlag): string => {
    const pattern = spellingsOf(flag)
      .map((name) => `${command}:${name}`)
      .join('|');
    const { choices, completes } = flag.kind;
    const files = completes === 'folder' ? '-d' : '-f';
    const list = choices === undefined ? '' : ` -W ${quoted(choices.join(' '))}`;
    const found = completes === undefined ? '' : ` ${files}`;
    const reply = list + found === '' ? '' : `COMPREPLY=($(compgen${list}${found} -- "$word")); `;
    return `    ${pattern}) ${reply}return ;;`;
  };
  const cases = COMMANDS.flatMap((command) =>
    flagsOf(command)
      .filter(takesValue)
      .map((flag) => valueCase(command, flag)),
  );
  const lists = COMMANDS.map(
    (command) => `    ${command}) flags=${quoted(words(flagsOf(command)).join(' '))} ;;`,
  );
  return `# Completion of reannotate for bash. In ~/.bashrc: eval "$(reannotate completion bash)"
_reannotate() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=reannotate flags=
  COMPREPLY=()
  case "\${COMP_WORDS[0]##*/}" in watch-batch) command=watch-batch ;; *)
    case "\${COMP_WORDS[1]}" in ${SUBCOMMANDS.join('|')}) [ "$COMP_CWORD" -gt 1 ] && command=\${COMP_WORDS[1]} ;; esac ;;
  esac
  case "$command:$before" in
${cases.join('\n')}
    completion:completion) COMPREPLY=($(compgen -W ${quoted(SHELLS.join(' '))} -- "$word")); return ;;
  esac
  case "$command" in
${lists.join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ] && [ "$command" = reannotate ]; then flags="$flags ${[...SUBCOMMANDS, 'help'].join(' ')}"; fi
  COMPREPLY=($(compgen -W "$flags" -- "$word"))
  case "$command" in ${OF_FOLDERS.join('|')}) COMPREPLY+=($(compgen -d -- "$word")) ;; esac
}
complete -o filenames -F _reannotate reannotate watch-batch
`;
}

function zshScript(): string {
  /** `:`, brackets and backslashes mean something in a specification of `_arguments`. */
  const escaped = (text: string): string => text.replaceAll(/[\\:[\]]/g, (sign) => `\\${sign}`);
  const action = ({ kind }: CommandFlag): string => {
    if (kind.choices !== undefined) return `(${kind.choices.map(escaped).join(' ')})`;
    return kind.completes === undefined ? ' ' : kind.completes === 'folder' ? '_files -/' : '_files';
  };
  const specification = (flag: CommandFlag): string[] =>
    spellingsOf(flag).map((name) => {
      const value = takesValue(flag) ? `:${escaped(flag.kind.argument)}:${action(flag)}` : '';
      return `    ${quoted(`${flag.kind.repeats === true ? '*' : ''}${name}[${escaped(flag.help)}]${value}`)}`;
    });
  const argument = (command: CommandName): string[] =>
    OF_FOLDERS.includes(command)
      ? [`    '1:folder:_files -/'`]
      : command === 'completion'
        ? [`    '1:shell:(${SHELLS.join(' ')})'`]
        : [];
  const functions = COMMANDS.map((command) =>
    [
      `_reannotate_flags_${command.replaceAll('-', '_')}() {`,
      '  _arguments \\',
      [...flagsOf(command).flatMap(specification), ...argument(command), `    '--help[show the flags]'`].join(
        ' \\\n',
      ),
      '}',
    ].join('\n'),
  );
  const described = SUBCOMMANDS.map((name) => `      ${quoted(`${name}:${COMMAND_TEXTS[name].summary}`)}`);
  return `#compdef reannotate watch-batch
# Completion of reannotate for zsh. In ~/.zshrc, after compinit: eval "$(reannotate completion zsh)"
${functions.join('\n')}
_reannotate() {
  if [[ $service == watch-batch ]]; then _reannotate_flags_watch_batch; return; fi
  case "$words[2]" in
    ${SUBCOMMANDS.join('|')})
      if (( CURRENT > 2 )); then
        local command=$words[2]
        shift words; (( CURRENT-- ))
        _reannotate_flags_\${command//-/_}
        return
      fi ;;
  esac
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    local -a commands=(
${described.join('\n')}
      'help:show the flags of a command'
    )
    _describe command commands
  fi
  _reannotate_flags_reannotate
}
compdef _reannotate reannotate watch-batch
`;
}

function fishScript(): string {
  const condition = (command: CommandName): string =>
    command === 'reannotate'
      ? `not __fish_seen_subcommand_from ${SUBCOMMANDS.join(' ')}`
      : `__fish_seen_subcommand_from ${command}`;
  const line = (program: string, flag: CommandFlag, when: string | null): string => {
    const { kind, name, short, help } = flag;
    const values = kind.choices === undefined ? '' : ` -a ${quoted(kind.choices.join(' '))}`;
    return [
      `complete -c ${program}`,
      ...(when === null ? [] : [`-n ${quoted(when)}`]),
      `-l ${name}`,
      ...(short === undefined ? [] : [`-s ${short}`]),
      takesValue(flag) ? (kind.completes === undefined ? '-x' : '-r -F') : '-f',
      `-d ${quoted(help)}${values}`,
    ].join(' ');
  };
  return [
    '# Completion of reannotate for fish: reannotate completion fish > ~/.config/fish/completions/reannotate.fish',
    'complete -c reannotate -f',
    ...SUBCOMMANDS.map(
      (name) =>
        `complete -c reannotate -n __fish_use_subcommand -a ${name} -d ${quoted(COMMAND_TEXTS[name].summary)}`,
    ),
    `complete -c reannotate -n ${quoted('__fish_seen_subcommand_from completion')} -a ${quoted(SHELLS.join(' '))}`,
    ...COMMANDS.flatMap((command) =>
      flagsOf(command).map((flag) => line('reannotate', flag, condition(command))),
    ),
    'complete -c watch-batch -f',
    ...flagsOf('watch-batch').map((flag) => line('watch-batch', flag, null)),
    '',
  ].join('\n');
}
