import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifyFailure, classifyResponse, type Verdict } from '../../src/requests/verdict.js';
import { apiError, completion } from '../support/scripted-api.js';

function judge(status: number, body: unknown, headers: Record<string, string> = {}): Verdict {
  return classifyResponse({
    status,
    headers,
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
  });
}

function judgeApiError(
  status: number,
  message: string,
  code: string | null = null,
  param: string | null = null,
): Verdict {
  return judge(status, apiError(status, message, code, param).body);
}

const KINDS: Verdict['kind'][] = [
  'answer',
  'partial',
  'unreadable',
  'stream',
  'row',
  'transient',
  'throttle',
  'parameter',
  'value',
  'run',
];

describe('classifyResponse', () => {
  it.each<[string, Verdict, Partial<Verdict>]>([
    ['an answer', judge(200, completion('x')), { kind: 'answer' }],
    ['"error": null', judge(200, { ...completion('x'), error: null }), { kind: 'answer' }],
    ['torn JSON', judge(200, '{"choices":[{"mess'), { kind: 'unreadable', isTorn: true }],
    ['an empty body', judge(200, ''), { kind: 'unreadable', isTorn: true }],
    ['no choices', judge(200, { choices: [] }), { kind: 'transient' }],
    ['200 with an error', judge(200, { error: { message: 'upstream', code: 502 } }), { kind: 'transient' }],
    ['200 with a throttle', judge(200, { error: { message: 'slow', code: 429 } }), { kind: 'throttle' }],
    [
      'a bad prompt',
      judgeApiError(400, 'Too long', 'context_length_exceeded', 'messages'),
      { kind: 'row', filtered: false },
    ],
    ['a filtered prompt', judgeApiError(400, 'x', 'content_filter'), { kind: 'row', filtered: true }],
    ['a wrong key', judgeApiError(401, 'x', 'invalid_api_key'), { kind: 'run', cause: 'key' }],
    ['no permission', judgeApiError(403, 'not allowed'), { kind: 'run', cause: 'key' }],
    ['moderation', judgeApiError(403, 'Your input was flagged'), { kind: 'row', filtered: true }],
    [
      'no model',
      judgeApiError(404, 'The model x does not exist', 'model_not_found'),
      { kind: 'run', cause: 'model' },
    ],
    [
      'no such path',
      judge(404, '<html><title>404 Not Found</title></html>'),
      { kind: 'run', cause: 'other' },
    ],
    ['no money', judgeApiError(402, 'Insufficient credits'), { kind: 'run', cause: 'quota' }],
    ['no quota', judgeApiError(429, 'x', 'insufficient_quota'), { kind: 'run', cause: 'quota' }],
    [
      'a rate limit',
      judgeApiError(429, 'Limit 30000, Used 29000, Requested 2000', 'rate_limit_exceeded'),
      { kind: 'throttle' },
    ],
    [
      'too large a request',
      judgeApiError(429, 'Request too large for gpt-4o: Limit 30000, Requested 40123', 'rate_limit_exceeded'),
      { kind: 'row' },
    ],
    ['too large a body', judge(413, ''), { kind: 'row' }],
    ['a redirect', judge(307, '', { location: 'https://elsewhere' }), { kind: 'run', cause: 'other' }],
    ['a gateway', judge(502, '<html>'), { kind: 'transient', overloaded: false }],
    ['overload', judge(529, '{}'), { kind: 'transient', overloaded: true }],
    ['a time-out', judge(408, '{}'), { kind: 'transient' }],
    ['a conflict', judge(409, '{}'), { kind: 'transient' }],
    ['a parameter', judgeApiError(400, 'x', 'unsupported_value', 'temperature'), { kind: 'parameter' }],
    [
      'a parameter of a FastAPI server',
      judge(422, { detail: [{ type: 'extra_forbidden', loc: ['body', 'seed'] }] }),
      { kind: 'parameter' },
    ],
    [
      'a wrong value',
      judgeApiError(400, 'max_tokens is too large', 'invalid_value', 'max_tokens'),
      { kind: 'value', parameter: 'max_tokens' },
    ],
  ])('takes %s for what it is', (_, verdict, expected) => {
    expect(verdict).toMatchObject(expected);
  });

  it.each([
    [
      'nginx',
      '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center><hr></body></html>',
      '502 Bad Gateway',
    ],
    [
      'HAProxy',
      '<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n',
      '503 Service Unavailable',
    ],
    [
      'a proxy without headings',
      '<!DOCTYPE html><html><style>p { color: red }</style><body><p>Upstream &gt; down</p><p>Ray 1</p></body></html>',
      'Upstream &gt; down Ray 1',
    ],
    ['one with nothing', '<html><body></body></html>', 'a page without text'],
    ['plain text', 'upstream connect error', 'upstream connect error'],
  ])('says what the page of a gateway says, without its tags: %s', (_, page, message) => {
    expect(judge(502, page)).toMatchObject({ kind: 'transient', message: `502: ${message}` });
  });

  it('keeps an answer’s bytes where they are one line, and makes one line of others', () => {
    const line = JSON.stringify(completion('äöü'));
    expect(judge(200, line)).toMatchObject({ json: Buffer.from(line) });
    const pretty = JSON.stringify(completion('äöü'), null, 2);
    expect(judge(200, pretty)).toMatchObject({ json: Buffer.from(line) });
  });

  it('gives a verdict on any answer', () => {
    const status = fc.integer({ min: 200, max: 599 });
    const body = fc.oneof(
      fc.json(),
      fc.string(),
      fc.record({ error: fc.jsonValue() }).map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(status, body, (code, text) => {
        const verdict = judge(code, text);
        expect(KINDS).toContain(verdict.kind);
        if ('message' in verdict) expect(verdict.message).not.toMatch(/[\u0000-\u001f]/);
      }),
    );
  });
});

describe('classifyFailure', () => {
  it.each([
    ['ECONNREFUSED', { kind: 'transient', unreachable: true }],
    ['ENOTFOUND', { kind: 'transient', unreachable: true }],
    ['ECONNRESET', { kind: 'transient', unreachable: false }],
    ['UND_ERR_HEADERS_TIMEOUT', { kind: 'transient', unreachable: false }],
    ['UND_ERR_RES_EXCEEDED_MAX_SIZE', { kind: 'row' }],
    [
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      { kind: 'run', message: expect.stringContaining('NODE_EXTRA_CA_CERTS') as string },
    ],
    ['ERR_SSL_WRONG_VERSION_NUMBER', { kind: 'run', message: expect.stringContaining('no https') as string }],
  ])('%s', (code, expected) => {
    expect(classifyFailure(Object.assign(new Error('x'), { code }))).toMatchObject(expected);
  });
});
