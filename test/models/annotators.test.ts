import { describe, expect, it } from 'vitest';
import { ANNOTATORS, resolveAnnotator } from '../../src/models/annotators.js';
import { costOf, findPrice } from '../../src/models/prices.js';
import { loadTokenizer, pieces } from '../../src/models/tokenizer.js';
import type { GenerationParameters } from '../../src/models/generation.js';
import { PROVIDERS, type Provider } from '../../src/models/providers.js';
import type { Effort } from '../../src/models/reasoning-effort.js';
import { azureAddress } from '../../src/models/azure.js';
import { requestUrl } from '../../src/http/address.js';
import { knownChanges } from '../../src/requests/parameters.js';
import { requestBody } from '../../src/run/jobs.js';

describe('the annotator registry', () => {
  const names = [
    'gpt-4o',
    'gpt-4o-2024-05-13',
    'gpt-4o-2024-08-06',
    'chatgpt-4o-latest',
    'gpt-4o-mini',
    'gpt-4o-mini-2024-07-18',
    'gpt-4-turbo',
    'gpt-4-turbo-2024-04-09',
    'gpt-4-turbo-preview',
    'gpt-4-0125-preview',
    'gpt-4-1106-preview',
    'gpt-4',
    'gpt-4-0613',
    'gpt-4-0314',
    'llama3-405b',
  ];

  it('has the names of the Python tool', () => {
    expect(Object.keys(ANNOTATORS)).toEqual(names);
  });

  it.each(Object.keys(ANNOTATORS))('%s has a provider, a model and, at OpenAI, a price', async (name) => {
    const { provider, model } = resolveAnnotator(name, false);
    expect(Object.values(PROVIDERS)).toContain(provider);
    expect(model).not.toBe('');
    if (provider === PROVIDERS.openai) expect(await findPrice(provider, model)).not.toBeNull();
  });

  it.each(['gpt-5-nano', 'o3-mini', 'gpt-4.1', 'ft:gpt-4o-mini:org::id'])(
    'takes the OpenAI model %s by its name',
    (name) => {
      expect(resolveAnnotator(name, false)).toMatchObject({ name, model: name, providerName: 'openai' });
    },
  );

  it('reaches providers by PROVIDER/MODEL, and takes openai/MODEL for MODEL', () => {
    expect(resolveAnnotator('openrouter/meta-llama/llama-3.1-70b', false)).toMatchObject({
      name: 'openrouter/meta-llama/llama-3.1-70b',
      providerName: 'openrouter',
      model: 'meta-llama/llama-3.1-70b',
    });
    expect(resolveAnnotator('openai/gpt-4o', false)).toEqual(resolveAnnotator('gpt-4o', false));
  });
});

/** A value for each parameter that is not the one that changes nothing. */
const GIVEN: Readonly<Record<string, unknown>> = {
  temperature: 0.5,
  top_p: 0.5,
  seed: 7,
  max_tokens: 100,
  n: 2,
  frequency_penalty: 1,
  presence_penalty: 1,
  stop: ['x'],
  logit_bias: { 1: 1 },
  logprobs: true,
  top_logprobs: 2,
  reasoning_effort: null,
  response_format: { type: 'json_object' },
  service_tier: 'default',
  extra_body: null,
};

describe('every provider', () => {
  describe.each(Object.entries<Provider>(PROVIDERS))('%s', (name, provider) => {
    const bodyWith = (effort: Effort | null): Record<string, unknown> =>
      requestBody(
        { messages: [{ role: 'user', content: 'x' }] },
        {
          model: 'a-model',
          generation: { ...GIVEN, reasoning_effort: effort } as unknown as GenerationParameters,
          given: new Set(),
          provider,
          changes: knownChanges('a-model', provider),
        },
      );

    it('has a title, an address, its documentation, and a variable for its key, which only servers on this machine may lack', () => {
      expect(provider.title).not.toBe('');
      const url = new URL(provider.baseUrl);
      expect(provider.baseUrl.endsWith('/')).toBe(false);
      expect(new URL(provider.docs).protocol).toBe('https:');
      const isLocal = url.hostname === 'localhost';
      expect(provider.keyIsOptional).toBe(isLocal);
      if (!isLocal) expect(url.protocol).toBe('https:');
      expect(provider.apiKeyVariable).toMatch(/^(?:[A-Z]+_API_KEY|HF_TOKEN|GITHUB_TOKEN)$/);
    });

    it('is reached by its name', () => {
      expect(resolveAnnotator(`${name}/some/model`, false)).toMatchObject({
        providerName: name,
        model: 'some/model',
      });
    });

    it('is sent what it supports, and nothing else', () => {
      const sent = bodyWith(null);
      const lost = Object.keys(GIVEN).filter(
        (parameter) => GIVEN[parameter] !== null && !(parameter in sent) && !(parameter in provider.renames),
      );
      expect(lost.toSorted()).toEqual(provider.lacks.toSorted());
      expect(provider.lacks.every((parameter) => parameter in GIVEN)).toBe(true);
      for (const renamed of Object.values(provider.renames)) expect(sent).toHaveProperty(renamed);
      // A default of ours must not be refused.
      expect(provider.takesSeed && provider.lacks.includes('seed')).toBe(false);
    });

    it('distinguishes thinking from not thinking', () => {
      const plain = bodyWith(null);
      const high = bodyWith('high');
      const none = bodyWith('none');
      for (const body of [high, none]) expect(body).not.toEqual(plain);
      expect(high).not.toEqual(none);
    });
  });

  it('has a known price where it names one in the table', async () => {
    expect(await findPrice(PROVIDERS.groq, 'llama-3.3-70b-versatile')).not.toBeNull();
    expect(await findPrice(PROVIDERS.openai, 'no-such-model')).toBeNull();
    expect(await findPrice(PROVIDERS.vllm, 'gpt-4o')).toBeNull();
  });
});

describe('an Azure deployment', () => {
  const resource = 'https://res.openai.azure.com';
  const version = { OPENAI_API_VERSION: '2024-10-21' };

  it.each<[string, NodeJS.ProcessEnv, string]>([
    [resource, {}, `${resource}/openai/v1/chat/completions`],
    [`${resource}/`, {}, `${resource}/openai/v1/chat/completions`],
    [`${resource}/openai`, {}, `${resource}/openai/v1/chat/completions`],
    [`${resource}/openai/v1/`, version, `${resource}/openai/v1/chat/completions`],
    [`${resource}?api-version=preview`, {}, `${resource}/openai/v1/chat/completions?api-version=preview`],
    [
      'https://res.services.ai.azure.com/api/projects/p',
      {},
      'https://res.services.ai.azure.com/openai/v1/chat/completions',
    ],
    [resource, version, `${resource}/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21`],
    [
      `${resource}/openai?api-version=2025-01-01-preview`,
      {},
      `${resource}/openai/deployments/my%20gpt/chat/completions?api-version=2025-01-01-preview`,
    ],
    [
      `${resource}/openai/deployments/other?api-version=1`,
      {},
      `${resource}/openai/deployments/other/chat/completions?api-version=1`,
    ],
    ['http://localhost:1/gateway/v1', version, 'http://localhost:1/gateway/v1/chat/completions'],
  ])('of %s', (given, variables, expected) => {
    expect(requestUrl(azureAddress(given, 'my gpt', variables), '/chat/completions')).toBe(expected);
  });

  it('answers on the Responses API beside its deployments', () => {
    const url = requestUrl(azureAddress(resource, 'gpt-5-pro', version), '/responses');
    expect(url).toBe(`${resource}/openai/responses?api-version=2024-10-21`);
  });
});

describe('prices', () => {
  it('are those of gpt-4o-mini, with cached tokens at less', async () => {
    const price = await findPrice(PROVIDERS.openai, 'gpt-4o-mini');
    if (price === null) throw new Error('no price');
    expect(costOf({ promptTokens: 1e6, completionTokens: 1e6, cachedTokens: 0 }, price)).toBeCloseTo(0.75, 6);
    expect(costOf({ promptTokens: 1e6, completionTokens: 0, cachedTokens: 1e6 }, price)).toBeCloseTo(
      0.075,
      6,
    );
  });
});

describe('tokens', () => {
  it('are counted in pieces, also for hostile text', async () => {
    const tokenizer = await loadTokenizer('gpt-4o-mini');
    expect(tokenizer.count('Hello, world!')).toBe(4);
    expect(tokenizer.count('<|endoftext|>')).toBeGreaterThan(1);
    expect(tokenizer.count('a'.repeat(100_000))).toBeGreaterThan(10_000);
    expect([...pieces('word '.repeat(1000))].join('')).toBe('word '.repeat(1000));
    expect([...pieces('🙂'.repeat(2000))].every((piece) => piece.isWellFormed())).toBe(true);
  });
});
