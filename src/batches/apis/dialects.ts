/** How the providers with OpenAI's Files and Batch APIs spell what differs: data, with its source. */

/** What one of them is sent. */
export interface Dialect {
  /** `purpose` of an input file. */
  purpose: string;
  /** Values of `completion_window`, the first one first; another one is tried where a refusal names the field. */
  windows: readonly string[];
  /** True where `expires_after` and `output_expires_after` are known. A server that refuses them is asked without. */
  takesExpiry: boolean;
  /** False where a batch keeps no metadata, so that the name of its input file says whose it is. */
  keepsMetadata: boolean;
}

/** platform.openai.com/docs/api-reference/batch; also any server that is known by its address only. */
export const OPENAI: Dialect = {
  purpose: 'batch',
  windows: ['24h', '48h'],
  takesExpiry: true,
  keepsMetadata: true,
};

/** console.groq.com/docs/batch; groq-sdk `resources/batches.d.ts`: 24h to 7d, no expiry of files. */
export const GROQ: Dialect = { ...OPENAI, windows: ['24h', '7d'], takesExpiry: false };

/** learn.microsoft.com/azure/ai-foundry/openai/how-to/batch: the same shapes; a file may expire after 14 to 30 days. */
export const AZURE: Dialect = { ...OPENAI, windows: ['24h'] };

/** docs.parasail.io/parasail-docs/batch; parasail-ai/openai-batch. */
export const PARASAIL: Dialect = { ...OPENAI, windows: ['24h'], takesExpiry: false };

/** docs.doubleword.ai: windows of 24 hours and of one hour, which costs more. */
export const DOUBLEWORD: Dialect = { ...OPENAI, windows: ['24h'], takesExpiry: false };

/** novita.ai/docs/api-reference/model-apis-llm-create-batch: its pages disagree about the window. */
export const NOVITA: Dialect = { ...OPENAI, windows: ['48h', '24h'], takesExpiry: false };

/** together-ai `resources/batches.d.ts`: neither metadata nor expiry. */
export const TOGETHER: Dialect = {
  purpose: 'batch-api',
  windows: ['24h'],
  takesExpiry: false,
  keepsMetadata: false,
};
