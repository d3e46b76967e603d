import { describe, expect, it } from 'vitest';
import { redirectTarget, tokenFor } from '../../src/http/redirects.js';

describe('an answer that leads elsewhere', () => {
  it.each([
    [302, '/b', 'https://a.example/b'],
    [307, 'https://other.example/c?d', 'https://other.example/c?d'],
    [308, '//other.example/c', 'https://other.example/c'],
    [302, undefined, null],
    [302, 'https://[', null],
    [200, '/b', null],
    [404, '/b', null],
  ])('%i to %s', (status, location, target) => {
    expect(redirectTarget(status, location, 'https://a.example/x')?.href ?? null).toBe(target);
  });
});

describe('a token', () => {
  const own = ['https://hub.example/path', 'https://rows.example'];
  it.each([
    ['https://hub.example/api', true],
    ['https://rows.example/rows?x=1', true],
    ['http://hub.example/api', false],
    ['https://hub.example:8443/api', false],
    ['https://sub.hub.example/api', false],
    ['https://hub.example.evil.example/', false],
    ['https://hub.example@evil.example/', false],
  ])('goes to %s: %s', (url, isSent) => {
    expect(tokenFor(url, 'secret', own)).toEqual(isSent ? { authorization: 'Bearer secret' } : {});
    expect(tokenFor(url, null, own)).toEqual({});
  });
});
