/**
 * The OpenAI-compatible providers that `PROVIDER/MODEL` reaches. A new provider is one entry here.
 * Base URLs are those of each provider's own documentation on OpenAI compatibility.
 */

import { BATCH_TERMS, type BatchTerms } from './batch-terms.js';
import {
  anthropicEffort,
  deepseekEffort,
  groqEffort,
  openrouterEffort,
  plainEffort,
  togetherEffort,
  vllmEffort,
  type EffortSpelling,
} from './reasoning-effort.js';

export interface Provider {
  /** The title for people. */
  title: string;
  baseUrl: string;
  /** The environment variable that replaces `baseUrl`. */
  baseUrlVariable: string | null;
  /** The environment variable that holds the key; null where the server needs none. */
  apiKeyVariable: string | null;
  /** True where answers are asked for as a stream, because the provider serves long answers only that way. */
  streamed: boolean;
  /** What its batches cost and hold; null where it has none, or none that is known. */
  batches: BatchTerms | null;
  /** True where a request without messages is refused for free, by an answer that tells the account's limits. */
  tellsLimitsForFree: boolean;
  /** The provider's name in the price table; null where what a request costs is not known. */
  priceId: string | null;
  /** True where the provider's documentation lists `seed` (or what `renames` makes of it): then it is sent by default. */
  takesSeed: boolean;
  /** Generation parameters that go by another name here. */
  renames: Readonly<Record<string, string>>;
  /** How the provider is told how much to think. */
  effort: EffortSpelling;
  /** True where answers state what they cost. */
  statesCost: boolean;
}

function provider(
  title: string,
  baseUrl: string,
  apiKeyVariable: string | null,
  more: Partial<Provider> = {},
): Provider {
  const usual = {
    baseUrlVariable: null,
    streamed: false,
    batches: null,
    tellsLimitsForFree: false,
    priceId: null,
    takesSeed: false,
    renames: {},
    effort: plainEffort,
    statesCost: false,
  };
  return { ...usual, title, baseUrl, apiKeyVariable, ...more };
}

export const PROVIDERS = {
  openai: provider('OpenAI', 'https://api.openai.com/v1', 'OPENAI_API_KEY', {
    baseUrlVariable: 'OPENAI_BASE_URL',
    batches: BATCH_TERMS.openai,
    tellsLimitsForFree: true,
    priceId: 'openai',
    // platform.openai.com/docs/api-reference/chat/create
    takesSeed: true,
  }),
  sambanova: provider('SambaNova', 'https://api.sambanova.ai/v1', 'SAMBANOVA_API_KEY', {
    baseUrlVariable: 'SAMBANOVA_BASE_URL',
    effort: vllmEffort,
    streamed: true,
  }),
  openrouter: provider('OpenRouter', 'https://openrouter.ai/api/v1', 'OPENROUTER_API_KEY', {
    batches: BATCH_TERMS.openrouter,
    effort: openrouterEffort,
    priceId: 'openrouter',
    // openrouter.ai/docs/api-reference/parameters; it is not passed on to models without one
    takesSeed: true,
    statesCost: true,
  }),
  together: provider('Together', 'https://api.together.xyz/v1', 'TOGETHER_API_KEY', {
    batches: BATCH_TERMS.together,
    effort: togetherEffort,
    priceId: 'together',
    // docs.together.ai/reference/chat-completions-1
    takesSeed: true,
  }),
  groq: provider('Groq', 'https://api.groq.com/openai/v1', 'GROQ_API_KEY', {
    batches: BATCH_TERMS.groq,
    effort: groqEffort,
    priceId: 'groq',
    // console.groq.com/docs/api-reference
    takesSeed: true,
  }),
  deepseek: provider('DeepSeek', 'https://api.deepseek.com/v1', 'DEEPSEEK_API_KEY', {
    effort: deepseekEffort,
    priceId: 'deepseek',
  }),
  mistral: provider('Mistral', 'https://api.mistral.ai/v1', 'MISTRAL_API_KEY', {
    batches: BATCH_TERMS.mistral,
    priceId: 'mistral',
    // docs.mistral.ai/api: `random_seed`
    takesSeed: true,
    renames: { seed: 'random_seed' },
  }),
  fireworks: provider('Fireworks', 'https://api.fireworks.ai/inference/v1', 'FIREWORKS_API_KEY', {
    batches: BATCH_TERMS.fireworks,
    priceId: 'fireworks',
  }),
  xai: provider('xAI', 'https://api.x.ai/v1', 'XAI_API_KEY', {
    batches: BATCH_TERMS.xai,
    priceId: 'x-ai',
    statesCost: true,
  }),
  azure: provider('Azure OpenAI', 'https://RESOURCE.openai.azure.com/openai/v1', 'AZURE_API_KEY', {
    baseUrlVariable: 'AZURE_BASE_URL',
    batches: BATCH_TERMS.azure,
    priceId: 'azure',
    // learn.microsoft.com/azure/ai-foundry/openai/reference
    takesSeed: true,
  }),
  novita: provider('Novita', 'https://api.novita.ai/openai/v1', 'NOVITA_API_KEY', {
    batches: BATCH_TERMS.novita,
    priceId: 'novita',
  }),
  parasail: provider('Parasail', 'https://api.parasail.io/v1', 'PARASAIL_API_KEY', {
    batches: BATCH_TERMS.parasail,
  }),
  doubleword: provider('Doubleword', 'https://api.doubleword.ai/v1', 'DOUBLEWORD_API_KEY', {
    batches: BATCH_TERMS.doubleword,
  }),
  gemini: provider('Gemini', 'https://generativelanguage.googleapis.com/v1beta/openai', 'GEMINI_API_KEY', {
    batches: BATCH_TERMS.gemini,
    priceId: 'google',
  }),
  anthropic: provider('Anthropic', 'https://api.anthropic.com/v1', 'ANTHROPIC_API_KEY', {
    batches: BATCH_TERMS.anthropic,
    effort: anthropicEffort,
    priceId: 'anthropic',
  }),
  ollama: provider('Ollama', 'http://localhost:11434/v1', null, {
    // ollama/ollama:docs/openai.md
    takesSeed: true,
  }),
  vllm: provider('vLLM', 'http://localhost:8000/v1', null, {
    // docs.vllm.ai: OpenAI-compatible server
    effort: vllmEffort,
    takesSeed: true,
  }),
  lmstudio: provider('LM Studio', 'http://localhost:1234/v1', null, {
    // lmstudio.ai/docs: OpenAI compatibility endpoints
    takesSeed: true,
  }),
} satisfies Record<string, Provider>;

export type ProviderName = keyof typeof PROVIDERS;

export function isProviderName(name: string): name is ProviderName {
  return Object.hasOwn(PROVIDERS, name);
}
