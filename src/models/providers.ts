/**
 * The OpenAI-compatible providers that `PROVIDER/MODEL` reaches. A new provider is one entry here.
 * Base URLs and quirks are those of the documentation that an entry names as `docs`.
 */

import { BATCH_TERMS, type BatchTerms } from './batch-terms.js';
import type { ApiAddress } from '../http/address.js';
import { azureAddress } from './azure.js';
import {
  anthropicEffort,
  dashscopeEffort,
  deepseekEffort,
  groqEffort,
  moonshotEffort,
  openrouterEffort,
  plainEffort,
  thinkingSwitch,
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
  /** The environment variable that holds the key. */
  apiKeyVariable: string;
  /** True for servers of one's own, which need a key only if they were started with one. */
  keyIsOptional: boolean;
  /** True where answers are asked for as a stream, because the provider serves long answers only that way. */
  streamed: boolean;
  /** What its batches cost and hold; null where it has none, or none that is known. */
  batches: BatchTerms | null;
  /** True where a request without messages is refused for free, by an answer that states the account's limits. */
  tellsLimitsForFree: boolean;
  /** The provider's name in the price table; null where what a request costs is not known. */
  priceId: string | null;
  /** True where the provider's documentation lists `seed` (or what `renames` makes of it): then it is sent by default. */
  takesSeed: boolean;
  /** Generation parameters that its documentation says are refused or ignored. */
  lacks: readonly string[];
  /** Generation parameters that go by another name here. */
  renames: Readonly<Record<string, string>>;
  /**
   * True where its documentation says that a request brings one answer, because `n` is refused or ignored: then each
   * answer of `--n` is requested on its own. Where nothing is known, that is found out (`session/row-jobs.ts`).
   */
  oneAnswer: boolean;
  /** How a request states how much the model is to think. */
  effort: EffortSpelling;
  /** True where answers state what they cost. */
  statesCost: boolean;
  /** The documentation of its compatible endpoint. */
  docs: string;
  /** Completes an address that people know; absent where it is complete as it is. */
  addressOf?: AddressCompletion;
}

/** @param given an address, as `--base_url` or a variable names it */
export type AddressCompletion = (given: string, model: string, variables: NodeJS.ProcessEnv) => ApiAddress;

type ProviderEntry = Pick<Provider, 'title' | 'baseUrl' | 'apiKeyVariable' | 'docs'> & Partial<Provider>;

/** A provider, with the defaults for what its entry leaves out. */
function provider(entry: ProviderEntry): Provider {
  const usual = {
    baseUrlVariable: null,
    keyIsOptional: false,
    streamed: false,
    batches: null,
    tellsLimitsForFree: false,
    priceId: null,
    takesSeed: false,
    lacks: [],
    renames: {},
    oneAnswer: false,
    effort: plainEffort,
    statesCost: false,
  };
  return { ...usual, ...entry };
}

export const PROVIDERS = {
  openai: provider({
    title: 'OpenAI',
    baseUrl: 'https://api.openai.com/v1',
    apiKeyVariable: 'OPENAI_API_KEY',
    docs: 'https://platform.openai.com/docs/api-reference/chat/create',
    baseUrlVariable: 'OPENAI_BASE_URL',
    batches: BATCH_TERMS.openai,
    tellsLimitsForFree: true,
    priceId: 'openai',
    // platform.openai.com/docs/api-reference/chat/create
    takesSeed: true,
  }),
  sambanova: provider({
    title: 'SambaNova',
    baseUrl: 'https://api.sambanova.ai/v1',
    apiKeyVariable: 'SAMBANOVA_API_KEY',
    docs: 'https://docs.sambanova.ai/docs/en/features/openai-compatibility',
    baseUrlVariable: 'SAMBANOVA_BASE_URL',
    // docs.sambanova.ai: `n` is among the parameters that are ignored
    oneAnswer: true,
    effort: vllmEffort,
    streamed: true,
  }),
  openrouter: provider({
    title: 'OpenRouter',
    baseUrl: 'https://openrouter.ai/api/v1',
    apiKeyVariable: 'OPENROUTER_API_KEY',
    docs: 'https://openrouter.ai/docs/api-reference/parameters',
    batches: BATCH_TERMS.openrouter,
    effort: openrouterEffort,
    priceId: 'openrouter',
    // openrouter.ai/docs/api-reference/parameters; it is not passed on to models without one
    takesSeed: true,
    statesCost: true,
  }),
  together: provider({
    title: 'Together',
    baseUrl: 'https://api.together.xyz/v1',
    apiKeyVariable: 'TOGETHER_API_KEY',
    docs: 'https://docs.together.ai/docs/openai-api-compatibility',
    batches: BATCH_TERMS.together,
    effort: togetherEffort,
    priceId: 'together',
    // docs.together.ai/reference/chat-completions-1
    takesSeed: true,
  }),
  groq: provider({
    title: 'Groq',
    baseUrl: 'https://api.groq.com/openai/v1',
    apiKeyVariable: 'GROQ_API_KEY',
    docs: 'https://console.groq.com/docs/openai',
    batches: BATCH_TERMS.groq,
    effort: groqEffort,
    // each of them is refused
    lacks: ['logprobs', 'logit_bias', 'top_logprobs'],
    // console.groq.com/docs/openai: “if n is supplied, it must be equal to 1”
    oneAnswer: true,
    priceId: 'groq',
    // console.groq.com/docs/api-reference
    takesSeed: true,
  }),
  deepseek: provider({
    title: 'DeepSeek',
    baseUrl: 'https://api.deepseek.com/v1',
    apiKeyVariable: 'DEEPSEEK_API_KEY',
    docs: 'https://api-docs.deepseek.com/api/create-chat-completion',
    effort: deepseekEffort,
    // it has no parameter `n`
    oneAnswer: true,
    priceId: 'deepseek',
  }),
  mistral: provider({
    title: 'Mistral',
    baseUrl: 'https://api.mistral.ai/v1',
    apiKeyVariable: 'MISTRAL_API_KEY',
    docs: 'https://docs.mistral.ai/api',
    batches: BATCH_TERMS.mistral,
    priceId: 'mistral',
    // docs.mistral.ai/api: `random_seed`
    takesSeed: true,
    renames: { seed: 'random_seed' },
  }),
  fireworks: provider({
    title: 'Fireworks',
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    apiKeyVariable: 'FIREWORKS_API_KEY',
    docs: 'https://docs.fireworks.ai/tools-sdks/openai-compatibility',
    batches: BATCH_TERMS.fireworks,
    priceId: 'fireworks',
  }),
  xai: provider({
    title: 'xAI',
    baseUrl: 'https://api.x.ai/v1',
    apiKeyVariable: 'XAI_API_KEY',
    docs: 'https://docs.x.ai/docs/api-reference',
    batches: BATCH_TERMS.xai,
    priceId: 'x-ai',
    statesCost: true,
  }),
  azure: provider({
    title: 'Azure OpenAI',
    baseUrl: 'https://RESOURCE.openai.azure.com/openai/v1',
    apiKeyVariable: 'AZURE_API_KEY',
    docs: 'https://learn.microsoft.com/azure/ai-foundry/openai/reference',
    baseUrlVariable: 'AZURE_BASE_URL',
    batches: BATCH_TERMS.azure,
    priceId: 'azure',
    takesSeed: true,
    addressOf: azureAddress,
  }),
  novita: provider({
    title: 'Novita',
    baseUrl: 'https://api.novita.ai/openai/v1',
    apiKeyVariable: 'NOVITA_API_KEY',
    docs: 'https://novita.ai/docs/guides/llm-api',
    batches: BATCH_TERMS.novita,
    priceId: 'novita',
    takesSeed: true,
  }),
  parasail: provider({
    title: 'Parasail',
    baseUrl: 'https://api.parasail.io/v1',
    apiKeyVariable: 'PARASAIL_API_KEY',
    docs: 'https://docs.parasail.io/parasail-docs',
    batches: BATCH_TERMS.parasail,
  }),
  doubleword: provider({
    title: 'Doubleword',
    baseUrl: 'https://api.doubleword.ai/v1',
    apiKeyVariable: 'DOUBLEWORD_API_KEY',
    docs: 'https://docs.doubleword.ai',
    batches: BATCH_TERMS.doubleword,
  }),
  gemini: provider({
    title: 'Gemini',
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
    apiKeyVariable: 'GEMINI_API_KEY',
    docs: 'https://ai.google.dev/gemini-api/docs/openai',
    batches: BATCH_TERMS.gemini,
    priceId: 'google',
  }),
  anthropic: provider({
    title: 'Anthropic',
    baseUrl: 'https://api.anthropic.com/v1',
    apiKeyVariable: 'ANTHROPIC_API_KEY',
    docs: 'https://docs.anthropic.com/en/api/openai-sdk',
    batches: BATCH_TERMS.anthropic,
    effort: anthropicEffort,
    // “n: must be exactly 1”
    oneAnswer: true,
    // ignored
    lacks: [
      'seed',
      'frequency_penalty',
      'presence_penalty',
      'logit_bias',
      'logprobs',
      'top_logprobs',
      'response_format',
    ],
    priceId: 'anthropic',
  }),
  ollama: provider({
    title: 'Ollama',
    baseUrl: 'http://localhost:11434/v1',
    apiKeyVariable: 'OLLAMA_API_KEY',
    keyIsOptional: true,
    docs: 'https://github.com/ollama/ollama/blob/main/docs/openai.md',
    // `n`, `logit_bias` and log probabilities are unchecked boxes there
    lacks: ['logit_bias'],
    oneAnswer: true,
    takesSeed: true,
  }),
  vllm: provider({
    title: 'vLLM',
    baseUrl: 'http://localhost:8000/v1',
    apiKeyVariable: 'VLLM_API_KEY',
    keyIsOptional: true,
    docs: 'https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html',
    // docs.vllm.ai: OpenAI-compatible server
    effort: vllmEffort,
    takesSeed: true,
  }),
  lmstudio: provider({
    title: 'LM Studio',
    baseUrl: 'http://localhost:1234/v1',
    apiKeyVariable: 'LMSTUDIO_API_KEY',
    keyIsOptional: true,
    docs: 'https://lmstudio.ai/docs/app/api/endpoints/openai',
    // lmstudio.ai/docs: OpenAI compatibility endpoints; `n` is not among the supported parameters
    takesSeed: true,
    oneAnswer: true,
  }),
  cerebras: provider({
    title: 'Cerebras',
    baseUrl: 'https://api.cerebras.ai/v1',
    apiKeyVariable: 'CEREBRAS_API_KEY',
    docs: 'https://inference-docs.cerebras.ai/resources/openai',
    priceId: 'cerebras',
    takesSeed: true,
    // a 400 for each
    lacks: ['frequency_penalty', 'presence_penalty', 'logit_bias'],
  }),
  nebius: provider({
    title: 'Nebius Token Factory',
    baseUrl: 'https://api.tokenfactory.nebius.com/v1',
    apiKeyVariable: 'NEBIUS_API_KEY',
    docs: 'https://docs.tokenfactory.nebius.com/api-reference/introduction',
  }),
  deepinfra: provider({
    title: 'DeepInfra',
    baseUrl: 'https://api.deepinfra.com/v1/openai',
    apiKeyVariable: 'DEEPINFRA_API_KEY',
    docs: 'https://deepinfra.com/docs/openai_api',
    statesCost: true,
  }),
  hyperbolic: provider({
    title: 'Hyperbolic',
    baseUrl: 'https://api.hyperbolic.xyz/v1',
    apiKeyVariable: 'HYPERBOLIC_API_KEY',
    docs: 'https://docs.hyperbolic.xyz/docs/rest-api',
  }),
  perplexity: provider({
    title: 'Perplexity',
    baseUrl: 'https://api.perplexity.ai',
    apiKeyVariable: 'PERPLEXITY_API_KEY',
    docs: 'https://docs.perplexity.ai/guides/chat-completions-guide',
    priceId: 'perplexity',
    lacks: ['seed', 'stop', 'logit_bias', 'logprobs', 'top_logprobs'],
    // it has no parameter `n`
    oneAnswer: true,
    statesCost: true,
  }),
  moonshot: provider({
    title: 'Moonshot',
    baseUrl: 'https://api.moonshot.ai/v1',
    apiKeyVariable: 'MOONSHOT_API_KEY',
    docs: 'https://platform.moonshot.ai/docs/api/chat',
    priceId: 'moonshotai',
    effort: moonshotEffort,
    lacks: ['seed', 'logit_bias', 'logprobs', 'top_logprobs'],
  }),
  zai: provider({
    title: 'Z.ai',
    baseUrl: 'https://api.z.ai/api/paas/v4',
    apiKeyVariable: 'ZAI_API_KEY',
    docs: 'https://docs.z.ai/api-reference/llm/chat-completion',
    effort: thinkingSwitch,
    // it has no parameter `n`
    oneAnswer: true,
    lacks: ['seed', 'frequency_penalty', 'presence_penalty', 'logit_bias', 'logprobs', 'top_logprobs'],
  }),
  dashscope: provider({
    title: 'DashScope',
    // mainland China has https://dashscope.aliyuncs.com/compatible-mode/v1, and keys of its own
    baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
    apiKeyVariable: 'DASHSCOPE_API_KEY',
    docs: 'https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope',
    baseUrlVariable: 'DASHSCOPE_BASE_URL',
    effort: dashscopeEffort,
    takesSeed: true,
    lacks: ['frequency_penalty', 'logit_bias'],
  }),
  huggingface: provider({
    title: 'Hugging Face',
    baseUrl: 'https://router.huggingface.co/v1',
    apiKeyVariable: 'HF_TOKEN',
    docs: 'https://huggingface.co/docs/inference-providers/index',
  }),
  github: provider({
    title: 'GitHub Models',
    baseUrl: 'https://models.github.ai/inference',
    apiKeyVariable: 'GITHUB_TOKEN',
    docs: 'https://docs.github.com/en/rest/models/inference',
    takesSeed: true,
  }),
  sglang: provider({
    title: 'SGLang',
    baseUrl: 'http://localhost:30000/v1',
    apiKeyVariable: 'SGLANG_API_KEY',
    keyIsOptional: true,
    docs: 'https://docs.sglang.ai/basic_usage/openai_api.html',
    effort: vllmEffort,
    takesSeed: true,
  }),
  llamacpp: provider({
    title: 'llama.cpp',
    baseUrl: 'http://localhost:8080/v1',
    apiKeyVariable: 'LLAMACPP_API_KEY',
    keyIsOptional: true,
    docs: 'https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md',
    effort: vllmEffort,
    takesSeed: true,
  }),
  tgi: provider({
    title: 'Text Generation Inference',
    baseUrl: 'http://localhost:8080/v1',
    apiKeyVariable: 'TGI_API_KEY',
    keyIsOptional: true,
    docs: 'https://huggingface.co/docs/text-generation-inference/reference/api_reference',
    takesSeed: true,
    // `n` and `logit_bias` are marked as unused
    lacks: ['logit_bias'],
    oneAnswer: true,
  }),
} satisfies Record<string, Provider>;

export type ProviderName = keyof typeof PROVIDERS;

export function isProviderName(name: string): name is ProviderName {
  return Object.hasOwn(PROVIDERS, name);
}
