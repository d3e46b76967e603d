/**
 * What each provider's batches cost and hold: one entry a provider, with its source. Sizes are the provider's own limits;
 * `--max_batch_size` and `--max_batch_bytes` can only lower them.
 */

const MEGABYTE = 1_000_000;

/** The implementation that speaks to a provider: a file or an entry in `src/batches/apis`. */
export type BatchApiName =
  | 'openai'
  | 'azure'
  | 'groq'
  | 'parasail'
  | 'doubleword'
  | 'novita'
  | 'together'
  | 'mistral'
  | 'anthropic'
  | 'gemini'
  | 'xai'
  | 'openrouter'
  | 'fireworks';

/**
 * By what a batch is found whose creation was not answered:
 * - `metadata`: the batch carries the run's identity;
 * - `name`: so does its name or that of its input file;
 * - `requests`: only the ids of its requests do, which can be read when it has ended.
 */
export type SearchedBy = 'metadata' | 'name' | 'requests';

export interface BatchTerms {
  api: BatchApiName;
  /** The usual price as a share of the online price. */
  price: number;
  /** The highest price as a share of the online price, for `--max_cost`. */
  highestPrice: number;
  /** Requests in one batch. */
  requests: number;
  /** Bytes of one input file, or of one request that creates a batch. */
  bytes: number;
  searchedBy: SearchedBy;
}

function terms(api: BatchApiName, more: Partial<BatchTerms> = {}): BatchTerms {
  const price = more.price ?? 0.5;
  return {
    api,
    price,
    highestPrice: price,
    requests: 50_000,
    bytes: 200 * MEGABYTE,
    searchedBy: 'metadata',
    ...more,
  };
}

export const BATCH_TERMS: Readonly<Record<BatchApiName, BatchTerms>> = {
  // platform.openai.com/docs/guides/batch
  openai: terms('openai'),
  // learn.microsoft.com/azure/ai-foundry/openai/how-to/batch
  azure: terms('azure'),
  // console.groq.com/docs/batch
  groq: terms('groq'),
  // docs.parasail.io/parasail-docs/batch: 500 MB
  parasail: terms('parasail', { bytes: 500 * MEGABYTE }),
  // docs.doubleword.ai
  doubleword: terms('doubleword'),
  // novita.ai/docs/guides/llm-batch-api
  novita: terms('novita', { bytes: 100 * MEGABYTE }),
  // docs.together.ai/docs/batch-inference: not every model is cheaper
  together: terms('together', { highestPrice: 1, bytes: 100 * MEGABYTE, searchedBy: 'name' }),
  // docs.mistral.ai/capabilities/batch
  mistral: terms('mistral', { bytes: 500 * MEGABYTE }),
  // platform.claude.com/docs/en/build-with-claude/batch-processing: 100,000 requests, 256 MB
  anthropic: terms('anthropic', { requests: 100_000, bytes: 250 * MEGABYTE, searchedBy: 'requests' }),
  // ai.google.dev/gemini-api/docs/batch-api: files of up to 2 GB
  gemini: terms('gemini', { searchedBy: 'name' }),
  // docs.x.ai/developers/advanced-api-usage/batch-api: half the price; earlier pages promise less
  xai: terms('xai', { highestPrice: 1, searchedBy: 'name' }),
  // openrouter.ai/docs/batch-quickstart: "up to" half the price, by provider
  openrouter: terms('openrouter', { highestPrice: 1, requests: 5000, searchedBy: 'requests' }),
  // docs.fireworks.ai/guides/batch-inference; an upload in one request takes 150 MB
  fireworks: terms('fireworks', { bytes: 150 * MEGABYTE, searchedBy: 'name' }),
};
