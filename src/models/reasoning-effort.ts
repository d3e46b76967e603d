/** How each provider spells "think this much", for `--reasoning_effort`. */

export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof EFFORTS)[number];

/** What else of a request decides the spelling. */
export interface EffortContext {
  /** The model's name at the provider. */
  model: string;
  /** Tokens of the answer, reasoning included; null for no limit. */
  maxTokens: number | null;
}

/** The fields of a request that ask for an effort; `none` switches thinking off where the provider has that. */
export type EffortSpelling = (effort: Effort, context: EffortContext) => Record<string, unknown>;

/**
 * `reasoning_effort`, as OpenAI has it, `none` included (platform.openai.com/docs/guides/reasoning). So do Gemini
 * (ai.google.dev/gemini-api/docs/openai), xAI (docs.x.ai/docs/guides/reasoning), Fireworks (docs.fireworks.ai), Mistral
 * (docs.mistral.ai/capabilities/reasoning) and Ollama (ollama/ollama:docs/openai.md).
 */
export const plainEffort: EffortSpelling = (effort) => ({ reasoning_effort: effort });

/** openrouter.ai/docs/use-cases/reasoning-tokens */
export const openrouterEffort: EffortSpelling = (effort) => ({ reasoning: { effort } });

/** api-docs.deepseek.com/guides/thinking_mode */
export const deepseekEffort: EffortSpelling = (effort) =>
  effort === 'none'
    ? { thinking: { type: 'disabled' } }
    : { thinking: { type: 'enabled' }, reasoning_effort: effort };

/**
 * console.groq.com/docs/reasoning: gpt-oss takes levels; other models think or do not, and give their reasoning a field
 * of its own only with `parsed`.
 */
export const groqEffort: EffortSpelling = (effort, { model }) => {
  if (model.includes('gpt-oss')) return { reasoning_effort: effort };
  if (effort === 'none') return { reasoning_effort: 'none' };
  return { reasoning_effort: 'default', reasoning_format: 'parsed' };
};

/**
 * docs.vllm.ai/en/latest/features/reasoning_outputs.html. Chat templates know the switch as `enable_thinking` (Qwen3,
 * GLM) or `thinking` (DeepSeek-V3.1, Granite) and ignore the other; gpt-oss takes the level.
 */
export const vllmEffort: EffortSpelling = (effort) => {
  const isOn = effort !== 'none';
  return {
    ...(isOn ? { reasoning_effort: effort } : {}),
    chat_template_kwargs: { enable_thinking: isOn, thinking: isOn },
  };
};

/** docs.z.ai/guides/capabilities/thinking-mode: on or off, without levels. */
export const thinkingSwitch: EffortSpelling = (effort) => ({
  thinking: { type: effort === 'none' ? 'disabled' : 'enabled' },
});

/** platform.moonshot.ai/docs/api/models-overview: Kimi K3 takes levels, and earlier models are switched. */
export const moonshotEffort: EffortSpelling = (effort, context) =>
  /kimi-k(?:[3-9]|\d\d)/.test(context.model) ? { reasoning_effort: effort } : thinkingSwitch(effort, context);

/** www.alibabacloud.com/help/en/model-studio/deep-thinking: hybrid models are switched. */
export const dashscopeEffort: EffortSpelling = (effort) => ({ enable_thinking: effort !== 'none' });

/** docs.together.ai/docs/reasoning-overview: hybrid models are switched, gpt-oss takes the level. */
export const togetherEffort: EffortSpelling = (effort) =>
  effort === 'none' ? { reasoning: { enabled: false } } : { reasoning_effort: effort };

/** Shares of the answer's tokens that OpenRouter gives Anthropic's models to think. */
const SHARES: Readonly<Record<Exclude<Effort, 'none'>, number>> = {
  minimal: 0.1,
  low: 0.2,
  medium: 0.5,
  high: 0.8,
  xhigh: 0.95,
  max: 0.95,
};
/** The least that the API takes. */
const LEAST_BUDGET = 1024;
/** For an answer without a limit. */
const USUAL_TOKENS = 16_384;

/**
 * docs.anthropic.com/en/api/openai-sdk: the compatible endpoint ignores `reasoning_effort` and takes `thinking` with a
 * budget, which must be less than `max_tokens`.
 */
export const anthropicEffort: EffortSpelling = (effort, { maxTokens }) => {
  if (effort === 'none') return { thinking: { type: 'disabled' } };
  const budget = Math.floor((maxTokens ?? USUAL_TOKENS) * SHARES[effort]);
  return { thinking: { type: 'enabled', budget_tokens: Math.max(LEAST_BUDGET, budget) } };
};
