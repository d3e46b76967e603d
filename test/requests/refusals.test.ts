import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutEcho } from '../../src/requests/echo.js';
import { geminiDayWait } from '../../src/requests/limits/daily.js';
import { readRefusal } from '../../src/requests/refusal-body.js';
import { entryFor, REFUSALS } from '../../src/requests/refusals.js';
import { classifyResponse, type Verdict } from '../../src/requests/verdict.js';
import { BODIES, error, type Expected } from '../support/refusal-bodies.js';

function judge(status: number, body: unknown, headers: Record<string, string> = {}): Verdict {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return classifyResponse({ status, headers, body: Buffer.from(text) });
}

function shown(verdict: Verdict): Expected | Verdict {
  switch (verdict.kind) {
    case 'run':
      return verdict.cause;
    case 'row':
      return verdict.filtered ? 'filtered' : verdict.explained ? 'too long' : 'row';
    case 'transient':
      return 'later';
    case 'throttle':
    case 'responses':
      return verdict.kind;
    default:
      return verdict;
  }
}

describe('a refusal', () => {
  it.each(BODIES)('%s (%i) is read correctly', (_, status, body, expected) => {
    expect(shown(judge(status, body))).toEqual(expected);
  });

  it('has a body here for every entry of the table', () => {
    const used = new Set(
      BODIES.map(([, status, body]) => {
        const inner = status === 200 ? (body as { error?: unknown; base_resp?: unknown }) : body;
        const text = typeof inner === 'string' ? inner : JSON.stringify(inner);
        return entryFor(
          readRefusal({
            status: status === 200 ? 400 : status,
            value: typeof inner === 'string' ? undefined : inner,
            raw: text,
            headers: {},
          }),
        );
      }),
    );
    const unused = REFUSALS.filter((entry) => !used.has(entry)).map(({ source }) => source);
    expect(unused).toEqual([]);
  });

  it.each<[string, unknown, number | null]>([
    ['RetryInfo', [{ error: { code: 429, message: 'x', details: [{ retryDelay: '34.4s' }] } }], 34_400],
    ['minutes in the text', error('Please try again in 1m26.4s. Need more tokens?'), 86_400],
    ['milliseconds in the text', error('Please try again in 6ms.'), 6],
    ['Azure’s text', error('Please retry after 6 seconds.'), 6000],
    ['LiteLLM’s text', error('No deployments available for selected model, Try again in 5 seconds'), 5000],
    ['Gemini’s text', error('Please retry in 34.000s.'), 34_000],
    ['a number', { error: { message: 'Too many concurrent requests', retry_after: 10 } }, 10_000],
    ['a number as text', { error: { message: 'x', retry_after: '5' } }, 5000],
    ['a duration', { message: 'x', retryAfter: '5s' }, 5000],
    ['milliseconds', { message: 'x', retry_after_ms: 700 }, 700],
    ['no number', { message: 'x', retry_after_seconds: -1 }, null],
    [
      'OpenRouter’s headers in the body',
      {
        error: {
          message: 'x',
          metadata: { headers: { 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': 30 } },
        },
      },
      30_000,
    ],
  ])('tells how long to wait: %s', (_, body, wait) => {
    expect(judge(429, body)).toMatchObject({ kind: 'throttle', wait });
  });

  it('waits until tomorrow for a daily limit, even if the server asks for seconds', () => {
    const details = [
      { violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier', quotaValue: '20' }] },
      { retryDelay: '34s' },
    ];
    const gemini = [{ error: { code: 429, message: 'quota', status: 'RESOURCE_EXHAUSTED', details } }];
    const refusal = readRefusal({ status: 429, value: gemini, raw: '', headers: {} });
    // 15:00 in Los Angeles, in winter and in summer.
    expect(geminiDayWait(refusal, Date.parse('2026-01-15T23:00:00Z'))).toBe(9 * 3_600_000);
    expect(geminiDayWait(refusal, Date.parse('2026-07-15T22:00:00Z'))).toBe(9 * 3_600_000);
    const verdict = judge(429, gemini);
    expect(verdict).toMatchObject({ kind: 'throttle' });
    expect(verdict.kind === 'throttle' && verdict.wait).toBeGreaterThan(34_000);
    expect(judge(429, error('Daily limit reached'))).toMatchObject({ wait: Infinity });
    expect(judge(429, error('Quota for today is used up'))).toMatchObject({ wait: Infinity });
    expect(judge(429, error('1000 requests/day exceeded'))).toMatchObject({ wait: Infinity });
    expect(judge(429, error('Your limit will reset at 2026-12-05 10:00:00'))).toMatchObject({
      wait: Infinity,
    });
    expect(judge(429, error('Limits: 60 requests per minute, 1000 per day'))).toMatchObject({ wait: null });
    expect(judge(429, error('on requests per day (RPD): Limit 9. Try again in 7m12s.'))).toMatchObject({
      wait: 432_000,
    });
  });

  it('waits as the headers say where the body says something else', () => {
    expect(judge(429, error('Please try again in 6ms.'), { 'retry-after': '3' })).toMatchObject({
      wait: 3000,
    });
    expect(judge(498, error('full'), { 'retry-after': '1' })).toMatchObject({
      kind: 'transient',
      wait: 1000,
    });
  });

  it.each<[string, unknown, number | null]>([
    [
      'vLLM',
      error(
        "'max_tokens' is too large: 2048. This model's maximum context length is 4096 tokens and your request has 3000 input tokens (2048 > 4096 - 3000).",
      ),
      1096,
    ],
    [
      'OpenAI',
      error(
        "This model's maximum context length is 8,192 tokens. However, you requested 9048 tokens (7000 in the messages, 2048 in the completion).",
      ),
      1192,
    ],
    [
      'OpenRouter',
      error(
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (31000 of text input, 9000 in the output).",
      ),
      1768,
    ],
    [
      'SGLang',
      error(
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5048 tokens: 3000 tokens from the input messages and 2048 tokens for the completion.",
      ),
      1096,
    ],
    [
      'TGI',
      {
        error:
          '`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 3500 `inputs` tokens and 1024 `max_new_tokens`',
      },
      597,
    ],
    [
      'Anthropic',
      error(
        'input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length',
      ),
      2000,
    ],
    [
      'Mistral',
      error(
        'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length',
      ),
      -7232,
    ],
    ['nothing told', error('prompt is too long'), null],
  ])('tells the room that a prompt leaves: %s', (_, body, room) => {
    expect(judge(400, body)).toMatchObject({ kind: 'row', explained: true, room });
  });

  // The request allowed 2,048 tokens.
  // prettier-ignore
  it.each<[string, string, number | null]>([
    ['OpenAI with functions', "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (6900 in the messages, 52 in the functions, and 2048 in the completion).", 1240],
    ['OpenAI’s completions', "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (2952 in your prompt; 2048 for the completion).", 1145],
    ['OpenRouter with tools', "This endpoint's maximum context length is 32768 tokens. However, you requested about 34000 tokens (31000 of text input, 952 of tool input, 2048 in the output).", 816],
    ['vLLM', "This model's maximum context length is 4096 tokens. However, you requested 2048 output tokens and your prompt contains at least 3000 input tokens, for a total of at least 5048 tokens.", 1096],
    ['SambaNova', 'Requested generation length 2048 is not possible! The provided prompt is 7000 tokens long, so generating 2048 tokens requires a sequence length of 9048, but the maximum supported sequence length is just 8192!', 1192],
    ['Moonshot', 'Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)', 1240],
    ['Cerebras', 'Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192', 1240],
    ['Databricks', 'BAD_REQUEST: prompt token count (7000) plus max_tokens (2048) cannot exceed 8192. Please refine the request.', 1192],
    ['Cloudflare', 'AiError: The estimated number of input and maximum output tokens (8448) exceeded this model context window limit (8192).', 1792],
    ['TensorRT-LLM', 'The sum of prompt length (7000.0), query length (0) max_tokens (2048) should not exceed max_num_tokens or max_seq_len (8192)', 1192],
    ['NVIDIA NIM', 'max_tokens=2048 cannot be greater than max_model_len=8192 minus input length 7000. Please request fewer output tokens.', 1192],
    ['Perplexity', "Requested number of tokens 9048 exceeds the model's context 8192", 1192],
    ['words of its own', 'Input of 7,000 tokens and 2,048 for llama-3.1-8b exceed the context of 8,192', 1192],
    ['the prompt alone', 'too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000. Try using a shorter prompt', null],
    ['the prompt alone, of three numbers', 'request (5000 tokens of 7) exceeds the available context size (4096 tokens)', null],
  ])('tells the room by what its numbers add up to: %s', (_, message, room) => {
    const sent = Buffer.from(JSON.stringify({ messages: [], max_tokens: 2048 }));
    const response = { status: 400, headers: {}, body: Buffer.from(JSON.stringify(error(message))) };
    expect(classifyResponse(response, sent)).toMatchObject({ kind: 'row', explained: true, room });
  });

  it('reads the remaining capacity of a minute’s limit, which counts max_tokens', () => {
    const response = {
      status: 413,
      headers: {},
      body: Buffer.from(
        JSON.stringify(error('Request too large on tokens per minute (TPM): Limit 6000, Requested 7044')),
      ),
    };
    const sent = Buffer.from(JSON.stringify({ messages: [], max_tokens: 2048 }));
    expect(classifyResponse(response, sent)).toMatchObject({ kind: 'row', room: 1004 });
  });

  it.each<[string, string]>([
    ['a wrong key', 'Why do I get: Incorrect API key provided: sk-1?'],
    ['no credit', 'What does "insufficient balance" mean?'],
    ['in few words', '余额不足'],
    ['a parameter', "Explain: Unsupported parameter: 'max_tokens' is not supported with this model."],
    ['streaming', 'Fix this: This model only support stream mode, please enable it.'],
    ['the error of another API', '{"error": {"code": "invalid_api_key", "message": "x"}}'],
    ['a long text', `${'word '.repeat(40_000)}The account balance is too low, top up. ${'x'.repeat(99)}`],
  ])('says nothing by what it repeats of the prompt: %s', (_, prompt) => {
    const sent = Buffer.from(
      JSON.stringify({ messages: [{ role: 'user', content: prompt }], max_tokens: 9 }),
    );
    const echo = prompt.length > 5000 ? prompt.slice(199_990) : prompt;
    for (const body of [
      error(`Could not process: ${echo}`),
      error(echo),
      { detail: [{ msg: echo, loc: ['body', 'messages', 0, 'content'] }] },
    ]) {
      const response = { status: 400, headers: {}, body: Buffer.from(JSON.stringify(body)) };
      expect(classifyResponse(response, sent)).toMatchObject({ kind: 'row', filtered: false });
    }
  });

  it('is read by its own words next to what it repeats, and shows both', () => {
    const prompt = 'Why is the sky blue on a clear day, and red in the evening?';
    const sent = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: prompt }] }));
    const body = Buffer.from(JSON.stringify(error(`Incorrect API key provided. Request: ${prompt}`)));
    expect(classifyResponse({ status: 400, headers: {}, body }, sent)).toMatchObject({
      cause: 'key',
      message: expect.stringContaining(prompt) as string,
    });
  });

  it('loses the echoes in it and nothing else', () => {
    const words = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é'), maxLength: 60 });
    fc.assert(
      fc.property(words, words, words, (before, prompt, after) => {
        const text = `${before}#${prompt}#${after}`;
        const rest = withoutEcho(text, prompt);
        if (prompt.length < 20) expect(rest).toBe(text);
        else if (prompt.length >= 30) expect(rest).not.toContain(prompt);
        expect(rest.length).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  it('is truncated before any pattern is matched, at any length', () => {
    const long = 'limit requested: '.repeat(130_000);
    for (const body of [error(long), long, { detail: [{ msg: long, loc: ['body', 'x'] }] }]) {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const value = typeof body === 'string' ? undefined : body;
      expect(readRefusal({ status: 400, value, raw: text, headers: {} }).text.length).toBeLessThanOrEqual(
        4000,
      );
      expect(judge(500, body).kind).toBe('transient');
    }
  });

  it('shows neither control characters nor more than a line of what it got', () => {
    const bodies = fc.oneof(
      fc.jsonValue().map((value) => JSON.stringify({ error: value })),
      fc.jsonValue().map((value) => JSON.stringify([{ detail: value, code: value, param: value }])),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.constantFrom(307, 400, 403, 404, 422, 429, 500, 503), bodies, (status, body) => {
        const verdict = judge(status, body);
        if (!('message' in verdict)) throw new Error('taken for an answer');
        expect(verdict.message.length).toBeLessThan(600);
        expect(verdict.message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });
});
