import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLimits, retryAfter, statedLimits } from '../../src/http/limit-headers.js';
import { parseDuration, parseWait } from '../../src/http/waits.js';

const NOW = Date.parse('2026-10-21T07:27:00Z');
const HOUR = 3_600_000;

describe('retryAfter', () => {
  it.each<[Record<string, string>, number | null]>([
    [{ 'retry-after-ms': '250', 'retry-after': '9' }, 250],
    [{ 'retry-after-ms': '-3', 'retry-after': '9' }, 9000],
    [{ 'retry-after': '1.5' }, 1500],
    [{ 'retry-after': '0' }, 0],
    [{ 'retry-after': '34s' }, 34_000],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }, 60_000],
    [{ 'retry-after': 'Wed, 21 Oct 2020 07:28:00 GMT' }, null],
    // This machine's clock may be wrong; the server's own says how long.
    [{ 'retry-after': 'Wed, 21 Oct 2020 07:28:00 GMT', date: 'Wed, 21 Oct 2020 07:27:55 GMT' }, 5000],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT', date: 'nonsense' }, 60_000],
    [{ 'retry-after': 'soon' }, null],
    [{ 'retry-after': '-5' }, null],
    [{ 'retry-after': '' }, null],
    // Thirty years are a mistake, not a wait.
    [{ 'retry-after': '999999999' }, null],
    [{}, null],
    // OpenRouter's daily limit.
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW + 9 * HOUR) }, 9 * HOUR],
    [{ 'x-ratelimit-reset': String((NOW + 9 * HOUR) / 1000) }, 9 * HOUR],
    [{ 'x-rate-limit-reset': '2026-10-21T16:27:00Z' }, 9 * HOUR],
    [{ 'ratelimit-limit': '100', 'ratelimit-remaining': '0', 'ratelimit-reset': '42' }, 42_000],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'PT1H30M' }, 1.5 * HOUR],
    [{ ratelimit: '"default";r=0;t=30' }, 30_000],
    [{ ratelimit: '"day";r=0;t=7200, "minute";r=9;t=50' }, 2 * HOUR],
    [{ ratelimit: 'limit=100, remaining=0, reset=30' }, 30_000],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset-after': '15' }, 15_000],
    [{ 'ratelimitbysize-remaining': '0', 'ratelimitbysize-reset': '40' }, 40_000],
    [{ 'x-ms-retry-after-ms': '900', 'retry-after': '9' }, 900],
    [{ 'x-ratelimit-timeremaining': '33' }, 33_000],
    [{ 'x-retry-after': '7', 'retry-after': 'soon' }, 7000],
    [
      {
        'anthropic-ratelimit-input-tokens-remaining': '0',
        'anthropic-ratelimit-input-tokens-reset': '2026-10-21T07:27:12Z',
      },
      12_000,
    ],
    [{ 'x-ratelimit-remaining-requests-day': '0', 'x-ratelimit-reset-requests-day': '30000.5' }, 30_000_500],
    [
      {
        'anthropic-ratelimit-tokens-remaining': '0',
        'anthropic-ratelimit-tokens-reset': '2026-10-21T07:27:12Z',
      },
      12_000,
    ],
    // The limit that is used up counts, not the one that is whole again sooner or later.
    [
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '2m59.56s',
        'x-ratelimit-remaining-tokens': '500',
        'x-ratelimit-reset-tokens': '8h',
      },
      179_560,
    ],
    // A limit that is not used up does not say when to try again.
    [{ 'x-ratelimit-remaining': '3', 'x-ratelimit-reset': String(NOW + 9 * HOUR) }, null],
    [{ 'x-ratelimit-reset-requests': '9h' }, null],
    // The past, absurd and empty ones.
    [{ 'x-ratelimit-reset': '1600000000' }, null],
    [{ 'x-ratelimit-reset': '99999999999999999' }, null],
    [{ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'Infinity' }, null],
    [{ ratelimit: ';;;,==,"' }, null],
  ])('reads %j as %s ms', (headers, expected) => {
    expect(retryAfter(headers, NOW)).toBe(expected);
  });

  it('never throws and never returns a negative or endless wait', () => {
    const names = [
      'retry-after-ms',
      'retry-after',
      'ratelimit',
      'x-ratelimit-reset',
      'x-ratelimit-remaining',
      'date',
    ];
    const text = fc.oneof(
      fc.string(),
      fc.double().map(String),
      fc.stringMatching(/^[\d.,;="rtqwPTHMSms:+-]{0,20}$/),
    );
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), text), (headers) => {
        const wait = retryAfter(headers);
        expect(wait === null || (Number.isFinite(wait) && wait >= 0)).toBe(true);
      }),
    );
  });
});

describe('readLimits', () => {
  const openAi = (kind: string, limit: number, remaining: number, reset: string): Record<string, string> => ({
    [`x-ratelimit-limit-${kind}`]: String(limit),
    [`x-ratelimit-remaining-${kind}`]: String(remaining),
    [`x-ratelimit-reset-${kind}`]: reset,
  });
  const none = { requestsPerMinute: null, tokensPerMinute: null, requestsPerDay: null };

  it.each<[string, Record<string, string>, Partial<typeof none> | Record<string, number>]>([
    [
      'OpenAI',
      { ...openAi('requests', 5000, 4999, '12ms'), ...openAi('tokens', 160_000, 159_976, '9ms') },
      { requestsPerMinute: 5000, tokensPerMinute: 160_000 },
    ],
    ['a limit without anything else', { 'x-ratelimit-limit-requests': '60' }, { requestsPerMinute: 60 }],
    ['a small account at OpenAI', openAi('requests', 10_000, 9999, '8.64s'), { requestsPerDay: 10_000 }],
    [
      'Groq: requests a day, tokens a minute',
      { ...openAi('requests', 14_400, 14_398, '12s'), ...openAi('tokens', 18_000, 17_997, '7.66ms') },
      { requestsPerDay: 14_400, tokensPerMinute: 18_000 },
    ],
    ['a day that starts over at midnight', openAi('requests', 50, 20, '9h'), { requestsPerDay: 50 }],
    ['a minute that starts over', openAi('requests', 100, 60, '40'), { requestsPerMinute: 100 }],
    ['a minute or a day: not known', openAi('requests', 100, 99, '45'), {}],
    [
      'Azure',
      {
        ...openAi('requests', 200, 199, '3'),
        'x-ratelimit-renewalperiod-requests': '10',
        ...openAi('tokens', 2_000_000, 1_999_962, '1'),
        'x-ratelimit-renewalperiod-tokens': '60',
      },
      { requestsPerMinute: 1200, tokensPerMinute: 2_000_000 },
    ],
    [
      'Azure with what remains alone',
      { 'x-ratelimit-remaining-requests': '99', 'x-ratelimit-remaining-tokens': '9' },
      {},
    ],
    [
      'Cerebras',
      {
        ...openAi('requests-day', 14_400, 14_399, '33011.4'),
        ...openAi('tokens-minute', 60_000, 59_000, '11.4'),
      },
      { requestsPerDay: 14_400, tokensPerMinute: 60_000 },
    ],
    [
      'Mistral',
      {
        'x-ratelimit-limit-req-minute': '50',
        'x-ratelimit-limit-tokens-minute': '50000',
        'x-ratelimit-remaining-tokens-minute': '47300',
      },
      { requestsPerMinute: 50, tokensPerMinute: 50_000 },
    ],
    ['Mistral without a plan', { 'x-ratelimit-limit-req-minute': '0' }, {}],
    [
      'SambaNova',
      {
        ...openAi('requests', 60, 42, '1792567650'),
        'x-ratelimit-limit-requests-day': '1000',
        'x-ratelimit-remaining-requests-day': '900',
        'x-ratelimit-reset-requests-day': '1792600000',
      },
      { requestsPerMinute: 60, requestsPerDay: 1000 },
    ],
    [
      'Anthropic',
      {
        'anthropic-ratelimit-requests-limit': '1000',
        'anthropic-ratelimit-requests-remaining': '999',
        'anthropic-ratelimit-requests-reset': '2026-10-21T07:27:59Z',
        'anthropic-ratelimit-tokens-limit': '96000',
        'anthropic-ratelimit-input-tokens-limit': '80000',
      },
      { requestsPerMinute: 1000, tokensPerMinute: 96_000 },
    ],
    [
      'policies of the IETF draft',
      { 'ratelimit-policy': '"permin";q=50;w=60,"perday";q=1000;w=86400', ratelimit: '"permin";r=49;t=5' },
      { requestsPerMinute: 50, requestsPerDay: 1000 },
    ],
    ['a policy of an older draft', { 'ratelimit-policy': '10;w=1' }, { requestsPerMinute: 600 }],
    ['a policy on bytes', { 'ratelimit-policy': '"x";q=65535;qu="content-bytes";w=10' }, {}],
    ['a limit of an unknown window', { 'x-ratelimit-limit': '50', 'x-ratelimit-remaining': '0' }, {}],
    ['nothing that makes sense', openAi('requests', -5, 3, '1s'), {}],
    ['more than anybody has', openAi('tokens', 1e14, 1e14, '1s'), {}],
    ['none', { 'content-type': 'application/json' }, {}],
  ])('reads the headers of %s', (_, headers, expected) => {
    expect(readLimits({ date: 'Wed, 21 Oct 2026 07:27:00 GMT', ...headers })).toEqual({
      ...none,
      ...expected,
    });
  });

  it('never throws, and states nothing negative or endless', () => {
    const name = fc.stringMatching(
      /^(x-)?ratelimit(-limit|-remaining|-reset|-policy|-renewalperiod)?(-tokens|-requests)?$/,
    );
    fc.assert(
      fc.property(fc.dictionary(name, fc.oneof(fc.string(), fc.integer().map(String))), (headers) => {
        for (const { limit, remaining, reset, window } of statedLimits(headers)) {
          for (const number of [limit, remaining, reset, window]) {
            expect(number === null || (Number.isFinite(number) && number >= 0)).toBe(true);
          }
        }
      }),
    );
  });
});

describe('parseDuration', () => {
  it.each([
    ['12ms', 12],
    ['1s', 1000],
    ['6m0s', 360_000],
    ['1h2m3.5s', 3_723_500],
    ['', null],
    ['soon', null],
    [null, null],
  ])('reads %j as %s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });
});

describe('parseWait', () => {
  it.each([
    ['45', 45_000],
    ['0.5', 500],
    [String(NOW / 1000 + 60), 60_000],
    [String(NOW + 60_000), 60_000],
    ['PT45S', 45_000],
    ['P1DT2H', 26 * HOUR],
    ['2026-10-21T07:28:00.500Z', 60_500],
    ['2026-10-21T09:28:00+02:00', 60_000],
    ['P', null],
    ['in 3 days', null],
    ['3 May', null],
  ])('reads %j as %s', (text, expected) => {
    expect(parseWait(text, NOW)).toBe(expected);
  });
});
