/** The APIs that have OpenAI's shapes, with what each spells otherwise. */

import { isObject, parseJson } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { requireInput } from '../batches.js';
import { ApiError, readBody, sendJson, type Route } from '../http.js';
import { createBatch, listed, Mount, orderOf, sendBatch, type ProviderParts } from './mount.js';

/** What one of them does differently. */
export interface Variant {
  /** `completion_window`s that it takes. */
  windows: readonly string[];
  /** Fields of the order that it does not know. */
  unknown: readonly string[];
  /** How a batch looks. */
  shape: (batch: Described) => object;
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
  return { ...batch, status, created_at: new Date(batch.created_at * 1000).toISOString(), expires_at: null };
}

const PATH = '/v1/batches';

export function routesLikeOpenAi(
  prefix: string,
  variant: Variant,
  parts: ProviderParts,
  openai: readonly Route[],
): Route[] {
  const mount = new Mount(prefix, parts);
  for (const path of ['/v1/chat/', '/v1/models', '/v1/files']) mount.also(openai, path, path);
  const { book, files } = parts;
  const { shape, windows, unknown, isPaged } = variant;
  mount.on('POST', PATH, async (asked) => {
    const body = parseJson((await readBody(asked.request)).toString('utf8'));
    const order = isObject(body) ? body : {};
    const wrong = unknown.find((name) => order[name] !== undefined);
    if (wrong !== undefined) throw new ApiError(400, `property '${wrong}' is unsupported`, { param: wrong });
    if (!windows.includes(String(order['completion_window']))) {
      throw new ApiError(400, `completion_window must be one of ${windows.join(', ')}`);
    }
    const id = String(order['input_file_id']);
    const metadata = isObject(order['metadata']) ? (order['metadata'] as Record<string, string>) : null;
    createBatch(asked, book, orderOf(id, metadata), requireInput(files, id, asked.owner), shape);
  });
  mount.on('GET', PATH, ({ owner, query, response }) => {
    const all = listed(book, owner, shape, 'id');
    const after = query.get('after');
    const start = after === null || !isPaged ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const page = isPaged ? all.slice(start, start + Number(query.get('limit') ?? 20)) : all;
    const more = start + page.length < all.length;
    const frame = isPaged ? { last_id: page.at(-1)?.id ?? null, has_more: more } : {};
    sendJson(response, 200, { object: 'list', data: page.map(({ entry }) => entry), ...frame });
  });
  mount.on('GET', `${PATH}/*`, (asked) => {
    sendBatch(asked, book.require(decodeURIComponent(asked.path.slice(PATH.length + 1)), asked.owner), shape);
  });
  mount.on('POST', `${PATH}/*`, ({ path, owner, response }) => {
    const [id = '', action] = path
      .slice(PATH.length + 1)
      .split('/')
      .map(decodeURIComponent);
    if (action !== 'cancel') throw new ApiError(404, `Invalid URL (POST ${path})`);
    const batch = book.require(id, owner);
    batch.cancel();
    sendJson(response, 200, shape(batch.describe()));
  });
  return mount.routes;
}
