/**
 * The embedded simulator: an OpenAI-compatible API and a datasets-server on one loopback port, for the demo, for
 * tests, and to rehearse a run for free. It keeps what it serves in memory (the files of batches in a temporary
 * folder), so it is no server for real work.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { messageOf, systemErrorCode, UserError } from '../lib/errors.js';
import { ReplayedAnswers } from './answers.js';
import { BatchBook, Batches } from './batches.js';
import { ChatEndpoint } from './chat.js';
import { FileStore } from './files.js';
import { ApiError, sendError, sendJson, type Exchange, type Route } from './http.js';
import { refusePages } from './guard.js';
import { HubRepositories } from './hub-repositories.js';
import { Hub } from './hub.js';
import { modelRoutes } from './models.js';
import { simulatorSettings, type SimulatorLimits, type SimulatorOptions } from './options.js';
import { providerRoutes } from './providers/index.js';
import { RateLimits } from './rate-limits.js';
import { Statistics, type SimulatorStatistics } from './statistics.js';

/** Longer than clients keep an idle connection, so that none is closed under a request. */
const KEEP_ALIVE_MS = 300_000;
/** Connections that may wait to be accepted: a client may open hundreds at once. */
const BACKLOG = 4_096;

/** A running simulator. */
export interface Simulator {
  /** Such as `http://127.0.0.1:8080`. */
  url: string;
  port: number;
  statistics(): SimulatorStatistics;
  /** Changes rate limits from now on. */
  setLimits(limits: Partial<SimulatorLimits>): void;
  /** Cuts every connection and frees the port. */
  close(): Promise<void>;
}

/**
 * Starts a simulator on 127.0.0.1.
 * @throws UserError where the port is taken, or a file can't be read
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const settings = simulatorSettings(options);
  const statistics = new Statistics();
  const limits = new RateLimits(settings);
  const hub = await Hub.open(settings, statistics);
  const repositories = new HubRepositories(settings, statistics, hub);
  const answers = settings.answersFile === null ? null : new ReplayedAnswers(settings.answersFile);
  const chat = new ChatEndpoint({ settings, limits, statistics, answers });
  const files = new FileStore(settings, statistics);
  const book = new BatchBook({ settings, statistics, files, chat });
  const parts = { settings, statistics, files, book };
  const openai = [
    ...chat.routes(),
    ...files.routes(),
    ...new Batches(book, parts).routes(),
    ...modelRoutes(settings.models, settings.apiKey),
  ];
  const router = new Router([
    ...openai,
    ...providerRoutes(parts, openai),
    ...hub.routes(),
    ...repositories.routes(),
    statisticsRoute(statistics),
  ]);
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, router.answer);
  server.on('clientError', refuseMalformed);
  try {
    await listen(server, settings.port);
  } catch (error) {
    answers?.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    statistics: () => statistics.snapshot(),
    setLimits: (changed) => {
      limits.change(changed);
    },
    close: async () => {
      await closeServer(server);
      await book.close();
      files.close();
      repositories.close();
      answers?.close();
    },
  };
}

function statisticsRoute(statistics: Statistics): Route {
  return {
    method: 'GET',
    path: '/simulator/statistics',
    handle: ({ response }) => {
      sendJson(response, 200, statistics.snapshot());
    },
  };
}

/** Finds the route of a request and answers for whatever goes wrong in it. */
class Router {
  readonly #exact = new Map<string, Route[]>();
  readonly #below: Route[];
  #requests = 0;

  constructor(routes: readonly Route[]) {
    this.#below = routes.filter(({ path }) => path.endsWith('/*'));
    for (const route of routes) this.#exact.set(route.path, [...(this.#exact.get(route.path) ?? []), route]);
  }

  readonly answer = (request: IncomingMessage, response: ServerResponse): void => {
    // A client that goes away is its own affair.
    response.on('error', () => undefined);
    const id = (++this.#requests).toString(16).padStart(32, '0');
    response.setHeader('x-request-id', `req_${id}`);
    this.#handle(request, response).catch((error: unknown) => {
      request.resume();
      const known = error instanceof ApiError;
      sendError(response, known ? error : new ApiError(500, messageOf(error), { type: 'server_error' }));
    });
  };

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    refusePages(request);
    const { method = 'GET', url = '/' } = request;
    const cut = url.indexOf('?');
    const path = cut === -1 ? url : url.slice(0, cut);
    const query = new URLSearchParams(cut === -1 ? '' : url.slice(cut + 1));
    await this.#find(method, path).handle({ method, path, query, request, response } satisfies Exchange);
  }

  #find(method: string, path: string): Route {
    const candidates = this.#exact.get(path) ?? this.#below.filter((route) => isBelow(path, route.path));
    if (candidates.length === 0) throw new ApiError(404, `Invalid URL (${method} ${path})`);
    const found = candidates.find((route) => route.method === method);
    if (found !== undefined) return found;
    throw new ApiError(405, `Not allowed to ${method} on ${path}.`, { code: 'method_not_supported' });
  }
}

function isBelow(path: string, pattern: string): boolean {
  const folder = pattern.slice(0, -1);
  return path.length > folder.length && path.startsWith(folder);
}

/** Answers what is no HTTP, where the socket still takes an answer. */
function refuseMalformed(_error: Error, socket: Socket | NodeJS.WritableStream): void {
  if (socket.writable)
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const code = systemErrorCode(error);
      const reason = code === 'EADDRINUSE' ? 'it is in use; choose another' : messageOf(error);
      reject(
        new UserError(`Cannot listen on port ${port} of 127.0.0.1: ${reason}.`, undefined, { cause: error }),
      );
    });
    server.listen({ host: '127.0.0.1', port, backlog: BACKLOG }, resolve);
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
}
