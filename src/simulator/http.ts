/** Reading requests and writing answers, bounded and safe against whatever a client does. */

import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

const MAXIMUM_BODY_BYTES = 64 * 1024 * 1024;

/** One request and its answer. */
export interface Exchange {
  method: string;
  /** The path without the query, still percent-encoded. */
  path: string;
  query: URLSearchParams;
  request: IncomingMessage;
  response: ServerResponse;
}

/** A route answers one method on one path; a path that ends in `/*` covers everything below it. */
export interface Route {
  method: string;
  path: string;
  handle(exchange: Exchange): void | Promise<void>;
}

/** An error that is answered in OpenAI's form. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    message: string,
    readonly details: { type?: string; param?: string; code?: string } = {},
    readonly headers: OutgoingHttpHeaders = {},
  ) {
    super(message);
  }

  /** @see https://platform.openai.com/docs/guides/error-codes */
  get body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    const { type = 'invalid_request_error', param = null, code = null } = this.details;
    return { error: { message: this.message, type, param, code } };
  }
}

/** Answers with an error in OpenAI's form. */
export function sendError(response: ServerResponse, error: ApiError): void {
  sendJson(response, error.status, error.body, error.headers);
}

/** Answers with JSON. */
export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers?: OutgoingHttpHeaders,
): void {
  sendText(response, status, { type: 'application/json', text: JSON.stringify(value) }, headers);
}

/** Answers with a text of any type; nothing happens where the client has gone. */
export function sendText(
  response: ServerResponse,
  status: number,
  { type, text }: { type: string; text: string },
  headers?: OutgoingHttpHeaders,
): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = Buffer.from(text, 'utf8');
  response.writeHead(status, { ...headers, 'content-type': type, 'content-length': bytes.length });
  response.end(bytes);
}

/**
 * Reads a whole request body.
 * @throws ApiError (413) for one of more than 64 MB, and the transport's error where the client broke off
 */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= MAXIMUM_BODY_BYTES) {
        chunks.push(chunk);
        return;
      }
      request.removeAllListeners('data');
      request.resume();
      reject(new ApiError(413, 'The request body is larger than 64 MB.', {}, { connection: 'close' }));
    });
    request.on('end', () => {
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
    });
    request.on('error', reject);
  });
}

/** Decodes percent-encoding; null where it is malformed. */
export function decodePath(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** The key of a request: a bearer token, or where Anthropic and Google have it; null without one. */
export function bearerToken({ headers }: IncomingMessage): string | null {
  const token = /^Bearer\s+(\S+)\s*$/i.exec(headers.authorization ?? '')?.[1];
  const key = token ?? headers['x-api-key'] ?? headers['api-key'] ?? headers['x-goog-api-key'];
  return typeof key === 'string' && key !== '' ? key : null;
}

/** @throws ApiError (401) where a key is needed and the request carries another one or none */
export function requireApiKey(request: IncomingMessage, apiKey: string | null): void {
  if (apiKey === null) return;
  const given = bearerToken(request);
  if (given === apiKey) return;
  if (given === null) {
    throw new ApiError(
      401,
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth " +
        '(i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from ' +
        'https://platform.openai.com/account/api-keys.',
    );
  }
  const shown = given.length < 12 ? '***' : `${given.slice(0, 3)}***${given.slice(-4)}`;
  const message =
    `Incorrect API key provided: ${shown}. You can find your API key at ` +
    'https://platform.openai.com/account/api-keys.';
  throw new ApiError(401, message, { code: 'invalid_api_key' });
}
