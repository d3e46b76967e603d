/** The APIs that have OpenAI's shapes, with what each spells otherwise. */

import type { Described } from '../batch.js';
import { requireInput, sendBatch, sendCreated, type Shape } from '../batches.js';
import { ApiError, sendJson, type Route } from '../http.js';
import {
  cancelAt,
  isoTime,
  listed,
  Mount,
  nameBelow,
  orderOf,
  pageAfter,
  readFields,
  type ProviderParts,
} from './mount.js';

/** What one of them does differently. */
export interface Variant {
  /** `completion_window`s that it takes. */
  windows: readonly string[];
  /** Fields of the order that it does not know. */
  unknown: readonly string[];
  /** How a batch looks. */
  shape: Shape;
  /** False where the list has everything at once, without saying so. */
  isPaged: boolean;
}

const AS_OPENAI: Variant = { windows: ['24h'], unknown: [], shape: (batch) => batch, isPaged: true };

export const VARIANTS: Readonly<Record<string, Variant>> = {
  azure: AS_OPENAI,
  // groq-sdk `resources/batches.d.ts`
  groq: { ...AS_OPENAI, windows: ['24h', '7d'], unknown: ['output_expires_after'], isPaged: false },
  parasail: { ...AS_OPENAI, unknown: ['output_expires_after'] },
  doubleword: { ...AS_OPENAI, windows: ['1h', '24h'], unknown: ['output_expires_after'] },
  // novita.ai/docs/api-reference/model-apis-llm-retrieve-batch: names in upper case, times as text
  novita: { ...AS_OPENAI, windows: ['48h'], unknown: ['output_expires_after'], shape: inUpperCase },
};

function inUpperCase(batch: Described): object {
  const status = batch.status === 'in_progress' ? 'PROGRESS' : batch.status.toUpperCase();
  return { ...batch, status, created_at: isoTime(batch.created_at), expires_at: null };
}

const PATH = '/v1/batches';

export function routesLikeOpenAi(
  prefix: string,
  variant: Variant,
  parts: ProviderParts,
  openai: readonly Route[],
): Route[] {
  const mount = new Mount(prefix, parts);
  for (const path of ['/v1/chat/', '/v1/models', '/v1/files']) mount.also(openai, path);
  const { book, files } = parts;
  const { shape, windows, unknown, isPaged } = variant;
  mount.on('POST', PATH, async (asked) => {
    const order = await readFields(asked.request);
    const wrong = unknown.find((name) => order[name] !== undefined);
    if (wrong !== undefined) throw new ApiError(400, `property '${wrong}' is unsupported`, { param: wrong });
    if (!windows.includes(String(order['completion_window']))) {
      throw new ApiError(400, `completion_window must be one of ${windows.join(', ')}`);
    }
    const id = String(order['input_file_id']);
    const input = requireInput(files, id, asked.owner);
    sendCreated(asked.response, book.create(asked.owner, orderOf(id, order['metadata']), input), shape);
  });
  mount.on('GET', PATH, ({ owner, query, response }) => {
    const all = listed(book, owner, shape, 'id');
    if (!isPaged) {
      sendJson(response, 200, { object: 'list', data: all.map(({ entry }) => entry) });
      return;
    }
    const { page, hasMore } = pageAfter(all, query.get('after'), Number(query.get('limit') ?? 20));
    const frame = { last_id: page.at(-1)?.id ?? null, has_more: hasMore };
    sendJson(response, 200, { object: 'list', data: page.map(({ entry }) => entry), ...frame });
  });
  mount.on('GET', `${PATH}/*`, ({ path, owner, response }) => {
    sendBatch(response, book.require(nameBelow(PATH, path), owner), shape);
  });
  mount.on('POST', `${PATH}/*`, (asked) => {
    cancelAt(PATH, asked, book, shape);
  });
  return mount.routes;
}
