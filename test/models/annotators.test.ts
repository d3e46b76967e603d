import { describe, expect, it } from 'vitest';
import { ANNOTATORS, resolveAnnotator } from '../../src/models/annotators.js';
import { costOf, findPrice } from '../../src/models/prices.js';
import { loadTokenizer, pieces } from '../../src/models/tokenizer.js';
import { PROVIDERS } from '../../src/models/providers.js';

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

describe('every provider', () => {
  it.each(Object.entries(PROVIDERS))(
    '%s has a title, an address and, away from this machine, a key',
    (_, provider) => {
      expect(provider.title).not.toBe('');
      const url = new URL(provider.baseUrl);
      expect(provider.baseUrl.endsWith('/')).toBe(false);
      if (url.hostname !== 'localhost') {
        expect(url.protocol).toBe('https:');
        expect(provider.apiKeyVariable).toMatch(/^[A-Z]+_API_KEY$/);
      }
    },
  );

  it('has a known price where it names one in the table', async () => {
    expect(await findPrice(PROVIDERS.groq, 'llama-3.3-70b-versatile')).not.toBeNull();
    expect(await findPrice(PROVIDERS.openai, 'no-such-model')).toBeNull();
    expect(await findPrice(PROVIDERS.vllm, 'gpt-4o')).toBeNull();
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
