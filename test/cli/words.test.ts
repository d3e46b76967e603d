import { describe, expect, it } from 'vitest';
import { plainWords } from '../../src/cli/words.js';

describe('the words of a command line', () => {
  it.each([
    ['--max-cost 1 --dry-run', '--max_cost 1 --dry_run'],
    ['--max-cost=1-2 --base-url=http://a-b/c', '--max_cost=1-2 --base_url=http://a-b/c'],
    ['-m gpt-4o -d a-b.jsonl -o out', '--annotator gpt-4o --dataset a-b.jsonl --save_dir out'],
    ['-mgpt-4o -d=a.jsonl', '--annotator=gpt-4o --dataset=a.jsonl'],
    ['--system_column --not-a-flag --limit 1', '--system_column --not-a-flag --limit 1'],
    ['--seed -1 --temperature -0.5', '--seed -1 --temperature -0.5'],
    ['--logprobs --dry-run', '--logprobs --dry_run'],
    ['a -- --max-cost -m', 'a -- --max-cost -m'],
    ['-x -', '-x -'],
    ['--resume=true --batch=FALSE --dry-run=maybe', '--resume --dry_run=maybe'],
    ['-qy -qx', '--quiet --yes --quiet=x'],
  ])('%s', (typed, plain) => {
    expect(plainWords('reannotate', typed.split(' '))).toEqual(plain.split(' '));
  });

  it('are those of the command', () => {
    expect(plainWords('report', ['report', '-o', 'page.html'])).toEqual(['report', '--output', 'page.html']);
    expect(plainWords('simulate', ['simulate', '-p', '8088'])).toEqual(['simulate', '--port', '8088']);
  });
});
