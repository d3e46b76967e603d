import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { joinedHeaders, readBounded, readStart, TooLarge } from '../../src/http/bodies.js';

function answer(pieces: readonly string[], headers: Record<string, string> = {}): never {
  return { headers, body: Readable.from(pieces.map((piece) => Buffer.from(piece))) } as never;
}

describe('a body', () => {
  it.each([
    ['without a length', {}],
    ['with its length', { 'content-length': '6' }],
    ['with a length that is too short', { 'content-length': '2' }],
    ['with a length that is none', { 'content-length': '-1' }],
    ['with a length beyond every bound', { 'content-length': '9007199254740993' }],
  ])('%s is read whole', async (_, headers) => {
    expect((await readBounded(answer(['abc', 'def'], headers), 6)).toString()).toBe('abcdef');
  });

  it.each([{}, { 'content-length': '5' }])('that is larger than allowed is refused: %j', async (headers) => {
    await expect(readBounded(answer(['abc', 'def'], headers), 5)).rejects.toThrow(TooLarge);
  });

  it('that is an error’s is read from its start', async () => {
    expect((await readStart(Readable.from([Buffer.from('abc'), Buffer.from('def')]), 4)).toString()).toBe(
      'abcd',
    );
  });
});

it('headers of one name become one', () => {
  expect(joinedHeaders({ a: '1', b: ['2', '3'], c: undefined })).toEqual([
    ['a', '1'],
    ['b', '2, 3'],
  ]);
});
