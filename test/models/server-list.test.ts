import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { shownAddress } from '../../src/http/address.js';
import { knownSecrets } from '../../src/models/known-secrets.js';
import { ServedModel } from '../../src/models/served-models.js';
import { readBaseUrls, readServers, serversOf } from '../../src/models/server-list.js';
import type { ModelListing } from '../../src/models/model-list.js';
import { temporaryFolder } from '../support/cli.js';

const [A, B, C] = ['http://a:8000/v1', 'https://b/v1', 'http://[::1]:8000/v1'];

function named(baseUrl: string | null, keys: string | null = null): [string | null, string | null][] {
  const { servers, ...first } = serversOf(
    baseUrl === null ? null : readBaseUrls(baseUrl, '--base_url'),
    keys,
  );
  return (servers?.servers ?? [first]).map((one) => [one.baseUrl, one.apiKeyVariable]);
}

function listing(content: string): [string | null, string | null][] {
  const file = join(temporaryFolder(), 'servers');
  writeFileSync(file, content);
  return readServers({ baseUrl: `@${file}`, apiKeyVariables: null, file }).map((one) => [
    one.baseUrl,
    one.apiKeyVariable,
  ]);
}

it('a list in a file is not needed where nothing is sent to its servers', () => {
  expect(() => serversOf('@/nowhere/servers', null)).toThrow('cannot be read');
  expect(serversOf('@/nowhere/servers', null, false).servers).toMatchObject({
    baseUrl: '@/nowhere/servers',
    servers: [],
  });
});

describe('a list of servers', () => {
  it.each<[string | null, string | null, [string | null, string | null][]]>([
    [null, null, [[null, null]]],
    [A, null, [[A, null]]],
    [
      `${A},${B}`,
      null,
      [
        [A, null],
        [B, null],
      ],
    ],
    [
      ` ${A} , ${B} , ${C},`,
      null,
      [
        [A, null],
        [B, null],
        [C, null],
      ],
    ],
    [`${A},${A}`, null, [[A, null]]],
    [
      `${A},${B}`,
      'KEY',
      [
        [A, 'KEY'],
        [B, 'KEY'],
      ],
    ],
    [
      `${A},${B}`,
      'ONE, TWO',
      [
        [A, 'ONE'],
        [B, 'TWO'],
      ],
    ],
    [
      A,
      'ONE,TWO',
      [
        [A, 'ONE'],
        [A, 'TWO'],
      ],
    ],
    [
      null,
      'ONE,TWO',
      [
        [null, 'ONE'],
        [null, 'TWO'],
      ],
    ],
    [
      `${A}?api-version=1,2,${B}`,
      null,
      [
        [`${A}?api-version=1,2`, null],
        [B, null],
      ],
    ],
    [
      `http://me:a,b@a/v1,${B}`,
      null,
      [
        ['http://me:a,b@a/v1', null],
        [B, null],
      ],
    ],
  ])('%s with keys %s', (baseUrl, keys, expected) => {
    expect(named(baseUrl, keys)).toEqual(expected);
  });

  it.each([
    [`${A},b:8000/v1`, null, 'each address of a list begins with http'],
    [`${A},ftp://b`, null, 'takes an address such as'],
    ['@', null, 'lacks the name of a file'],
    [`${A},${B}`, 'ONE,TWO,THREE', 'names 3 variables for 2 servers'],
    ['@/nowhere/servers', null, 'cannot be read'],
    [`http://…@a/v1,${B}`, null, 'recorded without its password'],
  ])('%s with keys %s is refused', (baseUrl, keys, message) => {
    expect(() => named(baseUrl, keys)).toThrow(message);
  });

  it('in a file may have comments, empty lines, and a key for each server', () => {
    expect(listing(`\ufeff# mine\r\n\r\n  ${A}\r\n${B} KEY_B\n${A}\n`)).toEqual([
      [A, null],
      [B, 'KEY_B'],
    ]);
    expect(listing(`${A},${C}`)).toEqual([
      [A, null],
      [C, null],
    ]);
    for (const content of ['', '# none\n', `${A} KEY more`, `${A} -x`, 'nonsense'])
      expect(() => listing(content)).toThrow(/servers/);
  });

  it('shows no secret of any of its addresses, and all of them are known', () => {
    const list =
      'http://me:first-password@a/v1?api-version=1,2,https://b/v1?api-key=0123456789abcdef,http://c:1/v1';
    expect(shownAddress(list)).toBe('http://…@a/v1?api-version=1,2,https://b/v1?api-key=…,http://c:1/v1');
    const secrets = knownSecrets({ ONE: 'sk-one', TWO: 'sk-two' }, ['ONE,TWO'], [list]).map(
      ({ value }) => value,
    );
    for (const secret of ['first-password', '0123456789abcdef', 'sk-one', 'sk-two'])
      expect(secrets).toContain(secret);
  });
});

describe('servers of one model', () => {
  const models = (...names: string[]): ModelListing => ({ kind: 'models', names });
  const none: ModelListing = { kind: 'none' };
  const failed: ModelListing = { kind: 'failed', message: 'no answer' };
  const listed = (listings: ModelListing[]): { server: string; listing: ModelListing }[] =>
    listings.map((one, place) => ({ server: `server${place}`, listing: one }));

  it.each<[string, ModelListing[], boolean[]]>([
    ['each lists it', [models('m'), models('x', 'm')], [true, true]],
    ['one lists another', [models('m'), models('x')], [true, false]],
    ['one lists nothing', [models('m'), models()], [true, false]],
    ['one has no list', [models('m'), none, failed], [true, true, true]],
    ['none lists it, and all the same', [models('x'), models('x')], [true, true]],
    ['none has a list', [none, failed], [true, true]],
    ['a tag and a prefix', [models('m:latest'), models('models/m')], [true, true]],
    ['a longer name is another', [models('m'), models('m-large')], [true, false]],
  ])('%s', (_, listings, expected) => {
    const served = new ServedModel('m', listed(listings));
    expect(listings.map((one) => served.problemOf(one) === null)).toEqual(expected);
  });

  it('are refused where none lists the model and they differ', () => {
    expect(() => new ServedModel('m', listed([models('x'), models('y'), none]))).toThrow(
      'server0 has x; server1 has y',
    );
  });
});
