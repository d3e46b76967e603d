/** `docs/cli.md`: every command's flags as Markdown, from the flag table. */

import { COMMAND_TEXTS, COMMANDS, type CommandName } from './commands.js';
import { GROUPS } from './flags/flag.js';
import { defaultOf } from './flags/help.js';
import { flagsOf, type CommandFlag } from './flags/table.js';
import { variableOf } from './flags/variables.js';

const PREFACE = `# Every flag

<!-- Made by npm run docs from src/cli/flags/: change it there. -->

\`--help\` after a command lists its flags. \`--kebab-case\` spellings work as well, and so do the letters. Each flag can
also be set by an environment variable or in a YAML file:

\`\`\`yaml
# npx reannotate --config run.yaml --limit 100
annotator: gpt-4o-mini
dataset: answers.jsonl
max_tokens: 512
temperature: none
\`\`\`

The command line wins over the environment, and the environment over the file. The variable of a flag is its name after
\`REANNOTATE_\` (\`REANNOTATE_MAX_COST=5\`). Where a name means something else in another command, the table names the
variable, and the file has the same name in small letters: \`REANNOTATE_JUDGE_SEED\`, \`judge_seed\`.
\`none\` for a generation parameter sends none, except for \`--reasoning_effort\`, where it switches thinking off.

Completion of commands, flags and values: \`eval "$(npx reannotate completion bash)"\`, and the same for \`zsh\` and
\`fish\`.
`;

const ENVIRONMENT = `## Environment

| variable | meaning |
|---|---|
| \`OPENAI_API_KEY\`, \`<PROVIDER>_API_KEY\` | the key of a provider |
| \`OPENAI_BASE_URL\`, \`SAMBANOVA_BASE_URL\` | another address of it |
| \`HF_TOKEN\` | token for gated datasets and \`--push_to_hub\`; sent to the Hub's own addresses only |
| \`HF_ENDPOINT\`, \`HF_DATASETS_SERVER_URL\` | a mirror of the Hub |
| \`HTTPS_PROXY\`, \`HTTP_PROXY\`, \`ALL_PROXY\`, \`NO_PROXY\` | in either case, read as curl reads them; servers on this machine are reached directly |
| \`NO_COLOR\`, \`FORCE_COLOR\` | colours on the terminal |
| \`REANNOTATE_<FLAG>\` | any flag, as above |
| \`REANNOTATE_DEBUG\` | \`1\` shows where a bug occurred |

A \`.env\` file is read only where \`--env_file\` names it. Keys and tokens are never written anywhere.
`;

/** The whole page. */
export function reference(): string {
  return [PREFACE, ...COMMANDS.map(section), ENVIRONMENT].join('\n');
}

function section(command: CommandName): string {
  const { description, argument, usage } = COMMAND_TEXTS[command];
  const title =
    command === 'reannotate' ? 'reannotate' : command === 'watch-batch' ? command : `reannotate ${command}`;
  const flags = flagsOf(command);
  const groups = (Object.keys(GROUPS) as (keyof typeof GROUPS)[]).filter((group) =>
    flags.some((flag) => flag.group === group),
  );
  const tables = groups.map((group) =>
    [
      `### ${GROUPS[group].replace(/ \(.*/, '')} (\`${title}\`)`,
      '',
      '| flag | default | meaning |',
      '|---|---|---|',
      ...flags.filter((flag) => flag.group === group).map((flag) => row(command, flag)),
      '',
    ].join('\n'),
  );
  return [
    `## \`${title}\``,
    '',
    description,
    '',
    `\`npx ${title} ${usage}\`${argument === undefined ? '' : `, where \`${argument.name}\` is ${argument.help}.`}`,
    '',
    ...tables,
  ].join('\n');
}

function row(command: CommandName, flag: CommandFlag): string {
  const { name, short, kind, help, details } = flag;
  const value = kind.argument === '' ? '' : ` ${kind.argument}`;
  const letter = short === undefined ? '' : `, \`-${short}\``;
  const variable = variableOf(command, name);
  const scoped = variable === `REANNOTATE_${name.toUpperCase()}` ? '' : ` (\`${variable}\`)`;
  const usual = defaultOf(flag);
  const cells = [
    `\`--${name}${value}\`${letter}`,
    usual === '' ? '' : isPlainValue(usual) ? `\`${usual}\`` : usual,
    `${textCell(help)}${scoped}${details === undefined ? '' : `. ${details}`}`,
  ];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function isPlainValue(text: string): boolean {
  return !/\s/.test(text) && text !== 'all' && text !== 'automatic' && text !== 'unlimited';
}

/** Flags and placeholders in a text as code. */
function textCell(text: string): string {
  return text.replaceAll(/--[a-z_]+(?:=[^\s,;]*\w)?|<\/?think>|\{[^{}]{0,200}\}/g, (word) => `\`${word}\``);
}
