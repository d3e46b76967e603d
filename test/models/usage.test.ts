import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf, highestRates, totalCost, type Rates } from '../../src/models/prices.js';
import { tierShares } from '../../src/models/service-tiers.js';
import { estimateTokens } from '../../src/models/text-tokens.js';
import { fullyReported, usageOfAnswer } from '../../src/models/usage-estimate.js';
import { LineScanner } from '../../src/run/line-scanner.js';
import { addUsage, NO_USAGE, readUsage, restoreUsage, type Usage } from '../../src/models/usage.js';

/** As little as a row of the table needs to say; what it leaves out is 0. */
type Counts = Partial<Record<'prompt' | 'completion' | 'cached' | 'written' | 'cost', number>>;

function counts(usage: Usage | null): Counts | null {
  if (usage === null) return null;
  const all = {
    prompt: usage.promptTokens,
    completion: usage.completionTokens,
    cached: usage.cachedTokens,
    written: usage.cacheWriteTokens,
  };
  const named = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== 0));
  return usage.stated === null ? named : { ...named, cost: usage.stated.cost };
}

describe('reasoning tokens', () => {
  it.each<[string, object, number]>([
    [
      'OpenAI',
      {
        prompt_tokens: 9,
        completion_tokens: 50,
        total_tokens: 59,
        completion_tokens_details: { reasoning_tokens: 40 },
      },
      40,
    ],
    [
      'xAI, beside the completion',
      {
        prompt_tokens: 9,
        completion_tokens: 1,
        total_tokens: 50,
        completion_tokens_details: { reasoning_tokens: 40 },
      },
      40,
    ],
    [
      'the Responses API',
      { input_tokens: 9, output_tokens: 50, output_tokens_details: { reasoning_tokens: 40 } },
      40,
    ],
    ['Perplexity', { prompt_tokens: 9, completion_tokens: 50, total_tokens: 59, reasoning_tokens: 40 }, 40],
    [
      'more than there can be',
      {
        prompt_tokens: 9,
        completion_tokens: 5,
        total_tokens: 14,
        completion_tokens_details: { reasoning_tokens: 40 },
      },
      5,
    ],
    [
      'null',
      {
        prompt_tokens: 9,
        completion_tokens: 5,
        total_tokens: 14,
        completion_tokens_details: { reasoning_tokens: null },
      },
      0,
    ],
    ['none', { prompt_tokens: 9, completion_tokens: 5, total_tokens: 14 }, 0],
  ])('%s', (_, usage, reasoning) => {
    const read = readUsage(usage);
    expect(read?.reasoningTokens).toBe(reasoning);
    const answer = {
      model: 'm',
      choices: [
        { index: 0, message: { role: 'assistant', content: 'x', refusal: null }, finish_reason: 'stop' },
      ],
      usage,
    };
    const line = Buffer.from(`[{"messages":[]},${JSON.stringify(answer)},{"request_idx":3}]`);
    expect(new LineScanner().peek(line, 0, line.length)?.usage.reasoningTokens ?? reasoning).toBe(reasoning);
  });

  it('are summed', () => {
    const usage = readUsage({
      prompt_tokens: 9,
      completion_tokens: 50,
      total_tokens: 59,
      completion_tokens_details: { reasoning_tokens: 40 },
    });
    const sum = addUsage(usage ?? NO_USAGE, usage ?? NO_USAGE);
    expect(sum.reasoningTokens).toBe(80);
    expect(restoreUsage(JSON.parse(JSON.stringify(sum))).reasoningTokens).toBe(80);
  });
});

describe('a usage object', () => {
  it.each<[string, unknown, Counts | null]>([
    [
      'OpenAI, reasoning inside the completion',
      {
        prompt_tokens: 100,
        completion_tokens: 50,
        total_tokens: 150,
        prompt_tokens_details: { cached_tokens: 64 },
        completion_tokens_details: { reasoning_tokens: 40 },
      },
      { prompt: 100, completion: 50, cached: 64 },
    ],
    [
      'xAI, reasoning beside the completion',
      {
        prompt_tokens: 12,
        completion_tokens: 1,
        total_tokens: 241,
        prompt_tokens_details: { cached_tokens: 2 },
        completion_tokens_details: { reasoning_tokens: 228 },
        cost_in_usd_ticks: 1_176_500,
      },
      { prompt: 12, completion: 229, cached: 2, cost: 0.000_117_65 },
    ],
    [
      'reasoning beside the completion without a total',
      { prompt_tokens: 10, completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 300 } },
      { prompt: 10, completion: 305 },
    ],
    [
      'Gemini, thoughts only in the total',
      { prompt_tokens: 10, completion_tokens: 20, total_tokens: 530 },
      { prompt: 10, completion: 520 },
    ],
    [
      'DeepSeek',
      {
        prompt_tokens: 100,
        completion_tokens: 20,
        total_tokens: 120,
        prompt_cache_hit_tokens: 90,
        prompt_cache_miss_tokens: 10,
      },
      { prompt: 100, completion: 20, cached: 90 },
    ],
    [
      'Moonshot',
      { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120, cached_tokens: 50 },
      { prompt: 100, completion: 20, cached: 50 },
    ],
    [
      'LiteLLM for Anthropic, the cache inside the prompt',
      {
        prompt_tokens: 1000,
        completion_tokens: 20,
        total_tokens: 1020,
        cache_read_input_tokens: 600,
        cache_creation_input_tokens: 300,
      },
      { prompt: 1000, completion: 20, cached: 600, written: 300 },
    ],
    [
      'a gateway for Anthropic, the cache beside the prompt but in the total',
      {
        prompt_tokens: 100,
        completion_tokens: 20,
        total_tokens: 1020,
        cache_read_input_tokens: 600,
        cache_creation_input_tokens: 300,
      },
      { prompt: 1000, completion: 20, cached: 600, written: 300 },
    ],
    [
      'Anthropic’s own names',
      {
        input_tokens: 700,
        output_tokens: 20,
        cache_read_input_tokens: 600,
        cache_creation_input_tokens: 0,
      },
      { prompt: 1300, completion: 20, cached: 600 },
    ],
    [
      'the Responses API’s names',
      {
        input_tokens: 700,
        output_tokens: 20,
        total_tokens: 720,
        input_tokens_details: { cached_tokens: 600 },
        output_tokens_details: { reasoning_tokens: 10 },
      },
      { prompt: 700, completion: 20, cached: 600 },
    ],
    [
      'OpenRouter',
      {
        prompt_tokens: 194,
        completion_tokens: 2,
        total_tokens: 196,
        cost: 0.95,
        cost_details: { upstream_inference_cost: 0.9 },
      },
      { prompt: 194, completion: 2, cost: 0.95 },
    ],
    [
      'OpenRouter with a key of one’s own',
      {
        prompt_tokens: 194,
        completion_tokens: 2,
        total_tokens: 196,
        cost: 0.25,
        is_byok: true,
        cost_details: { upstream_inference_cost: 0.5 },
      },
      { prompt: 194, completion: 2, cost: 0.75 },
    ],
    [
      'a free model’s cost of 0',
      { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11, cost: 0 },
      { prompt: 9, completion: 2, cost: 0 },
    ],
    [
      'Perplexity',
      {
        prompt_tokens: 9,
        completion_tokens: 2,
        total_tokens: 11,
        cost: { input_tokens_cost: 0.001, output_tokens_cost: 0.002, request_cost: 0.005, total_cost: 0.008 },
      },
      { prompt: 9, completion: 2, cost: 0.008 },
    ],
    [
      'DeepInfra',
      { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11, estimated_cost: 0.000_02 },
      { prompt: 9, completion: 2, cost: 0.000_02 },
    ],
    [
      'numbers as text',
      { prompt_tokens: '9', completion_tokens: '2', total_tokens: '11', cost: '1.5e-3' },
      { prompt: 9, completion: 2, cost: 0.0015 },
    ],
    [
      'a total below the sum',
      { prompt_tokens: 9, completion_tokens: 2, total_tokens: 3 },
      { prompt: 9, completion: 2 },
    ],
    [
      'no counts but nonsense',
      { prompt_tokens: -5, completion_tokens: 'many', total_tokens: 1e300, cost: -1 },
      null,
    ],
    [
      'an absurd cost',
      { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11, cost: 1e9 },
      { prompt: 9, completion: 2 },
    ],
    ['an empty object', {}, null],
    ['nothing', null, null],
    ['a list', [1, 2], null],
  ])('of %s', (_, usage, expected) => {
    expect(counts(readUsage(usage))).toEqual(expected);
  });

  it('gives bounded integers for anything a server sends', () => {
    const value = fc.anything({ maxDepth: 2 });
    const keys = [
      'prompt_tokens',
      'completion_tokens',
      'total_tokens',
      'cached_tokens',
      'cost',
      'prompt_tokens_details',
    ];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...keys), value), (usage) => {
        const read = readUsage(usage) ?? NO_USAGE;
        for (const number of [read.promptTokens, read.completionTokens, read.cachedTokens]) {
          expect(Number.isSafeInteger(number) && number >= 0 && number <= 4e8).toBe(true);
        }
        expect(read.stated?.cost ?? 0).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('counts reasoning that is sent as text next to other fields', () => {
    const usage = {
      prompt_tokens: 3,
      completion_tokens: 9,
      total_tokens: 12,
      completion_tokens_details: { reasoning_tokens: '7' },
    };
    expect(readUsage(usage)?.reasoningTokens).toBe(7);
  });

  it('is read alike with and without fields that say nothing', () => {
    const number = fc.oneof(fc.nat(3000), fc.constantFrom(-1, 1.5, 1e9, null, '7'));
    const usage = fc.record(
      {
        prompt_tokens: number,
        completion_tokens: number,
        total_tokens: number,
        prompt_tokens_details: fc.record(
          { cached_tokens: number, cache_write_tokens: number },
          { requiredKeys: [] },
        ),
        completion_tokens_details: fc.record({ reasoning_tokens: number }),
      },
      { requiredKeys: ['prompt_tokens', 'completion_tokens'] },
    );
    fc.assert(
      fc.property(usage, fc.boolean(), (one, isSum) => {
        const sum = Number(one.prompt_tokens) + Number(one.completion_tokens);
        const reported = isSum ? { ...one, total_tokens: sum } : one;
        expect(readUsage(reported)).toEqual(readUsage({ ...reported, note: 'nothing' }));
      }),
    );
  });

  it('is restored from what an earlier version wrote', () => {
    expect(restoreUsage({ promptTokens: 5, completionTokens: 7, cachedTokens: 1 })).toEqual({
      ...NO_USAGE,
      promptTokens: 5,
      completionTokens: 7,
      cachedTokens: 1,
    });
    expect(restoreUsage(undefined)).toEqual(NO_USAGE);
    const sum = addUsage(
      readUsage({ prompt_tokens: 1, completion_tokens: 2, cost: 0.5 }) ?? NO_USAGE,
      NO_USAGE,
    );
    expect(restoreUsage(JSON.parse(JSON.stringify(sum)))).toEqual(sum);
  });
});

describe('an answer without usage', () => {
  const request = Buffer.from(
    JSON.stringify({ messages: [{ role: 'user', content: 'Name three primary colours.' }] }),
  );
  const answer = (message: object, more: object = {}): Buffer =>
    Buffer.from(JSON.stringify({ choices: [{ message }], ...more }));

  it('is counted from the texts of all choices, including reasoning and tool calls', () => {
    const plain = usageOfAnswer(null, request, answer({ content: 'Red, yellow and blue.' }));
    expect(plain).toMatchObject({ promptTokens: 9, completionTokens: 6, stated: null, estimated: 1 });
    const thinking = usageOfAnswer(
      null,
      request,
      answer({
        content: 'Red.',
        reasoning: 'They want colours.',
        reasoning_details: [{ text: 'They want colours.' }],
      }),
    );
    expect(thinking.completionTokens).toBe(6);
    const parts = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'They want colours.' }] },
      { type: 'text', text: 'Red.' },
    ];
    expect(usageOfAnswer(null, request, answer({ content: parts })).completionTokens).toBe(6);
    const calls = [{ function: { name: 'colours', arguments: '{"how_many":3}' } }];
    expect(
      usageOfAnswer(null, request, answer({ content: null, tool_calls: calls })).completionTokens,
    ).toBeGreaterThan(8);
    const two = Buffer.from(
      JSON.stringify({ choices: [{ message: { content: 'Red.' } }, { message: { content: 'Red.' } }] }),
    );
    expect(usageOfAnswer(null, request, two).completionTokens).toBe(4);
  });

  it('keeps what the server does report, a cost included', () => {
    const half = readUsage({ prompt_tokens: 40, completion_tokens: 0, cost: 0.25 });
    expect(fullyReported(half)).toBeNull();
    const usage = usageOfAnswer(half, request, answer({ content: 'Red.' }));
    expect(usage).toMatchObject({
      promptTokens: 40,
      completionTokens: 2,
      estimated: 1,
      stated: { cost: 0.25 },
    });
  });

  it('of a text is counted near what a tokenizer finds', async () => {
    const { encode } = await import('gpt-tokenizer/encoding/o200k_base');
    const texts = [
      'All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience.',
      'def mean(values: list[float]) -> float:\n    if not values:\n        raise ValueError("empty")\n    return sum(values) / len(values)\n',
      'Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt.',
      '人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。',
      'Все люди рождаются свободными и равными в своем достоинстве и правах.',
      '| year | sum |\n|------|------:|\n| 1999 | 12,345.67 |\n| 2000 | 23,456.78 |',
      'x '.repeat(500),
    ];
    for (const text of texts) {
      const ratio = estimateTokens(text) / encode(text).length;
      expect(ratio, text).toBeGreaterThan(0.7);
      expect(ratio, text).toBeLessThan(1.4);
    }
    expect(estimateTokens('')).toBe(0);
  });
});

describe('what was used cost', () => {
  const price: Rates = { input: 1e-6, cachedInput: 1e-7, cacheWriteInput: 1.25e-6, output: 1e-5 };
  const used = (usage: object): Usage => readUsage(usage) ?? NO_USAGE;

  it('by the table, cache reads and writes at their own price', () => {
    const usage = used({
      prompt_tokens: 1000,
      completion_tokens: 100,
      total_tokens: 1100,
      cache_read_input_tokens: 600,
      cache_creation_input_tokens: 300,
    });
    expect(costOf(usage, price)).toBeCloseTo(100e-6 + 60e-6 + 375e-6 + 1000e-6, 12);
  });

  it('as the answers state it, and by the table for the others', () => {
    const stated = used({ prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100, cost: 0.5 });
    const plain = used({ prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 });
    expect(totalCost(addUsage(stated, plain), price)).toEqual({ amount: 0.5 + 0.002, isEstimate: false });
    expect(totalCost(addUsage(stated, stated), null)).toEqual({ amount: 1, isEstimate: false });
    // The same for tokens of unknown price.
    expect(totalCost(addUsage(stated, plain), null)).toEqual({ amount: 1, isEstimate: true });
    expect(totalCost(plain, null)).toBeNull();
    const half = [{ usage: addUsage(stated, plain), share: 0.5 }];
    expect(totalCost(addUsage(stated, plain), price, half)?.amount).toBeCloseTo(0.501, 12);
  });

  it('by the service tier that answered, where its price is known', () => {
    const plain = used({ prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100 });
    const both = addUsage(plain, plain);
    expect(totalCost(both, price, [{ usage: plain, share: 2.5 }])?.amount).toBeCloseTo(0.007, 12);
    expect(totalCost(both, price, [{ usage: plain, share: null }])).toBeNull();
    expect(totalCost(both, price, [{ usage: NO_USAGE, share: null }])?.amount).toBeCloseTo(0.004, 12);
    const batch = { batchShare: 0.5, highestBatchShare: 0.5, offPeak: null };
    const tiers = tierShares('openai', 'gpt-5.5');
    expect(highestRates({ ...price, ...batch, tiers }, 'priority')?.output).toBeCloseTo(2.5e-5, 12);
    // Where there is no capacity, the ordinary tier may answer.
    expect(highestRates({ ...price, ...batch, tiers }, 'flex')?.output).toBe(1e-5);
    expect(highestRates({ ...price, ...batch, tiers: { flex: 0.5, priority: null } }, 'priority')).toBeNull();
  });

  it.each([
    ['openai', 'gpt-5.5-2026-04-23', { flex: 0.5, priority: 2.5 }],
    ['openai', 'gpt-5.4-mini', { flex: 0.5, priority: 2 }],
    ['openai', 'gpt-5-mini', { flex: 0.5, priority: 1.8 }],
    ['openai', 'gpt-5-nano', { flex: 0.5, priority: null }],
    ['openai', 'gpt-5-pro', { flex: 0.5, priority: null }],
    ['openai', 'gpt-4o', { flex: 0.5, priority: 1.7 }],
    ['openai', 'o3-pro', { flex: 0.5, priority: null }],
    ['azure', 'gpt-4o', { flex: 0.5, priority: null }],
    ['groq', 'openai/gpt-oss-120b', { flex: 1, priority: null }],
    [null, 'x', { flex: 1, priority: null }],
  ])('%s %s: tiers', (provider, model, shares) => {
    expect(tierShares(provider, model)).toEqual(shares);
  });
});
