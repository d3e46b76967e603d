import { describe, expect, it } from 'vitest';
import { readRefusal } from '../../src/requests/refusal-body.js';
import {
  applyChanges,
  drop,
  ParameterFit,
  parameterVerdict,
  type ParameterChange,
} from '../../src/requests/parameters.js';
import { SENT, WORDINGS } from '../support/parameter-wordings.js';
import { error } from '../support/refusal-bodies.js';

function verdictOn(body: unknown, sent: Record<string, unknown> | null = SENT) {
  return parameterVerdict(
    readRefusal({ status: 400, value: body, raw: JSON.stringify(body), headers: {} }),
    sent,
  );
}

function shown(changes: readonly ParameterChange[]): string[] {
  return changes.map(({ parameter, renamed_to: name }) =>
    name === null ? parameter : `${parameter}→${name}`,
  );
}

describe('a refusal of parameters', () => {
  it.each(WORDINGS)('is understood: %s', (_, body, changed) => {
    const verdict = verdictOn(body);
    expect(verdict).toMatchObject({ kind: 'change', certain: true });
    expect(verdict?.kind === 'change' ? shown(verdict.changes) : []).toEqual(changed);
  });

  it.each<[string, unknown]>([
    ['the messages', error('Unsupported value', { param: 'messages[0].content' })],
    ['something else', error('This request is not supported')],
    ['a parameter that was not sent', error("'top_k' is not supported")],
  ])('is none where it is about %s', (_, body) => {
    expect(verdictOn(body)).toBeNull();
  });

  it('concerns only what was sent', () => {
    const body = error('`seed` and `temperature` are not supported');
    expect(verdictOn(body, { seed: 1 })).toMatchObject({ changes: [{ parameter: 'seed' }] });
    expect(verdictOn(body, {})).toBeNull();
  });

  it('is uncertain where the wording is not known', () => {
    expect(verdictOn(error('Please mind `presence_penalty`'))).toMatchObject({
      kind: 'change',
      certain: false,
      changes: [{ parameter: 'presence_penalty' }],
    });
  });

  it('is about the value where a range is named', () => {
    const body = error('temperature may only be set between 0 and 1');
    expect(verdictOn(body, { temperature: 1.5 })).toEqual({ kind: 'wrong', parameter: 'temperature' });
  });

  it('is about the value where that is out of range, unless the value changes nothing', () => {
    const body = error('`top_p` must be > 0.0 and < 1.0');
    expect(verdictOn(body, { top_p: 1 })).toMatchObject({ kind: 'change' });
    expect(verdictOn(body, { top_p: 0 })).toEqual({ kind: 'wrong', parameter: 'top_p' });
  });

  it('of effort is the user’s to change where the model names other levels, and left out where it takes none', () => {
    const sent = { reasoning_effort: 'minimal' };
    const level = error(
      "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model. Supported values are: 'low', 'medium', and 'high'.",
    );
    expect(verdictOn(level, sent)).toEqual({ kind: 'wrong', parameter: 'reasoning_effort' });
    const unknown = error('Unrecognized request argument supplied: reasoning_effort');
    expect(verdictOn(unknown, sent)).toMatchObject({
      kind: 'change',
      changes: [{ parameter: 'reasoning_effort', renamed_to: null }],
    });
    const thinking = error('thinking: Extra inputs are not permitted', { param: 'thinking' });
    expect(verdictOn(thinking, { thinking: {} })).toMatchObject({
      kind: 'change',
      changes: [{ parameter: 'thinking' }],
    });
  });

  // prettier-ignore
  it.each<[string, unknown, number]>([
    ['OpenAI', error('max_tokens is too large: 99999. This model supports at most 16384 completion tokens, whereas you provided 99999.', { param: 'max_tokens', code: 'invalid_value' }), 16_384],
    ['Anthropic', error('max_tokens: 99999 > 4096, which is the maximum allowed number of output tokens for claude-3-haiku'), 4096],
    ['Groq', error('`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the `context_window` for this model'), 8192],
    ['DeepSeek', error('Invalid max_tokens value, the valid range of max_tokens is [1, 8192]'), 8192],
    ['Alibaba', error('Range of max_tokens should be [1, 8192]'), 8192],
    ['Vertex AI', error('Unable to submit request because it has a maxOutputTokens value of 99999 but the supported range is from 1 (inclusive) to 65537 (exclusive).'), 65_536],
    ['Bedrock', { message: 'The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.' }, 4096],
    ['vLLM', error('max_tokens=99999 cannot be greater than max_model_len=4096'), 4096],
  ])('lowers a maximum that is beyond the model’s: %s', (_, body, most) => {
    expect(verdictOn(body, { max_tokens: 99_999 })).toMatchObject({
      kind: 'change',
      changes: [{ parameter: 'max_tokens', at_most: most }],
    });
  });
});

describe('the changes of a run', () => {
  const body = Buffer.from(JSON.stringify({ messages: [], max_tokens: 2048, seed: 1 }));
  const applied = (fit: ParameterFit): unknown => JSON.parse(fit.apply(body).toString());

  it('send the same bytes where nothing was learnt', () => {
    expect(new ParameterFit().apply(body)).toBe(body);
  });

  it('are learnt once', () => {
    const fit = new ParameterFit();
    expect(fit.learn(drop('seed'))).not.toBeNull();
    expect(fit.learn(drop('seed'))).toBeNull();
    expect(applied(fit)).toEqual({ messages: [], max_tokens: 2048 });
  });

  it('leave out a maximum that is refused under both names', () => {
    const fit = new ParameterFit();
    fit.learn(drop('max_tokens'));
    expect(applied(fit)).toEqual({ messages: [], max_completion_tokens: 2048, seed: 1 });
    fit.learn(drop('max_completion_tokens'));
    expect(applied(fit)).toEqual({ messages: [], seed: 1 });
  });

  it('lower a maximum further, and never raise it', () => {
    const fit = new ParameterFit();
    const cap = (most: number): ParameterChange => ({
      ...drop('max_tokens'),
      renamed_to: null,
      at_most: most,
    });
    fit.learn(cap(1000));
    expect(fit.learn(cap(1500))).toBeNull();
    expect(fit.learn(cap(500))).not.toBeNull();
    expect(applied(fit)).toMatchObject({ max_tokens: 500 });
    fit.learn(drop('max_tokens'));
    expect(applied(fit)).toMatchObject({ max_completion_tokens: 500 });
  });

  it('can be taken back', () => {
    const fit = new ParameterFit();
    const change = fit.learn(drop('seed'));
    fit.forget(change === null ? [] : [change]);
    expect(applied(fit)).toMatchObject({ seed: 1 });
  });

  it('know what the user gave, under either name', () => {
    const fit = new ParameterFit(new Set(['max_tokens']));
    expect(['max_tokens', 'max_completion_tokens', 'seed'].map((name) => fit.isGiven(name))).toEqual([
      true,
      true,
      false,
    ]);
  });

  it('leave what is not there alone', () => {
    const value = { a: 1 };
    applyChanges(value, [drop('seed'), { ...drop('n'), at_most: 1 }]);
    expect(value).toEqual({ a: 1 });
  });
});
