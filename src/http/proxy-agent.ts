/**
 * Connections through the environment's proxies, as curl makes them: through a tunnel (CONNECT) to an `https:` address,
 * and by asking the proxy itself for an `http:` one. undici's own agent passes none of its limits on in the second case,
 * and its errors do not say that a proxy was in the way.
 */

import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import type { buildConnector as Connecting } from 'undici';
import sendRequest from 'undici/lib/api/api-request.js';
import buildConnector from 'undici/lib/core/connect.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import Pool from 'undici/lib/dispatcher/pool.js';
import { messageOf, systemErrorCode, UserError } from '../lib/errors.js';
import { lookupOnLoopback } from './loopback.js';
import { proxyAuthorization, proxyFor, shownProxy, type Proxy } from './proxy.js';
import { sanitize } from '../lib/text.js';

/** What all connections have in common. */
export interface ConnectionSettings {
  /** Sockets for each server at most. */
  connections: number;
  pipelining?: number;
  /** Milliseconds until an answer has to begin, and between two pieces of it. */
  headersTimeout: number;
  bodyTimeout: number;
  /** Bytes; unlimited where it is left out. */
  maxResponseSize?: number;
  /** How long a connection may take, in milliseconds. */
  connect: { timeout: number };
}

/** How the name in an address is looked up; without a `lookup`, as usual. */
type LookupFor = (origin: URL) => { lookup?: LookupFunction };

/** No connection through a proxy for now; the code is that of a system error, so that it is treated as one. */
class ProxyProblem extends Error {
  override readonly name = 'ProxyProblem';

  constructor(
    message: string,
    readonly code: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Opens an agent for any address: each is reached directly or through its proxy. Requests fail with a UserError where a
 * proxy refuses them permanently.
 */
export function openProxyAgent(settings: ConnectionSettings, lookupFor?: LookupFor): Dispatcher {
  return new RoutingAgent((origin) => openRoute(origin, settings, lookupFor));
}

function openRoute(origin: URL, settings: ConnectionSettings, lookupFor?: LookupFor): Dispatcher {
  const proxy = proxyFor(origin);
  if (proxy === null) {
    return new Pool(origin, {
      ...settings,
      connect: { ...settings.connect, ...lookupOnLoopback(origin), ...lookupFor?.(origin) },
    });
  }
  const { timeout } = settings.connect;
  return origin.protocol === 'https:'
    ? new Pool(origin, { ...settings, connect: tunnelThrough(proxy, timeout) })
    : new ForwardingAgent(origin.origin, proxy, settings);
}

/** Sends every request on the route of its address. */
class RoutingAgent extends Dispatcher {
  readonly #routes = new Map<string, Dispatcher>();

  constructor(private readonly open: (origin: URL) => Dispatcher) {
    super();
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { origin } = new URL(String(options.origin));
    const route = this.#routes.get(origin) ?? this.open(new URL(origin));
    this.#routes.set(origin, route);
    return route.dispatch(options, handler);
  }

  override async close(): Promise<void> {
    await Promise.all([...this.#routes.values()].map((route) => route.close()));
  }

  override async destroy(): Promise<void> {
    await Promise.all([...this.#routes.values()].map((route) => route.destroy()));
  }
}

// As undici's entry does it for every dispatcher.
RoutingAgent.prototype.request = sendRequest;

/** Asks a proxy for an `http:` address, with the whole address in the place of the path. */
class ForwardingAgent extends Dispatcher {
  readonly #pool: Pool;

  constructor(
    private readonly origin: string,
    private readonly proxy: Proxy,
    settings: ConnectionSettings,
  ) {
    super();
    this.#pool = new Pool(proxy.url.origin, {
      ...settings,
      connect: naming(proxy, settings.connect.timeout),
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const credentials = proxyAuthorization(this.proxy);
    const headers = {
      host: new URL(this.origin).host,
      ...(options.headers as Record<string, string> | null | undefined),
      ...(credentials === null ? {} : { 'proxy-authorization': credentials }),
    };
    const forwarded = {
      ...options,
      origin: this.proxy.url.origin,
      path: this.origin + options.path,
      headers,
    };
    return this.#pool.dispatch(
      forwarded,
      refusing407(handler, () => credentialsRefused(this.proxy)),
    );
  }

  override close(): Promise<void> {
    return this.#pool.close();
  }

  override destroy(): Promise<void> {
    return this.#pool.destroy();
  }
}

type Abort = (reason: Error) => void;

/** The handler, for which an answer of status 407 is an error. undici has handlers of two kinds; both are covered. */
function refusing407(handler: Dispatcher.DispatchHandler, refusal: () => Error): Dispatcher.DispatchHandler {
  const call = (name: string, args: unknown[]): unknown => {
    const method: unknown = Reflect.get(handler, name);
    return typeof method === 'function' ? Reflect.apply(method, handler, args) : undefined;
  };
  let abort: Abort = () => undefined;
  const changed: Record<string, (...args: never[]) => unknown> = {
    onConnect: (cut: Abort, context: unknown) => {
      abort = cut;
      return call('onConnect', [cut, context]);
    },
    onHeaders: (status: number, ...rest: unknown[]) => {
      if (status !== 407) return call('onHeaders', [status, ...rest]);
      abort(refusal());
      return false;
    },
    onResponseStart: (controller: { abort: Abort }, status: number, ...rest: unknown[]) => {
      if (status !== 407) return call('onResponseStart', [controller, status, ...rest]);
      controller.abort(refusal());
      return undefined;
    },
  };
  return new Proxy(handler, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      return changed[String(key)] ?? ((...args: unknown[]): unknown => Reflect.apply(value, target, args));
    },
  });
}

/** Connects to a proxy; errors name it. */
function naming(proxy: Proxy, timeout: number): Connecting.connector {
  const connect = buildConnector({ timeout, ...lookupOnLoopback(proxy.url) });
  return (options, callback) => {
    connect(options, (...[error, socket]: [Error | null, unknown]) => {
      if (error === null) callback(null, socket as Socket);
      else callback(proxyUnreachable(proxy, error), null);
    });
  };
}

/** Connects to the target through a tunnel, and makes TLS in it. */
function tunnelThrough(proxy: Proxy, timeout: number): Connecting.connector {
  const secure = buildConnector({ timeout });
  return (options, callback) => {
    const port = options.port === '' ? '443' : options.port;
    openTunnel(proxy, `${options.hostname}:${port}`, timeout).then(
      (httpSocket) => {
        secure({ ...options, httpSocket }, callback);
      },
      (error: unknown) => {
        callback(error as Error, null);
      },
    );
  };
}

/** @param target `host:port` */
function openTunnel(proxy: Proxy, target: string, timeout: number): Promise<Socket> {
  const { url } = proxy;
  const credentials = proxyAuthorization(proxy);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send({
      method: 'CONNECT',
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port,
      path: target,
      headers: { host: target, ...(credentials === null ? {} : { 'proxy-authorization': credentials }) },
      agent: false,
      signal: AbortSignal.timeout(timeout),
      ...lookupOnLoopback(url),
    });
    request.once('connect', (response, socket) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) resolve(socket);
      else {
        socket.destroy();
        reject(tunnelRefused(proxy, target, status));
      }
    });
    request.once('error', (error) => {
      reject(proxyUnreachable(proxy, error));
    });
    request.end();
  });
}

function tunnelRefused(proxy: Proxy, target: string, status: number): Error {
  if (status === 407) return credentialsRefused(proxy);
  const message = `the proxy ${shownProxy(proxy)} does not connect to ${sanitize(target, 100)} (it answers ${status})`;
  if (status >= 500 || status === 429 || status === 408) return new ProxyProblem(message, 'EHOSTUNREACH');
  return new UserError(`T${message.slice(1)}. Allow the address there, or list the host in NO_PROXY.`);
}

function credentialsRefused(proxy: Proxy): UserError {
  const { url, variable } = proxy;
  const how = `${variable}=${url.protocol}//USER:PASSWORD@${url.host}`;
  return new UserError(
    proxyAuthorization(proxy) === null
      ? `The proxy ${shownProxy(proxy)} asks for credentials (407). Set ${how}.`
      : `The proxy ${shownProxy(proxy)} refuses the user name or password in ${variable} (407). Correct ${how}.`,
  );
}

function proxyUnreachable(proxy: Proxy, error: Error): ProxyProblem {
  const code =
    error.name === 'TimeoutError' || error.name === 'AbortError' ? 'ETIMEDOUT' : systemErrorCode(error);
  const reason = sanitize(messageOf(error), 160);
  return new ProxyProblem(
    `the proxy ${shownProxy(proxy)} cannot be reached: ${reason}`,
    code ?? 'ECONNRESET',
    {
      cause: error,
    },
  );
}
