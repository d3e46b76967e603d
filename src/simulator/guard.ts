/**
 * Keeps web pages away from the simulator. A page in a browser of this machine can send requests to a port of it
 * (cross-site request forgery), and can even read the answers where its own name leads here (DNS rebinding).
 */

import type { IncomingMessage } from 'node:http';
import { ApiError } from './http.js';

/** The names that only this machine has. */
const LOOPBACK_HOST =
  /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;
const KEY_HEADERS = ['authorization', 'x-api-key', 'x-goog-api-key', 'x-goog-upload-command'];
const JSON_TYPE = /^application\/(?:[a-z0-9.+-]*\+)?(?:json|x-ndjson|jsonl)\s*(?:;|$)/i;

/**
 * Lets programs in, and pages not: the host must be a loopback one, the origin none or the simulator itself, and what is
 * posted JSON or sent with an `Authorization` header (a form with a file, say). A page can send neither to another
 * server without asking it first, which is not answered.
 * @throws ApiError (403, 415)
 */
export function refusePages(request: IncomingMessage): void {
  const { host = '', origin } = request.headers;
  if (!LOOPBACK_HOST.test(host))
    throw new ApiError(403, 'The simulator answers requests to localhost, 127.0.0.1 and [::1] only.');
  const isElsewhere = request.headers['sec-fetch-site'] === 'cross-site';
  if ((origin !== undefined && origin !== `http://${host}`) || isElsewhere)
    throw new ApiError(403, 'The simulator answers programs, not web pages.');
  if (request.method === 'POST' && hasBody(request)) requireType(request);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function requireType({ headers }: IncomingMessage): void {
  const { 'content-type': type = '' } = headers;
  // A page of another site cannot send these without asking first.
  if (JSON_TYPE.test(type) || KEY_HEADERS.some((name) => headers[name] !== undefined)) return;
  throw new ApiError(
    415,
    "The content type must be 'application/json'; anything else needs an API key in an Authorization header.",
  );
}
