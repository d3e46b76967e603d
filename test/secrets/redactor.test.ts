import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { valuesOfFlag } from '../../src/models/known-secrets.js';
import { isHidden } from '../../src/secrets/secret.js';
import { Redactor, Unsearchable } from '../../src/secrets/redactor.js';
import { codePoint } from '../support/code-point.js';
import { secretIn, spellings } from '../support/spelled.js';
import { BEFORE_SECRETS } from '../support/before-secrets.js';
import { cpuTimeOf } from '../support/cpu-time.js';

const KEYS = [
  'sk-SECRETab/cd+efGHIJKLMNOPQRSTUVWXYZ0123456789',
  'hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567',
  'sk-very+secret\\y%41/key="1"&x9',
  '0123456789abcdef',
  'pässword-1',
];
const redactor = new Redactor(KEYS.map((value) => ({ value, source: 'KEY' })));
const around = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: codePoint, maxLength: 20 }),
  fc.constantFrom(...BEFORE_SECRETS),
);

describe('a secret is found', () => {
  it('in any spelling, at any place of a text', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...KEYS.slice(0, 4)).chain((key) => fc.tuple(around, spellings(key), around)),
        ([before, key, after]) => {
          const clean = redactor.text(before + key + after);
          expect(secretIn(clean, KEYS.slice(0, 4))).toBeNull();
          // A decoder may join half an escape before the key with its first characters, and so miss the key.
          expect(clean).not.toContain(key);
        },
      ),
      { numRuns: 600 },
    );
  });

  const every = (key: string, write: (code: number) => string): string =>
    Array.from(key, (character) => write(character.charCodeAt(0))).join('');

  it.each<[string, (key: string) => string]>([
    ['behind a percent sign', (key) => `100%${key}`],
    ['behind half a \\u escape', (key) => `\\u00${key}`],
    ['behind half an entity', (key) => `&#${every(key, (code) => `%${code.toString(16)}`)}`],
    ['in entities in percent escapes', (key) => every(key, (code) => `%26%23${code}%3B`)],
    ['in entities whose ampersand is one', (key) => every(key, (code) => `&amp;#${code};`)],
    ['in entities that JSON escapes', (key) => every(key, (code) => `\\u0026amp;#${code};`)],
    ['in escapes whose backslashes are escapes', (key) => every(key, (code) => `%5Cu00${code.toString(16)}`)],
    ['in JSON inside JSON', (key) => JSON.stringify(JSON.stringify(JSON.stringify(JSON.stringify(key))))],
  ])('%s', (_, write) => {
    for (const value of ['0a1b2c3d4e5f67890a1b2c', 'ab\\u0041%41cd&lt;ef', 'sk-Ab3_dE5gH7jK9']) {
      const own = new Redactor([{ value, source: 'KEY' }]);
      expect(own.text(`a ${write(value)} z`)).toMatch(/^a .{0,20}\[redacted\].{0,20} z$/);
    }
  });

  it('in bytes, which stay valid JSON', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KEYS.slice(0, 4)), around, around, (key, before, after) => {
        const value = { [before]: before + key + after, list: [1, key, { deep: JSON.stringify({ key }) }] };
        const bytes = redactor.bytes(Buffer.from(JSON.stringify(value)));
        expect(secretIn(bytes.toString(), KEYS.slice(0, 4))).toBeNull();
        expect(Object.keys(JSON.parse(bytes.toString()) as object)).toContain('list');
      }),
      { numRuns: 200 },
    );
  });

  it('across the ends of strings, in numbers and in names', () => {
    const odd = new Redactor(['a1b2c3":"d4', '123456789012'].map((value) => ({ value, source: 'KEY' })));
    expect(JSON.parse(odd.bytes(Buffer.from('{"a1b2c3":"d4"}')).toString())).toEqual({ a1b2c3: 'd4' });
    expect(JSON.parse(odd.bytes(Buffer.from('{"n":123456789012}')).toString())).toEqual({ n: '[redacted]' });
    expect(odd.value({ 'x 123456789012': [1, 'a'] })).toEqual({ 'x [redacted]': [1, 'a'] });
  });

  it('in a long text, also where two pieces of it meet', () => {
    const [key = ''] = KEYS;
    const escaped = Array.from(key, (character) => `\\u00${character.charCodeAt(0).toString(16)}`).join('');
    for (const length of [131_072 - 20, 131_072 - 1, 131_072, 900_000]) {
      for (const shown of [key, escaped]) {
        const clean = redactor.text('x'.repeat(length) + shown + 'y'.repeat(900_000));
        expect(clean.length).toBe(length + 10 + 900_000);
      }
    }
  });

  it('in time that grows with the length of the worst text alone', () => {
    const worst = ['\\', '\\u0073', '%2', '&#', 'sk-SECRET', '\\\\\\u00', '&#x0', '%5C', '&amp;'].map(
      (part) => part.repeat(Math.ceil(30_000 / part.length)),
    );
    expect(cpuTimeOf(() => worst.map((text) => redactor.text(text)))).toBeLessThan(10_000);
  });
});

describe('log probabilities', () => {
  const [key = ''] = KEYS;
  const tokens = (text: string): object => ({
    content: Array.from(text, (token) => ({ token, logprob: -1, bytes: [...Buffer.from(token)] })),
  });
  const chat = (text: string): object => ({
    choices: [{ message: { content: text }, logprobs: tokens(text) }],
    usage: { total_tokens: 2 },
  });
  const forms: [string, (text: string) => object, object][] = [
    [
      'of chat completions',
      chat,
      { choices: [{ message: { content: 'a [redacted]' }, logprobs: null }], usage: { total_tokens: 2 } },
    ],
    [
      'of the Responses API',
      (text) => ({ output: [{ content: [{ text, logprobs: Array.from(text, (token) => ({ token })) }] }] }),
      { output: [{ content: [{ text: 'a [redacted]', logprobs: [] }] }] },
    ],
    [
      'of Gemini',
      (text) => ({
        candidates: [{ content: { parts: [{ text }] }, logprobsResult: { chosenCandidates: [text] } }],
      }),
      { candidates: [{ content: { parts: [{ text: 'a [redacted]' }] }, logprobsResult: null }] },
    ],
  ];

  it.each(forms)('%s are emptied where their text lost a secret', (_, form, expected) => {
    const answer = form(`a ${key}`);
    expect(JSON.parse(redactor.bytes(Buffer.from(JSON.stringify(answer))).toString())).toEqual(expected);
    expect(redactor.value(answer)).toEqual(expected);
    const harmless = Buffer.from(JSON.stringify(form('a key')));
    expect(redactor.bytes(harmless)).toBe(harmless);
  });
});

describe('lines of an earlier version', () => {
  const own = ['sk-SECRETab/cd+efGHIJKLMNOPQRSTUVWXYZ0123456789', 'ab12cd34e'];
  const quick = new Redactor(own.map((value) => ({ value, source: 'KEY' })));
  const escaped = (key: string): string =>
    Array.from(key, (character) => `\\u00${character.charCodeAt(0).toString(16)}`).join('');

  it('lose every secret, wherever it is in them, and nothing else', () => {
    const written = fc.constantFrom<(key: string) => string>(
      (key) => key,
      (key) => key.replaceAll('/', '\\/'),
      (key) => Buffer.from(key).toString('hex'),
      (key) => Buffer.from(key).toString('base64'),
      escaped,
    );
    fc.assert(
      fc.property(fc.constantFrom(...own), written, fc.nat(70), fc.nat(9), (key, write, before, offset) => {
        const row = (text: string): string => `{"annotation":"${'x'.repeat(before)} ${text} z"}`;
        const lines = (text: string): string => `[\n${row('a \\u00e9')},\n${row(text)},\n${row('b')}\n]\n`;
        const bytes = Buffer.from(`${' '.repeat(offset)}${lines(write(key))}`).subarray(offset);
        const clean = quick.lines(bytes).toString();
        expect(clean.replace(/\[redacted\][=\w]{0,4}/, '@')).toBe(lines('@'));
      }),
      { numRuns: 500 },
    );
  });

  it('are the same buffer where they hold none, also with escapes and words that keys have', () => {
    const text = 'SECRETs of abcdef, \u001b[0m and 100%41\n'.repeat(100);
    const bytes = Buffer.from(`${JSON.stringify({ text })},\n`);
    expect(quick.lines(bytes).equals(bytes)).toBe(true);
    const plain = Buffer.from('{"text":"SECRETs of GHIJ, é"},\n'.repeat(1000));
    expect(quick.lines(plain)).toBe(plain);
  });

  it('lose a whole text that cannot be searched, and stay JSON', () => {
    const text = `${own[0] ?? ''} ${'%25252525'.repeat(600_000)}`;
    const clean = quick.lines(Buffer.from(`${JSON.stringify({ a: 'b', text })},\n`)).toString();
    expect(clean).toBe('{"a":"b","text":"[redacted]"},\n');
  });
});

describe('a text with more escapes than can be searched', () => {
  const dense = '\\u0073%6b&#45;'.repeat(150_000);
  it('is refused, and no part of it appears in a message', () => {
    const started = performance.now();
    expect(() => redactor.bytes(Buffer.from(dense))).toThrow(Unsearchable);
    expect(() => redactor.value({ cell: dense })).toThrow(Unsearchable);
    expect(redactor.text(dense)).toBe('[redacted]');
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it('is none with an escape here and there, however long', () => {
    const sparse = `${'x'.repeat(40_000)}%73`.repeat(200);
    expect(redactor.text(sparse)).toBe(sparse);
  });
});

describe('what holds no secret', () => {
  it('is the same buffer, text and value', () => {
    const text =
      '{"content":"\\u003cb\\u003e 100% \\n \\"quoted\\" a/b http:\\/\\/x %20 &amp; &lt;","n":1.0}';
    const bytes = Buffer.from(text);
    const value = { list: [{ text }], date: new Date(0) };
    expect(redactor.bytes(bytes)).toBe(bytes);
    expect(redactor.text(text)).toBe(text);
    expect(redactor.value(value)).toBe(value);
  });

  it.each([
    'test',
    'none',
    'EMPTY',
    'ollama',
    'lm-studio',
    'not-needed',
    'placeholder',
    'sk-xxx',
    'xxxxxxxxxxxx',
  ])('is a value like %s, which would garble answers', (value) => {
    expect(isHidden(value)).toBe(false);
    expect(new Redactor([{ value, source: 'KEY' }]).text(`a ${value} answer`)).toBe(`a ${value} answer`);
  });

  it.each([
    'no-key-required',
    'sk-no-key-required',
    'your-api-key',
    'your-openai-api-key',
    'changeme',
    'Password',
  ])('is a placeholder like %s', (value) => {
    expect(isHidden(value)).toBe(false);
  });

  it.each(['sk-1234a', 'hunter22', 'sk-in-the-address', 'token-abc123', 'correcthorsebattery'])(
    'is not one like %s',
    (value) => {
      expect(isHidden(value)).toBe(true);
    },
  );
});

it('a flag that is given twice has two values', () => {
  const words = ['--api_key_env', 'A', '--api-key-env=B', '--api_key_env'];
  expect(valuesOfFlag(words, 'api_key_env')).toEqual(['A', 'B']);
});
