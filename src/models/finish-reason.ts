/**
 * What a finish reason says about a text. Servers use an open set of names, so only the few that are known to mean
 * "the whole answer" count as such. Everything else may be half a text, which is worth another request.
 */

import { isObject } from '../lib/json.js';

export type Ending = 'complete' | 'truncated' | 'filtered' | 'refused' | 'unknown';

/** What to pass to `--accept_finish_reason` for an answer that gives no reason: null, `""`, or no such field. */
export const NO_REASON = 'null';

const LONGEST_NAME = 60;

/**
 * Names in lower case with underscores. OpenAI's five: the chat completion object in its API reference; Anthropic's:
 * "Handling stop reasons"; Gemini's: `Candidate.FinishReason`; Cohere's: `ChatFinishReason`; Bedrock's: `StopReason` of
 * Converse; watsonx's: `stop_reason` of text generation; TGI's: `FinishReason`; Mistral's: `ChatCompletionChoice`.
 */
const ENDINGS: Readonly<Record<Exclude<Ending, 'unknown'>, readonly string[]>> = {
  complete: [
    'stop', // OpenAI, Gemini, most others
    'tool_calls', // OpenAI
    'function_call', // OpenAI, earlier
    'tool_call', // Cohere
    'tool_use', // Anthropic, Bedrock
    'end_turn', // Anthropic, Bedrock
    'stop_sequence', // Anthropic, Bedrock, Cohere, TGI
    'eos', // Together
    'eos_token', // TGI, watsonx
    'complete', // Cohere
    'end', // Ollama and LM Studio behind some gateways (earendil-works/pi#2142)
    'end_of_text', // Aleph Alpha, this one and the next
    'stop_sequence_reached',
    'endoftext', // AI21
    'normal', // Baidu's Qianfan
  ],
  truncated: [
    'length', // OpenAI, TGI
    'model_length', // Mistral: the model's context is full
    'max_tokens', // Anthropic, Gemini, Cohere, Bedrock, watsonx
    'max_output_tokens', // OpenAI's Responses
    'max_new_tokens', // Hugging Face
    'token_limit', // watsonx
    'model_context_window_exceeded', // Anthropic, Bedrock
    'maximum_tokens', // Aleph Alpha
    'error_limit', // Cohere: the context is full
  ],
  filtered: [
    'content_filter', // OpenAI, Azure; `content-filter` in Vercel's AI SDK
    'content_filtered', // Bedrock
    'guardrail_intervened', // Bedrock
    'safety', // Gemini, this one and the next six
    'recitation',
    'language',
    'blocklist',
    'prohibited_content',
    'spii',
    'image_safety',
    'model_armor', // Vertex AI
    'error_toxic', // Cohere
    'sensitive', // Zhipu
  ],
  refused: [
    'refusal', // Anthropic
  ],
};

const ENDING_OF: ReadonlyMap<string, Ending> = new Map(
  Object.entries(ENDINGS).flatMap(([ending, names]) => names.map((name) => [name, ending as Ending])),
);

/** Which finish reasons count as a whole answer besides those in the table. */
export class FinishRules {
  readonly #accepted: ReadonlySet<string>;

  /** @param accepted values of `--accept_finish_reason` */
  constructor(accepted: readonly string[] = []) {
    this.#accepted = new Set(accepted.map(normalized));
  }

  /** How the choice ended that came with this finish reason, whatever its type. */
  endingOf(reason: unknown): Ending {
    // Nearly every answer ends with a reason that is in the table as spelled; accepting more reasons does not affect those.
    if (typeof reason === 'string' && ENDING_OF.get(reason) === 'complete') return 'complete';
    const name = normalized(nameOfReason(reason));
    if (this.#accepted.has(name)) return 'complete';
    return ENDING_OF.get(name) ?? 'unknown';
  }
}

/** The rules without `--accept_finish_reason`. */
export const STANDARD_RULES = new FinishRules();

/**
 * A finish reason as `--accept_finish_reason` takes it: its text, the `type` of an object such as SGLang's
 * `{"type": "abort"}`, and `null` where the server gave none.
 */
export function nameOfReason(reason: unknown): string {
  if (reason === null || reason === undefined || reason === '') return NO_REASON;
  if (typeof reason === 'string') return reason.slice(0, LONGEST_NAME);
  if (isObject(reason) && typeof reason['type'] === 'string') return nameOfReason(reason['type']);
  return (JSON.stringify(reason) as string | undefined)?.slice(0, LONGEST_NAME) ?? NO_REASON;
}

/** `MAX_TOKENS`, `max-tokens`, `FinishReason.MAX_TOKENS` and `FINISH_REASON_MAX_TOKENS` are one reason. */
function normalized(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_')
    .replace(/^finish_?reason[._]/, '');
}
