import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { completionScript } from '../../src/cli/completion.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { flagsOf } from '../../src/cli/flags/table.js';

/** What bash offers for the last of some words. */
function offered(...words: string[]): string[] {
  const script = [
    completionScript('bash'),
    'COMP_WORDS=("$@")',
    'COMP_CWORD=$(($# - 1))',
    '_reannotate',
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ].join('\n');
  const text = execFileSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
  return text.split('\n').filter((word) => word !== '');
}

describe('completion for bash', () => {
  it('offers commands, flags and values', () => {
    expect(offered('reannotate', 'ju')).toEqual(['judge']);
    expect(offered('reannotate', '--max_t')).toEqual(['--max_tokens', '--max_tokens_per_minute']);
    expect(offered('reannotate', '--reasoning', '')).toEqual(['separate', 'inline', 'drop']);
    expect(offered('reannotate', '-m', 'gpt-4o-mini-')).toEqual(['gpt-4o-mini-2024-07-18']);
    expect(offered('reannotate', '--limit', '')).toEqual([]);
    expect(offered('reannotate', 'judge', '--sam')).toEqual(['--sample']);
    expect(offered('/usr/bin/watch-batch', '--check_')).toEqual(['--check_interval']);
    expect(offered('reannotate', 'completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(offered('reannotate', '--dataset', 'package.j')).toEqual(['package.json']);
    for (const command of ['report', 'work', 'status', 'merge', 'slurm', 'k8s'])
      expect(offered('reannotate', command, 'test/c')).toContain('test/cli');
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
