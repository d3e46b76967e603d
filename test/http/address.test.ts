import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  authorization,
  isIncomplete,
  readAddress,
  requestUrl,
  secretsIn,
  shownAddress,
  versionHint,
  withoutSecrets,
} from '../../src/http/address.js';
import { readKey } from '../../src/models/key.js';

describe('the address of a request', () => {
  const azure = 'https://res.openai.azure.com/openai/deployments/my-gpt';
  it.each<[string, string, string]>([
    ['https://api.openai.com/v1', '/chat/completions', 'https://api.openai.com/v1/chat/completions'],
    [' https://api.openai.com/v1/ \n', '/chat/completions', 'https://api.openai.com/v1/chat/completions'],
    ['https://api.openai.com/v1///', '/models', 'https://api.openai.com/v1/models'],
    ['http://127.0.0.1:8000', '/chat/completions', 'http://127.0.0.1:8000/chat/completions'],
    ['http://127.0.0.1:8000/', '/chat/completions', 'http://127.0.0.1:8000/chat/completions'],
    ['http://h/v1/chat/completions', '/chat/completions', 'http://h/v1/chat/completions'],
    ['http://h/v1/chat/completions/', '/models', 'http://h/v1/models'],
    ['http://h/v1/completions', '/chat/completions', 'http://h/v1/chat/completions'],
    ['http://h/v1#top', '/chat/completions', 'http://h/v1/chat/completions'],
    ['http://h/v1?', '/chat/completions', 'http://h/v1/chat/completions'],
    ['http://h/v1?a=1&b=%20x#top', '/batches', 'http://h/v1/batches?a=1&b=%20x'],
    [
      `${azure}?api-version=2024-10-21`,
      '/chat/completions',
      `${azure}/chat/completions?api-version=2024-10-21`,
    ],
    [
      `${azure}/chat/completions?api-version=2024-10-21`,
      '/chat/completions',
      `${azure}/chat/completions?api-version=2024-10-21`,
    ],
    // Files, batches and models belong to the resource, not to one deployment.
    [`${azure}?api-version=1`, '/files', 'https://res.openai.azure.com/openai/files?api-version=1'],
    [`${azure}?api-version=1`, '/models', 'https://res.openai.azure.com/openai/models?api-version=1'],
    ['http://user:pass@h:81/v1', '/chat/completions', 'http://h:81/v1/chat/completions'],
    ['http://[::1]:8000/v1', '/models', 'http://[::1]:8000/v1/models'],
  ])('%s and %s', (base, path, expected) => {
    expect(requestUrl(readAddress(base), path)).toBe(expected);
  });

  it('has a version in it at most servers', () => {
    expect(versionHint(readAddress('http://h:8000'))).toBe('http://h:8000/v1');
    expect(versionHint(readAddress('http://h:8000/proxy?x=1'))).toBe('http://h:8000/proxy/v1?x=1');
    for (const base of [
      'http://h/v1',
      'http://h/api/v3',
      'https://r.openai.azure.com/openai/deployments/x',
      'http://h/v1beta/openai',
    ])
      expect(versionHint(readAddress(base)), base).toBeNull();
  });
});

describe('a request is authorised', () => {
  const bearer = { authorization: 'Bearer KEY' };
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln';
  it.each<[string, string | null, Record<string, string>]>([
    ['https://api.openai.com/v1', 'KEY', bearer],
    ['http://127.0.0.1:8000/v1', null, {}],
    ['https://res.openai.azure.com/openai/v1', 'KEY', { 'api-key': 'KEY' }],
    ['https://res.openai.azure.com/openai/deployments/x?api-version=1', 'KEY', { 'api-key': 'KEY' }],
    ['https://res.cognitiveservices.azure.com/openai/deployments/x', 'KEY', { 'api-key': 'KEY' }],
    ['https://res.services.ai.azure.com/models?api-version=1', 'KEY', { 'api-key': 'KEY' }],
    ['https://res.openai.azure.us/openai/v1', 'KEY', { 'api-key': 'KEY' }],
    ['https://res.openai.azure.com/openai/v1', token, { authorization: `Bearer ${token}` }],
    ['https://gw.azure-api.net/llm', 'KEY', { ...bearer, 'api-key': 'KEY' }],
    ['https://llm.example/openai/deployments/x', 'KEY', { ...bearer, 'api-key': 'KEY' }],
    // No such host is Azure's.
    ['https://openai.azure.com.evil.example/v1', 'KEY', bearer],
    ['http://user:p%40ss@h/v1', null, { authorization: `Basic ${btoa('user:p@ss')}` }],
    ['http://user:pass@h/v1', 'KEY', bearer],
  ])('at %s with %s', (base, key, expected) => {
    expect(authorization(readAddress(base), key)).toEqual(expected);
  });

  it('goes into both headers where an address is Azure’s by another name', () => {
    const address = { ...readAddress('http://localhost:1/openai/v1'), isAzure: true as const };
    expect(authorization(address, 'KEY')).toEqual({ ...bearer, 'api-key': 'KEY' });
  });

  it.each([
    ['sk-1234', 'sk-1234'],
    [' sk-1234\r\n', 'sk-1234'],
    ['"sk-1234"', 'sk-1234'],
    ["'sk-1234'\n", 'sk-1234'],
    ['\ufeffsk-1234', 'sk-1234'],
    ['sk-\u200b1234', 'sk-1234'],
    ['Bearer sk-1234', 'sk-1234'],
    ['"Bearer sk-1234"', 'sk-1234'],
    ['Authorization: Bearer sk-1234', 'sk-1234'],
    ['bearersk-1234', 'bearersk-1234'],
    ['""', ''],
    ['"', '"'],
  ])('by a key copied as %j', (given, meant) => {
    expect(readKey(given)).toBe(meant);
  });
});

describe('an address that is shown', () => {
  it.each([
    ['https://api.openai.com/v1', 'https://api.openai.com/v1'],
    ['http://user:hunter2@h:81/v1', 'http://…@h:81/v1'],
    ['http://user:p@ss:w/rd@h/v1', 'http://…@h/v1'],
    ['http://token@h/v1', 'http://…@h/v1'],
    ['http://h/v1?key=hunter2', 'http://h/v1?key=…'],
    [
      'http://h/v1?api-version=2024-10-21-preview&api-key=x',
      'http://h/v1?api-version=2024-10-21-preview&api-key=…',
    ],
    ['http://h/v1?subscription-key=a&b=2', 'http://h/v1?subscription-key=…&b=2'],
    ['http://h/f?code=abc==&sig=x%20y#z', 'http://h/f?code=…&sig=…#z'],
    ['http://h/v1?x=0123456789abcdef', 'http://h/v1?x=…'],
    ['http://h/v1?sk-0123456789abcdef', 'http://h/v1?…'],
    ['http://h/v1?access_token=&x', 'http://h/v1?access_token=&x'],
    ['http://h/v1?authToken=1', 'http://h/v1?authToken=…'],
    ['not an address', 'not an address'],
  ])('%s', (given, shown) => {
    expect(shownAddress(given)).toBe(shown);
    expect(withoutSecrets(`--base_url=${given}`)).toBe(`--base_url=${shown}`);
  });

  it('never contains a password or a key', () => {
    const secret = fc
      .string({ minLength: 4, unit: 'grapheme-ascii' })
      .filter((text) => !/[\s<>"']/.test(text));
    fc.assert(
      fc.property(secret, secret, (password, key) => {
        const quoted = [encodeURIComponent(password), encodeURIComponent(key)] as const;
        const address = `http://user:${quoted[0]}@127.0.0.1:80/v1?key=${quoted[1]}`;
        expect(shownAddress(address)).toBe('http://…@127.0.0.1:80/v1?key=…');
        const found = secretsIn(address);
        expect(found).toContain(password);
        expect(found).toContain(key);
        expect(isIncomplete(shownAddress(address))).toBe(true);
      }),
    );
  });
});
