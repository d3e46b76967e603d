import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/lib/errors.js';
import { requireWritable } from '../../src/publishing/account.js';
import { checkRepositoryName } from '../../src/publishing/repository-name.js';
import { licensesIn } from '../../src/publishing/repository.js';

const HUB = 'https://hub.example';

function whoami(token: object, more: object = {}): object {
  return { name: 'me', orgs: [{ name: 'Our-Lab' }], auth: { accessToken: token }, ...more };
}

function scoped(name: string, ...permissions: string[]): object {
  return whoami({ role: 'fineGrained', fineGrained: { scoped: [{ entity: { name }, permissions }] } });
}

describe('a token that is asked to write to a repository', () => {
  it.each<[string, unknown, string]>([
    ['of the user', whoami({ role: 'write' }), 'me/answers'],
    ['of the user, in other letters', whoami({ role: 'write' }), 'ME/answers'],
    ['of an organisation of the user', whoami({ role: 'write' }), 'Our-Lab/answers'],
    [
      'fine-grained, for the repository',
      scoped('me/answers', 'repo.content.read', 'repo.write'),
      'me/answers',
    ],
    ['fine-grained, for the whole account', scoped('Me', 'repo.write'), 'me/answers'],
    ['fine-grained, of which the Hub says no more', whoami({ role: 'fineGrained' }), 'me/answers'],
    ['of an app, which the Hub has to judge', whoami({}, { type: 'app' }), 'them/answers'],
    ['of which nothing is known', null, 'me/answers'],
  ])('may, where it is %s', (_, account, repository) => {
    expect(() => {
      requireWritable(account, repository, HUB);
    }).not.toThrow();
  });

  it.each<[string, unknown, string, string]>([
    ['for reading', whoami({ role: 'read' }), 'me/answers', 'HF_TOKEN may only read'],
    ['of somebody else', whoami({ role: 'write' }), 'them/answers', 'belongs to me, who is not in them'],
    [
      'fine-grained, for reading',
      scoped('me/answers', 'repo.content.read'),
      'me/answers',
      'may not write to',
    ],
    ['fine-grained, for another', scoped('me/other', 'repo.write'), 'me/answers', 'may not write to'],
  ])('may not, where it is %s', (_, account, repository, message) => {
    expect(() => {
      requireWritable(account, repository, HUB);
    }).toThrow(message);
  });
});

describe('the name of a repository', () => {
  it.each(['me/answers', 'Our-Lab/a.b_c-d', `me/${'a'.repeat(96)}`])('%s is taken', (name) => {
    expect(checkRepositoryName(name, '--push_to_hub')).toBe(name);
  });

  it.each([
    'answers',
    'me/',
    'me/a/b',
    'me/-a',
    'me/a.',
    'me/a--b',
    'me/a..b',
    'me/a.git',
    'me/a b',
    '../a',
    `me/${'a'.repeat(97)}`,
    'https://huggingface.co/datasets/me/a',
  ])('%s is none', (name) => {
    expect(() => checkRepositoryName(name, '--push_to_hub')).toThrow(UsageError);
  });
});

it.each<[unknown, string[]]>([
  ['apache-2.0', ['apache-2.0']],
  [
    ['mit', 'cc0-1.0'],
    ['mit', 'cc0-1.0'],
  ],
  ['mit\n---\n<script>', []],
  [['<script>', 'mit'], ['mit']],
  [{ a: 1 }, []],
  [42, []],
  ['hf_test+token/0001="&x', []],
  [Array.from({ length: 9 }, (_, index) => `l${index}`), ['l0', 'l1', 'l2', 'l3', 'l4']],
])('a card whose licence is %j names %j', (license, expected) => {
  expect(licensesIn({ license })).toEqual(expected);
});
