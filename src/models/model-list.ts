/** The models of a server, where it lists them. */

import { isObject, parseJson } from '../lib/json.js';
import { openProxyAgent } from '../http/proxy-agent.js';
import { inert } from '../lib/text.js';
import { authorization, requestUrl, type ApiAddress } from '../http/address.js';

const TIMEOUT_MS = 10_000;
const MAXIMUM_BYTES = 8 << 20;

/**
 * Asks for the list of models, by the rules of all other requests: through the proxy, bounded, and never redirected, so
 * that the key stays with its server.
 * @returns nothing where there is no such list; asking is a courtesy that never fails
 */
export async function listModels(
  address: ApiAddress,
  apiKey: string | null,
  userAgent: string,
): Promise<string[]> {
  const agent = openProxyAgent({
    connections: 1,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    maxResponseSize: MAXIMUM_BYTES,
    connect: { timeout: TIMEOUT_MS },
  });
  const url = new URL(requestUrl(address, '/models'));
  try {
    const { statusCode, body } = await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: { accept: 'application/json', 'user-agent': userAgent, ...authorization(address, apiKey) },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return statusCode === 200 ? modelNames(parseJson(await body.text())) : [];
  } catch {
    return [];
  } finally {
    await agent.destroy();
  }
}

/** OpenAI's `{data: [{id}]}`, Together's bare list, and the `{models: [{name}]}` of some others. */
export function modelNames(value: unknown): string[] {
  const list = isObject(value) ? (value['data'] ?? value['models']) : value;
  if (!Array.isArray(list)) return [];
  return list
    .filter(isObject)
    .flatMap(({ id, name }) => (typeof id === 'string' ? [id] : typeof name === 'string' ? [name] : []))
    .map((name) => inert(name, 80));
}
