import { createHash } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { completion } from './scripted-api.js';

/** Answers in its own way instead of the good answer; returns whether the good answer was given anyway. */
type Fault = (response: ServerResponse, good: string, prompt: string) => boolean;

const HTML = '<!DOCTYPE html><html><body><h1>Bad gateway</h1><pre>\u001b[31mnginx</pre></body></html>';
const HUGE_BYTES = 50 << 20;
const BOMB_BYTES = 300 << 20;

function fail(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: unknown,
): false {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
  return false;
}

function tooMany(headers: () => Record<string, string>): Fault {
  const error = { message: 'Rate limit reached', type: 'tokens', code: 'rate_limit_exceeded' };
  return (response) => fail(response, 429, headers(), { error });
}

function page(status: number): Fault {
  return (response) => fail(response, status, { 'content-type': 'text/html' }, HTML);
}

function instead(change: (answer: ReturnType<typeof completion>) => unknown): Fault {
  return (response, good) =>
    fail(response, 200, {}, change(JSON.parse(good) as ReturnType<typeof completion>));
}

let bomb: Buffer | null = null;

/** What servers, proxies and networks do. */
export const FAULTS = {
  '429 without headers': tooMany(() => ({})),
  '429 with retry-after-ms': tooMany(() => ({ 'retry-after-ms': '40' })),
  '429 with a date': tooMany(() => ({ 'retry-after': new Date(Date.now() + 1000).toUTCString() })),
  '429 with nonsense': tooMany(() => ({
    'retry-after': 'in a while',
    'x-ratelimit-limit-requests': '-3',
    'x-ratelimit-remaining-requests': 'NaN',
    'x-ratelimit-reset-tokens': '1e99y',
  })),
  '500 with HTML': page(500),
  '502 with HTML': page(502),
  '503 with HTML': page(503),
  '529 with HTML': page(529),
  'reset before the headers': (response) => {
    response.socket?.resetAndDestroy();
    return false;
  },
  'reset within the headers': (response) => {
    response.socket?.write('HTTP/1.1 200 OK\r\ncontent-type: applic');
    setTimeout(() => response.socket?.destroy(), 5);
    return false;
  },
  'reset within the body': (response, good) => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(good),
    });
    response.write(good.slice(0, good.length / 2));
    setTimeout(() => response.socket?.resetAndDestroy(), 5);
    return false;
  },
  hang: () => false,
  'slow drip': (response, good) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    let at = 0;
    const timer = setInterval(() => {
      response.write(good.slice(at, at + 1));
      at += 1;
      if (at >= good.length || response.destroyed) clearInterval(timer);
    }, 50);
    return false;
  },
  'torn JSON': (response, good) => fail(response, 200, {}, good.slice(0, good.length / 2)),
  'an empty body': (response) => fail(response, 200, {}, ''),
  '200 with an error': (response) =>
    fail(response, 200, {}, { error: { message: 'upstream overloaded', code: 502 } }),
  'error: null': (response, good) => {
    fail(response, 200, {}, { ...(JSON.parse(good) as object), error: null });
    return true;
  },
  'no choices': instead((answer) => ({ ...answer, choices: [] })),
  'null content': instead(() => completion(null)),
  refusal: instead(() => completion(null, { refusal: 'I can’t help with that.' })),
  'content filter': instead(() => completion('', { finish: 'content_filter' })),
  'an answer of 50 MB': (response) => fail(response, 200, {}, completion('x'.repeat(HUGE_BYTES))),
  'a gzip bomb': (response) => {
    bomb ??= gzipSync(Buffer.alloc(BOMB_BYTES, ' '));
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
    response.end(bomb);
    return false;
  },
  'a connection closed after each answer': (response, good) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(good, () => response.socket?.destroy());
    return true;
  },
} satisfies Record<string, Fault>;
export type FaultName = keyof typeof FAULTS;

export interface ChaosApi {
  url: string;
  /** Good answers that were given, by prompt. */
  given: Map<string, number>;
  requests: () => number;
}

/** A server of which a share of requests goes wrong: the same requests each time, by their prompt and their number. */
export async function chaosApi(kinds: readonly FaultName[], share: number): Promise<ChaosApi> {
  const given = new Map<string, number>();
  const asked = new Map<string, number>();
  let requests = 0;
  const server = createServer((incoming, response) => {
    response.on('error', () => undefined);
    incoming.on('error', () => undefined);
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      // A run without a usable answer looks at the list of models, which this server does not have.
      if (incoming.method !== 'POST') {
        fail(response, 404, {}, '');
        return;
      }
      requests += 1;
      const { messages } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
        messages: { content: string }[];
      };
      const prompt = messages.at(-1)?.content ?? '';
      const number = asked.get(prompt) ?? 0;
      asked.set(prompt, number + 1);
      const draw = createHash('sha256').update(`${number} ${prompt}`).digest();
      const good = JSON.stringify(completion(`answer to ${prompt}`));
      const isFaulty = draw.readUInt32LE(0) / 2 ** 32 < share;
      const kind = kinds[draw.readUInt32LE(4) % Math.max(1, kinds.length)];
      let isGood = true;
      if (isFaulty && kind !== undefined) isGood = FAULTS[kind](response, good, prompt);
      else fail(response, 200, {}, good);
      if (isGood) given.set(prompt, (given.get(prompt) ?? 0) + 1);
    });
  });
  server.on('clientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    given,
    requests: () => requests,
  };
}

/** A proxy before a datasets-server of which a share of answers goes wrong. */
export async function chaosProxy(
  target: string,
  kinds: readonly FaultName[],
  share: number,
): Promise<{ url: string; requests: () => number }> {
  const seen = new Map<string, number>();
  let requests = 0;
  const server = createServer((incoming, response) => {
    response.on('error', () => undefined);
    const path = incoming.url ?? '/';
    const number = seen.get(path) ?? 0;
    seen.set(path, number + 1);
    requests += 1;
    const draw = createHash('sha256').update(`${number} ${path}`).digest();
    const kind = kinds[draw.readUInt32LE(4) % Math.max(1, kinds.length)];
    const isFaulty = draw.readUInt32LE(0) / 2 ** 32 < share;
    void (async () => {
      const real = await fetch(new URL(path, target));
      const good = Buffer.from(await real.arrayBuffer());
      if (isFaulty && kind !== undefined) {
        FAULTS[kind](response, good.toString('utf8'), path);
        return;
      }
      response.writeHead(real.status, {
        'content-type': real.headers.get('content-type') ?? 'application/json',
      });
      response.end(good);
    })();
  });
  server.on('clientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests };
}
