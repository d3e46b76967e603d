/** The models of a server, where it lists them. */

import { messageOf, systemErrorCode } from '../lib/errors.js';
import { isObject, parseJson } from '../lib/json.js';
import { readBounded } from '../http/bodies.js';
import { sanitize } from '../lib/text.js';
import { authorization, requestUrl, type ApiAddress } from '../http/address.js';

const TIMEOUT_MS = 10_000;
const MAXIMUM_BYTES = 8 << 20;

/** What came of asking a server for its models. */
export type ModelListing =
  | { kind: 'models'; names: readonly string[] }
  /** It is up and does not say: it has no such list, or none for this key. */
  | { kind: 'none'; isKeyRefused?: true }
  /** No answer, or an error of the server's own. */
  | { kind: 'failed'; message: string };

/** The models that a server lists; none where it does not, since asking is a courtesy that never fails. */
export async function listModels(
  address: ApiAddress,
  apiKey: string | null,
  userAgent: string,
): Promise<readonly string[]> {
  const listing = await lookUpModels(address, apiKey, userAgent);
  return listing.kind === 'models' ? listing.names : [];
}

/**
 * Asks for the list of models, by the rules of all other requests: through the proxy, bounded, and never redirected, so
 * that the key stays with its server.
 * @param signal ends the request, which would otherwise keep the process alive until its time is up
 */
export async function lookUpModels(
  address: ApiAddress,
  apiKey: string | null,
  userAgent: string,
  signal?: AbortSignal,
): Promise<ModelListing> {
  try {
    const { status, text } = await get('/models', address, apiKey, userAgent, signal);
    // A server without such a list may answer 500 or 501; a proxy whose server is down answers with one of these.
    if (status >= 502 && status <= 504) return { kind: 'failed', message: `${status} from /models` };
    const value = status === 200 ? parseJson(text) : null;
    if (isList(value)) return { kind: 'models', names: modelNames(value) };
    // A key may be allowed to call models and not to list them: that is a 403.
    return status === 401 ? { kind: 'none', isKeyRefused: true } : { kind: 'none' };
  } catch (error) {
    const code = systemErrorCode(error);
    return {
      kind: 'failed',
      message: `no answer (${code === undefined ? '' : `${code}: `}${sanitize(messageOf(error), 200)})`,
    };
  }
}

/** What a server says of a model without a request that costs; `unknown` where it says nothing certain. */
export type ModelStatus = 'key refused' | 'missing' | 'unknown';

/**
 * Asks whether a model can be called. It is missing only where the server's list lacks it and the server denies it by its
 * name as well: lists leave out aliases.
 */
export async function lookUpModel(
  address: ApiAddress,
  apiKey: string | null,
  userAgent: string,
  model: string,
): Promise<ModelStatus> {
  const listing = await lookUpModels(address, apiKey, userAgent);
  if (listing.kind !== 'models')
    return listing.kind === 'none' && listing.isKeyRefused === true ? 'key refused' : 'unknown';
  const { names } = listing;
  // OpenRouter's `vendor/model:nitro` is a variant that no list has.
  if (names.length === 0 || names.includes(model) || model.includes(':')) return 'unknown';
  const one = await get(`/models/${model}`, address, apiKey, userAgent).catch(() => null);
  return one?.status === 404 ? 'missing' : 'unknown';
}

/** @throws where there is no answer */
async function get(
  path: string,
  address: ApiAddress,
  apiKey: string | null,
  userAgent: string,
  signal?: AbortSignal,
): Promise<{ status: number; text: string }> {
  const { openProxyAgent } = await import('../http/proxy-agent.js');
  const agent = openProxyAgent({
    connections: 1,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    connect: { timeout: TIMEOUT_MS },
  });
  const url = new URL(requestUrl(address, path));
  try {
    const response = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: { accept: 'application/json', 'user-agent': userAgent, ...authorization(address, apiKey) },
      signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal === undefined ? [] : [signal])]),
    });
    const body = await readBounded(response, MAXIMUM_BYTES);
    return { status: response.statusCode, text: body.toString('utf8') };
  } finally {
    await agent.destroy();
  }
}

function isList(value: unknown): boolean {
  return Array.isArray(isObject(value) ? (value['data'] ?? value['models']) : value);
}

/** OpenAI's `{data: [{id}]}`, Together's bare list, and the `{models: [{name}]}` of some others. */
export function modelNames(value: unknown): string[] {
  const list = isObject(value) ? (value['data'] ?? value['models']) : value;
  if (!Array.isArray(list)) return [];
  return list
    .filter(isObject)
    .flatMap(({ id, name }) => (typeof id === 'string' ? [id] : typeof name === 'string' ? [name] : []))
    .map((name) => sanitize(name, 80));
}
