import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { asksTheSame, GENERATION_NAMES } from '../../src/models/generation.js';
import type { RawFlags } from '../../src/cli/flags/parse.js';
import type { RunSettings } from '../../src/run/settings.js';
import { pythonRequest } from '../support/python-request.js';
import { judgeSettingsFor, settingsFor } from '../support/settings.js';
import { compareJobs, requestBody, type RequestShape } from '../../src/run/jobs.js';
import { identityFlags, refuseChanges, type IdentityFlags } from '../../src/run/identity.js';
import { requestShape } from '../../src/run/prepare.js';

const MESSAGES = [{ role: 'user' as const, content: 'x' }];

function optionsFor(flags: RawFlags): RunSettings {
  return settingsFor({ dataset: 'd.jsonl', ...flags });
}

function parametersOf(shape: RequestShape): Record<string, unknown> {
  const body = requestBody({ messages: MESSAGES }, shape);
  return Object.fromEntries(Object.entries(body).filter(([name]) => name !== 'model' && name !== 'messages'));
}

/** What is sent besides model and messages. */
function sent(flags: RawFlags): Record<string, unknown> {
  return parametersOf(requestShape(optionsFor(flags).call));
}

describe('what is sent', () => {
  const defaults = { seed: 42, max_tokens: 2048 };

  it.each<[string, RawFlags, Record<string, unknown>]>([
    ['by default', {}, defaults],
    ['to xAI', { annotator: 'xai/grok-4' }, { max_tokens: 2048 }],
    ['to Gemini', { annotator: 'gemini/gemini-2.5-flash' }, { max_tokens: 2048 }],
    ['to Anthropic', { annotator: 'anthropic/claude-sonnet-4-5' }, { max_tokens: 2048 }],
    ['to Mistral', { annotator: 'mistral/m' }, { random_seed: 42, max_tokens: 2048 }],
    ['to vLLM', { annotator: 'vllm/m' }, defaults],
    ['to a server of one’s own', { annotator: 'm', base_url: 'http://localhost:1' }, { max_tokens: 2048 }],
    ['to a gateway for OpenAI', { annotator: 'gpt-4o', base_url: 'http://localhost:1' }, defaults],
    ['to a reasoning model', { annotator: 'o3' }, { seed: 42, max_completion_tokens: 2048 }],
    [
      'with values that change nothing',
      { temperature: '1', top_p: '1', n: '1' },
      { ...defaults, temperature: 1, top_p: 1, n: 1 },
    ],
    [
      'with none for all, which for the effort is a value',
      Object.fromEntries(GENERATION_NAMES.map((name) => [name, 'none'])),
      { reasoning_effort: 'none' },
    ],
    ['with an effort', { reasoning_effort: 'HIGH' }, { ...defaults, reasoning_effort: 'high' }],
    [
      'with an effort for OpenRouter',
      { annotator: 'openrouter/a/b', reasoning_effort: 'low' },
      { ...defaults, reasoning: { effort: 'low' } },
    ],
    [
      'with an effort for DeepSeek',
      { annotator: 'deepseek/deepseek-chat', reasoning_effort: 'high' },
      { max_tokens: 2048, thinking: { type: 'enabled' }, reasoning_effort: 'high' },
    ],
    [
      'without thinking for DeepSeek',
      { annotator: 'deepseek/deepseek-chat', reasoning_effort: 'none' },
      { max_tokens: 2048, thinking: { type: 'disabled' } },
    ],
    [
      'with an effort for Groq',
      { annotator: 'groq/qwen/qwen3-32b', reasoning_effort: 'high' },
      { ...defaults, reasoning_effort: 'default', reasoning_format: 'parsed' },
    ],
    [
      'with an effort for gpt-oss at Groq',
      { annotator: 'groq/openai/gpt-oss-20b', reasoning_effort: 'high' },
      { ...defaults, reasoning_effort: 'high' },
    ],
    [
      'without thinking for vLLM',
      { annotator: 'vllm/qwen3', reasoning_effort: 'none' },
      { ...defaults, chat_template_kwargs: { enable_thinking: false, thinking: false } },
    ],
    [
      'with an effort for vLLM, and fields that replace its own',
      {
        annotator: 'vllm/qwen3',
        reasoning_effort: 'low',
        extra_body: '{"chat_template_kwargs": {}, "top_k": 5}',
      },
      { ...defaults, reasoning_effort: 'low', chat_template_kwargs: {}, top_k: 5 },
    ],
    [
      'without thinking for Together',
      { annotator: 'together/m', reasoning_effort: 'none' },
      { ...defaults, reasoning: { enabled: false } },
    ],
    [
      'with an effort for Anthropic',
      { annotator: 'anthropic/claude-sonnet-4-5', reasoning_effort: 'medium', max_tokens: '10000' },
      { max_tokens: 10_000, thinking: { type: 'enabled', budget_tokens: 5000 } },
    ],
    ['with a tier', { service_tier: 'priority' }, { ...defaults, service_tier: 'priority' }],
    ['with JSON', { response_format: 'json' }, { ...defaults, response_format: { type: 'json_object' } }],
    [
      'with a schema',
      { response_format: '{"title": "City", "type": "object"}' },
      {
        ...defaults,
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'City', schema: { title: 'City', type: 'object' }, strict: true },
        },
      },
    ],
    [
      'with a schema that has a name and is not strict',
      { response_format: '{"name": "x", "schema": {"type": "object"}, "strict": false}' },
      {
        ...defaults,
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'x', schema: { type: 'object' }, strict: false },
        },
      },
    ],
    [
      'with fields that replace others',
      { temperature: '1', extra_body: '{"temperature": 0.1, "provider": {"order": ["a"]}}' },
      { ...defaults, temperature: 0.1, provider: { order: ['a'] } },
    ],
    ['with None', { max_tokens: 'None', seed: 'NONE' }, {}],
    [
      'with a seed where none is sent by default',
      { annotator: 'xai/grok-4', seed: '7' },
      { seed: 7, max_tokens: 2048 },
    ],
    ['with log probabilities', { logprobs: true }, { ...defaults, logprobs: true }],
    ['with log probabilities in words', { logprobs: 'True' }, { ...defaults, logprobs: true }],
    ['without log probabilities', { logprobs: 'false' }, { ...defaults, logprobs: false }],
    ['with top_logprobs alone', { top_logprobs: '2' }, { ...defaults, logprobs: true, top_logprobs: 2 }],
  ])('%s', (_, flags, expected) => {
    expect(sent(flags)).toEqual(expected);
  });

  it.each<[RawFlags, RegExp]>([
    [{ logprobs: 'maybe' }, /--logprobs takes true, false or none, not maybe/],
    [{ temperature: 'nothing' }, /--temperature takes a number/],
    [{ reasoning_effort: 'lots' }, /--reasoning_effort takes none, minimal/],
    [{ extra_body: '{"top_k": 5' }, /--extra_body: not JSON/],
    [{ extra_body: '[1]' }, /--extra_body must be a JSON object/],
    [
      { extra_body: '@/nowhere/at/all.json' },
      /--extra_body @\/nowhere\/at\/all\.json cannot be read: there is no such file/,
    ],
    [{ extra_body: '{"model": "x"}' }, /--extra_body cannot hold "model"/],
    [{ extra_body: '{"top_k": 1, "messages": []}' }, /--extra_body cannot hold "messages"/],
    [{ extra_body: '{"stream": true}' }, /--extra_body cannot hold "stream"/],
    [{ response_format: 'yaml' }, /--response_format takes json or @SCHEMA\.json/],
    [{ service_tier: 'a b' }, /--service_tier takes a name/],
    [{ service_tier: 'flex', annotator: 'gpt-4o' }, /gpt-4o has no flex tier/],
    [{ service_tier: 'flex', annotator: 'o3', batch: true }, /batches already have that price/],
    [{ annotator: 'gpt-4-turbo', service_tier: 'priority', max_cost: '1' }, /--max_cost cannot be enforced/],
    [{ max_tokens: 'none', max_cost: '1' }, /--max_cost requires --max_tokens/],
  ])('is refused: %o', (flags, message) => {
    expect(() => optionsFor(flags)).toThrow(message);
  });

  it('is required by a judge, whose own defaults may be omitted', () => {
    const judge = (flags: RawFlags): Record<string, unknown> => {
      const { settings } = judgeSettingsFor({ dataset: 'd.jsonl', ...flags });
      expect(settings.call.given.has('temperature')).toBe(false);
      return parametersOf(requestShape(settings.call));
    };
    expect(judge({})).toEqual({ temperature: 0, seed: 42, max_tokens: 1024 });
    expect(judge({ judge: 'anthropic/claude-sonnet-4-5', seed: '7' })).toEqual({
      temperature: 0,
      max_tokens: 1024,
    });
    expect(judge({ max_tokens: 'none' })).toEqual({ temperature: 0, seed: 42 });
  });
});

describe('a run that is resumed', () => {
  /** What a version that sent every parameter kept in `run.json`. */
  const older = (flags: RawFlags): IdentityFlags => ({
    ...identityFlags(optionsFor(flags)),
    temperature: 1,
    top_p: 1,
    seed: 42,
    n: 1,
    frequency_penalty: 0,
    presence_penalty: 0,
    logprobs: false,
  });
  const resume = (earlier: IdentityFlags, flags: RawFlags): void => {
    const options = optionsFor(flags);
    refuseChanges(earlier, identityFlags(options), options.call.given);
  };

  it.each<[string, RawFlags]>([
    ['OpenAI', {}],
    ['a provider that gets no seed now', { annotator: 'xai/grok-4' }],
    ['a server of one’s own', { annotator: 'm', base_url: 'http://localhost:1' }],
  ])('may be one of an older version: %s', (_, flags) => {
    expect(() => {
      resume(older(flags), flags);
    }).not.toThrow();
    expect(() => {
      resume(older(flags), { ...flags, temperature: '1', n: '1', presence_penalty: '0' });
    }).not.toThrow();
  });

  it.each<[RawFlags, RawFlags, RegExp]>([
    [{}, { temperature: '0.2' }, /--temperature was not given and is now 0\.2/],
    [{}, { extra_body: '{"top_k": 5}' }, /--extra_body was not given and is now \{"top_k":5\}/],
    [{ reasoning_effort: 'low' }, { reasoning_effort: 'none' }, /--reasoning_effort was low and is now none/],
    [{ temperature: '0.2' }, {}, /--temperature was 0\.2 and is now not given/],
    [{}, { seed: 'none' }, /--seed was 42 and is now none/],
    [{ seed: 'none' }, {}, /--seed was none and is now 42/],
    [{}, { max_tokens: 'none' }, /--max_tokens was 2048 and is now none/],
    [{ annotator: 'xai/grok-4' }, { annotator: 'xai/grok-4', seed: '42' }, /--seed was none and is now 42/],
    [{ logprobs: true }, { logprobs: 'false' }, /--logprobs was true and is now false/],
  ])('is refused with another value: %o, then %o', (before, after, message) => {
    expect(() => {
      resume(identityFlags(optionsFor(before)), after);
    }).toThrow(message);
  });

  it('treats values that change nothing as absent', () => {
    expect(asksTheSame('temperature', 1, undefined, true)).toBe(true);
    expect(asksTheSame('temperature', 0, null, false)).toBe(false);
    expect(asksTheSame('limit', 1, null, false)).toBe(false);
    expect(asksTheSame('seed', 42, null, true)).toBe(false);
  });
});

describe('a run that the Python tool began', () => {
  const PYTHON = pythonRequest('x');

  async function takeOver(job: Record<string, unknown>, flags: RawFlags): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'reannotate-'));
    onTestFinished(() => {
      rmSync(folder, { recursive: true });
    });
    const [jobs, rows] = [join(folder, 'jobs.json'), join(folder, 'rows.jsonl')];
    writeFileSync(jobs, `${JSON.stringify({ ...job, metadata: { request_idx: 0 } })}\n`);
    writeFileSync(
      rows,
      `${JSON.stringify({ system_prompt: '', user_prompt: 'x', annotation_original: null })}\n`,
    );
    await compareJobs(jobs, rows, requestShape(optionsFor({ annotator: 'gpt-4o-mini', ...flags }).call));
    expect(readFileSync(jobs, 'utf8')).not.toBe('');
  }

  it('is adopted if it requests the same', async () => {
    await takeOver(PYTHON, {});
    await takeOver(PYTHON, { temperature: '1' });
    await takeOver({ ...PYTHON, temperature: 0.2 }, { temperature: '0.2' });
  });

  it.each<[Record<string, unknown>, RawFlags, RegExp]>([
    [{ temperature: 0.2 }, {}, /temperature 0\.2, .*\(not given\)/],
    [{}, { temperature: '0' }, /temperature 1, .*\(0\)/],
    [{ max_tokens: 800 }, {}, /max_tokens 800, .*\(2048\)/],
    [{ stop: ['END'] }, {}, /stop \["END"\], .*\(not given\)/],
    [{}, { seed: 'none' }, /seed 42, .*\(not given\)/],
  ])('is refused where it asks for something else: %o with %o', async (job, flags, message) => {
    await expect(takeOver({ ...PYTHON, ...job }, flags)).rejects.toThrow(message);
  });
});
