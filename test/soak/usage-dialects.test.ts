import { it, vi } from 'vitest';
import { foldersIn, pointingAt, resultsIn, runCli, temporaryFolder } from '../support/cli.js';
import { alpacaRows, writeJson } from '../support/data.js';
import { completion, scriptedApi } from '../support/scripted-api.js';
import { generator } from '../support/server-model.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = 30;
const MOST_TOKENS = 300;
/** US dollars a token of gpt-4o-mini: https://openai.com/api/pricing. */
const PRICE = { prompt: 0.15e-6, cached: 0.075e-6, completion: 0.6e-6 };

/** What an answer used, as the server's ledger has it. */
interface Truth {
  prompt: number;
  /** Of the prompt. */
  cached: number;
  completion: number;
  /** Of the completion; at least 1. */
  reasoning: number;
  cost: number;
}

/** What the same use looks like in one server's answers. */
const DIALECTS: Readonly<Record<string, (truth: Truth) => Record<string, unknown>>> = {
  OpenAI: ({ prompt, cached, completion: all, reasoning }) => ({
    ...plain(prompt, all),
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  }),
  'xAI: reasoning beside the completion, cost in ticks': ({
    prompt,
    cached,
    completion: all,
    reasoning,
    cost,
  }) => ({
    prompt_tokens: prompt,
    completion_tokens: all - reasoning,
    total_tokens: prompt + all,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
    cost_in_usd_ticks: Math.round(cost * 1e10),
  }),
  'Gemini: thoughts in the total alone': ({ prompt, completion: all, reasoning }) => ({
    prompt_tokens: prompt,
    completion_tokens: all - reasoning,
    total_tokens: prompt + all,
  }),
  DeepSeek: ({ prompt, cached, completion: all }) => ({
    ...plain(prompt, all),
    prompt_cache_hit_tokens: cached,
    prompt_cache_miss_tokens: prompt - cached,
  }),
  Moonshot: ({ prompt, cached, completion: all }) => ({ ...plain(prompt, all), cached_tokens: cached }),
  'Anthropic: the cache beside the prompt': ({ prompt, cached, completion: all }) => ({
    input_tokens: prompt - cached,
    output_tokens: all,
    cache_read_input_tokens: cached,
    cache_creation_input_tokens: 0,
  }),
  'the Responses API': ({ prompt, cached, completion: all, reasoning }) => ({
    input_tokens: prompt,
    output_tokens: all,
    total_tokens: prompt + all,
    input_tokens_details: { cached_tokens: cached },
    output_tokens_details: { reasoning_tokens: reasoning },
  }),
  OpenRouter: ({ prompt, completion: all, cost }) => ({ ...plain(prompt, all), cost }),
  Perplexity: ({ prompt, completion: all, cost }) => ({
    ...plain(prompt, all),
    cost: { request_cost: cost / 2, total_cost: cost },
  }),
  DeepInfra: ({ prompt, completion: all, cost }) => ({ ...plain(prompt, all), estimated_cost: cost }),
  'numbers as text': ({ prompt, completion: all }) => ({
    prompt_tokens: String(prompt),
    completion_tokens: String(all),
    total_tokens: String(prompt + all),
  }),
};

/** Dialects that say nothing of the cache, so that the table's full price is charged. */
const WITHOUT_CACHE = ['Gemini: thoughts in the total alone', 'numbers as text'];
/** Dialects that state a cost, which counts in place of the table's. */
const STATED = [
  'xAI: reasoning beside the completion, cost in ticks',
  'OpenRouter',
  'Perplexity',
  'DeepInfra',
];

function plain(prompt: number, all: number): Record<string, unknown> {
  return { prompt_tokens: prompt, completion_tokens: all, total_tokens: prompt + all };
}

/** Use of an answer that stays below what the request reserved. */
function truthOf(random: () => number, prompt: string, dialect: string): Truth {
  const tokens = Math.max(2, Math.floor(prompt.length / 5));
  const cached = WITHOUT_CACHE.includes(dialect) ? 0 : Math.floor(random() * tokens);
  const all = 2 + Math.floor(random() * (MOST_TOKENS - 2));
  const byTable = (tokens - cached) * PRICE.prompt + cached * PRICE.cached + all * PRICE.completion;
  const cost = STATED.includes(dialect) ? Number((byTable * random()).toFixed(10)) : byTable;
  return { prompt: tokens, cached, completion: all, reasoning: 1 + Math.floor(random() * (all - 1)), cost };
}

it('agrees with the server’s ledger on tokens and money, and stays below --max_cost', async () => {
  const tally = new Tally('usage: dialects against the server’s own ledger, with --max_cost');
  const names = Object.keys(DIALECTS);
  const data = writeJson(temporaryFolder(), 'data.json', alpacaRows(ROWS));
  const seeds = Array.from({ length: cases(1, 120) }, (_, number) => number + 1);
  await tally.play(seeds, String, async (seed): Promise<Outcome> => {
    const random = generator(seed);
    const spoken = Array.from(
      { length: 1 + Math.floor(random() * 4) },
      () => names[Math.floor(random() * names.length)],
    );
    const ledger: Truth[] = [];
    const api = await scriptedApi(({ prompt }, number) => {
      const dialect = spoken[number % spoken.length] ?? '';
      const truth = truthOf(random, prompt, dialect);
      ledger.push(truth);
      return { body: { ...completion(`answer to ${prompt}`), usage: DIALECTS[dialect]?.(truth) } };
    });
    const folder = temporaryFolder();
    const args = ['--annotator', 'gpt-4o-mini', '--dataset', data, '--max_tokens', String(MOST_TOKENS)];
    args.push('--max_concurrency', '4', ...foldersIn(folder));
    const maximum = 0.001 + random() * 0.002;
    const bounded = await runCli([...args, '--max_cost', maximum.toFixed(6)], { env: pointingAt(api) });
    if (![0, 3].includes(bounded.code ?? -1)) throw new Error(bounded.stderr);
    const spent = sumOf(ledger, 'cost');
    if (spent > maximum) return { problem: `$${spent} spent of $${maximum} (${spoken.join(', ')})` };
    const run = await runCli([...args, '--resume'], { env: pointingAt(api) });
    if (run.code !== 0) throw new Error(run.stderr);
    const { tokens, cost_usd: cost } = resultsIn(folder).summary();
    const differs =
      tokens['prompt'] !== sumOf(ledger, 'prompt') ||
      tokens['completion'] !== sumOf(ledger, 'completion') ||
      Math.abs((cost ?? 0) - sumOf(ledger, 'cost')) > 1e-6;
    const answered = resultsIn(folder)
      .rows()
      .filter(({ annotation }) => annotation !== null).length;
    return {
      lost: ROWS - answered,
      paidTwice: ledger.length - ROWS,
      problem: differs
        ? `${JSON.stringify(tokens)}, $${cost ?? 'unknown'} in place of ${sumOf(ledger, 'prompt')}, ` +
          `${sumOf(ledger, 'completion')}, $${sumOf(ledger, 'cost')} (${spoken.join(', ')})`
        : null,
    };
  });
  tally.expectAll();
});

function sumOf(ledger: readonly Truth[], name: keyof Truth): number {
  return ledger.reduce((sum, truth) => sum + truth[name], 0);
}
