/**
 * Serves the page of a run in progress, on this machine alone. Anyone who knows the address can read prompts and
 * answers, so it contains a random token; other sites that a browser has open get nothing: there is no CORS, the name in
 * `Host` must be this machine's (which keeps DNS rebinding out), and requests that a browser marks as cross-site are refused.
 */

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { ReportData } from './data.js';

const HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost']);
const TOKEN_BYTES = 18;
const DATA = 'data.json';
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** What is served. */
export interface Source {
  /** Changes whenever the data do. */
  version: () => string;
  data: () => ReportData;
  /**
   * The page itself.
   * @param live where it gets new data from, relative to its own address
   */
  page: (live: string) => string;
}

/** A server that runs. */
export interface WatchServer {
  url: string;
  close: () => Promise<void>;
}

/** Starts a server on a free port of the loopback interface. */
export async function serveReport(source: Source): Promise<WatchServer> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const server = createServer((request, response) => {
    answer(request, response, token, source);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/${token}/`, close: () => close(server) };
}

async function close(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  await once(server, 'close');
}

function answer(request: IncomingMessage, response: ServerResponse, token: string, source: Source): void {
  const { status, body = '', type = 'text/plain', tag } = replyTo(request, token, source);
  response.writeHead(status, {
    ...HEADERS,
    'content-type': type,
    ...(tag === undefined ? {} : { etag: tag }),
  });
  response.end(body);
}

interface Reply {
  status: number;
  body?: string;
  type?: string;
  tag?: string;
}

function replyTo({ method = '', headers, url = '' }: IncomingMessage, token: string, source: Source): Reply {
  if (!isOwnHost(headers.host) || headers['sec-fetch-site'] === 'cross-site')
    return { status: 403, body: 'This page is only served to this machine.' };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405 };
  const [, given = '', file, ...rest] = (url.split('?')[0] ?? '').split('/');
  if (!isToken(given, token) || rest.length > 0) return { status: 404 };
  if (file === '') return { status: 200, body: source.page(DATA), type: 'text/html; charset=utf-8' };
  if (file !== DATA) return { status: 404 };
  const tag = `"${source.version()}"`;
  if (headers['if-none-match'] === tag) return { status: 304, tag };
  return { status: 200, body: JSON.stringify(source.data()), type: 'application/json', tag };
}

/** Any port: a tunnel may lead to this one from another. */
function isOwnHost(host: string | undefined): boolean {
  return host !== undefined && HOSTS.has(host.replace(/:\d{1,5}$/, '').toLowerCase());
}

function isToken(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
