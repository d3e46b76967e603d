/** Which implementation speaks to which provider. A new provider is one line here and one in `models/batch-terms.ts`. */

import type { BatchApiName } from '../../models/batch-terms.js';
import { AnthropicBatches } from './anthropic.js';
import type { BatchApi } from './batch-api.js';
import { AZURE, DOUBLEWORD, GROQ, NOVITA, OPENAI, PARASAIL, type Dialect } from './dialects.js';
import { FireworksBatches } from './fireworks.js';
import { GeminiBatches } from './gemini.js';
import type { MarkOwner } from './marks.js';
import { MistralBatches } from './mistral.js';
import { OpenAiBatches } from './openai.js';
import { OpenRouterBatches } from './openrouter.js';
import { TogetherBatches } from './together.js';
import type { Connection } from './transport.js';
import { XaiBatches } from './xai.js';

type Opener = (connection: Connection, owner: MarkOwner) => BatchApi;

const likeOpenAi =
  (dialect: Dialect): Opener =>
  (connection, owner) =>
    new OpenAiBatches(connection, owner, dialect);

const OPENERS: Readonly<Record<BatchApiName, Opener>> = {
  openai: likeOpenAi(OPENAI),
  azure: likeOpenAi(AZURE),
  groq: likeOpenAi(GROQ),
  parasail: likeOpenAi(PARASAIL),
  doubleword: likeOpenAi(DOUBLEWORD),
  novita: likeOpenAi(NOVITA),
  together: (connection, owner) => new TogetherBatches(connection, owner),
  mistral: (connection) => new MistralBatches(connection),
  anthropic: (connection, owner) => new AnthropicBatches(connection, owner),
  gemini: (connection, owner) => new GeminiBatches(connection, owner),
  xai: (connection, owner) => new XaiBatches(connection, owner),
  openrouter: (connection, owner) => new OpenRouterBatches(connection, owner),
  fireworks: (connection, owner) => new FireworksBatches(connection, owner),
};

/** Opens a provider's batch API. Nothing is sent yet. */
export function openBatchApi(name: BatchApiName, connection: Connection, owner: MarkOwner): BatchApi {
  return OPENERS[name](connection, owner);
}
