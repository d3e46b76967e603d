import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionScript } from '../../src/cli/completion.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { flagsOf } from '../../src/cli/flags/table.js';

/** What bash offers for the last word of each command line; one bash completes all of them. */
function offered(commandLines: readonly string[][]): string[][] {
  const completions = commandLines.map((words) =>
    [
      `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
      `COMP_CWORD=${words.length - 1}`,
      'COMPREPLY=()',
      '_reannotate',
      'printf "%s\\n" "${COMPREPLY[@]}" ---',
    ].join('\n'),
  );
  const script = [completionScript('bash'), ...completions].join('\n');
  const texts = execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('---\n').slice(0, -1);
  return texts.map((text) => text.split('\n').filter((word) => word !== ''));
}

describe('completion for bash', () => {
  it('offers commands, flags and values', () => {
    const cases: [words: string[], offers: string[]][] = [
      [['reannotate', 'ju'], ['judge']],
      [
        ['reannotate', '--max_t'],
        ['--max_tokens', '--max_tokens_per_minute'],
      ],
      [
        ['reannotate', '--reasoning', ''],
        ['separate', 'inline', 'drop'],
      ],
      [['reannotate', '-m', 'gpt-4o-mini-'], ['gpt-4o-mini-2024-07-18']],
      [['reannotate', '--limit', ''], []],
      [['reannotate', 'judge', '--sam'], ['--sample']],
      [['/usr/bin/watch-batch', '--check_'], ['--check_interval']],
      [
        ['reannotate', 'completion', ''],
        ['bash', 'zsh', 'fish'],
      ],
      [['reannotate', '--dataset', 'package.j'], ['package.json']],
    ];
    expect(offered(cases.map(([words]) => words))).toEqual(cases.map(([, offers]) => offers));
    const takeFolders = ['report', 'work', 'status', 'merge', 'slurm', 'k8s'];
    for (const offers of offered(takeFolders.map((command) => ['reannotate', command, 'test/c'])))
      expect(offers).toContain('test/cli');
  });
});

it.each(['bash', 'zsh', 'fish'])('the script for %s knows every flag of every command', (shell) => {
  const script = completionScript(shell);
  for (const command of COMMANDS) {
    for (const { name } of flagsOf(command)) {
      expect(script).toContain(shell === 'fish' ? `-l ${name} ` : `--${name}`);
    }
  }
});

it('there is none for other shells', () => {
  expect(() => completionScript('tcsh')).toThrow('completion takes bash, zsh or fish, not tcsh.');
});
