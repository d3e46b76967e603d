import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { readAddress } from '../../src/http/address.js';
import { ChatClient } from '../../src/http/chat-client.js';
import { listModels } from '../../src/models/model-list.js';
import { classifyFailure, classifyResponse, type Verdict } from '../../src/requests/verdict.js';
import { completion } from '../support/scripted-api.js';

const CREDENTIALS = `Basic ${btoa('user:p@ss')}`;

afterEach(() => {
  vi.unstubAllEnvs();
});

interface FakeProxy {
  host: string;
  /** Lines of requests, with the credentials that came with them. */
  seen: string[];
}

/** A proxy that answers for every server behind it, once it has its credentials. */
async function proxyServer(connectStatus = 200): Promise<FakeProxy> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    const credentials = request.headers['proxy-authorization'] ?? 'none';
    seen.push(`${request.method ?? ''} ${request.url ?? ''} ${request.headers.host ?? ''} ${credentials}`);
    request.resume();
    if (credentials === CREDENTIALS)
      response.end(JSON.stringify({ ...completion('Hello'), data: [{ id: 'm' }] }));
    else response.writeHead(407).end('who are you?');
  });
  server.on('connect', (request, socket) => {
    const credentials = request.headers['proxy-authorization'] ?? 'none';
    seen.push(`CONNECT ${request.url ?? ''} ${credentials}`);
    const status = credentials === CREDENTIALS ? connectStatus : 407;
    socket.end(`HTTP/1.1 ${status} As Said\r\n\r\n`);
  });
  return { host: await listen(server), seen };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** What becomes of one request. */
async function ask(baseUrl: string): Promise<Verdict> {
  const client = await ChatClient.open({
    address: readAddress(baseUrl),
    apiKey: 'sk-test-key-0001',
    timeout: 5000,
    connections: 1,
    streamed: false,
    userAgent: 'test',
  });
  try {
    return classifyResponse(await client.send(Buffer.from('{}')));
  } catch (error) {
    return classifyFailure(error);
  } finally {
    await client.abort();
  }
}

describe('through a proxy', () => {
  it('an http address is asked for without a tunnel, with the proxy’s credentials', async () => {
    const proxy = await proxyServer();
    vi.stubEnv('http_proxy', `user:p@ss@${proxy.host}`);
    expect(await ask('http://api.example:81/v1?a=1')).toMatchObject({ kind: 'answer' });
    expect(await listModels(readAddress('http://api.example/v1'), null, 'test')).toEqual(['m']);
    expect(proxy.seen).toEqual([
      `POST http://api.example:81/v1/chat/completions?a=1 api.example:81 ${CREDENTIALS}`,
      `GET http://api.example/v1/models api.example ${CREDENTIALS}`,
    ]);
  });

  it.each([
    ['http_proxy', 'http://api.example/v1', ''],
    ['http_proxy', 'http://api.example/v1', 'user:wrong@'],
    ['https_proxy', 'https://api.example/v1', ''],
    ['https_proxy', 'https://api.example/v1', 'user:wrong@'],
  ])('407 ends the run and names the proxy: %s for %s with %j', async (variable, target, credentials) => {
    const proxy = await proxyServer();
    vi.stubEnv(variable, `http://${credentials}${proxy.host}`);
    const verdict = await ask(target);
    expect(verdict).toMatchObject({ kind: 'run', cause: 'other' });
    const { message } = verdict as { message: string };
    expect(message).toContain(`The proxy http://${proxy.host} (${variable})`);
    expect(message).toContain(
      credentials === '' ? 'asks for credentials (407)' : 'refuses the user name or password',
    );
    expect(message).not.toContain('wrong');
    expect(message).not.toMatch(/\bkey\b/);
    expect(proxy.seen).toHaveLength(1);
  });

  it.each([
    [403, { kind: 'run', cause: 'other' }],
    [503, { kind: 'transient', unreachable: true }],
  ])('a tunnel refused with %i is %j', async (status, expected) => {
    const proxy = await proxyServer(status);
    vi.stubEnv('https_proxy', `http://user:p@ss@${proxy.host}`);
    const verdict = await ask('https://api.example/v1');
    expect(verdict).toMatchObject(expected);
    expect((verdict as { message: string }).message).toMatch(
      /he proxy http:\/\/127.* \(https_proxy\) does not connect to api\.example:443/,
    );
    expect(proxy.seen).toEqual([`CONNECT api.example:443 ${CREDENTIALS}`]);
  });

  it.each(['http', 'https'])('one that is not there is named as the proxy: %s', async (scheme) => {
    vi.stubEnv(`${scheme}_proxy`, 'http://user:p@ss@127.0.0.1:9');
    const verdict = await ask(`${scheme}://api.example/v1`);
    expect(verdict).toMatchObject({ kind: 'transient', unreachable: true });
    expect((verdict as { message: string }).message).toContain(
      `ECONNREFUSED: the proxy http://127.0.0.1:9 (${scheme}_proxy) cannot be reached`,
    );
  });
});

describe('localhost', () => {
  it.each(['127.0.0.1', '::1'])('is found where its server listens on %s alone', async (host) => {
    const server = createServer((request, response) => {
      request.resume();
      response.end(JSON.stringify(completion('Hello')));
    });
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const port = await listenAlone(server, host, host === '::1' ? '127.0.0.1' : '::1');
    expect(await ask(`http://localhost:${port}/v1`)).toMatchObject({ kind: 'answer' });
  });
});

/** A port that is used on one address and free on the other, where another test's server may be. */
async function listenAlone(server: Server, host: string, other: string): Promise<number> {
  for (;;) {
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, other);
    const isFree = await new Promise<boolean>((resolve) => {
      socket.on('connect', () => {
        resolve(false);
      });
      socket.on('error', () => {
        resolve(true);
      });
    });
    socket.destroy();
    if (isFree) return port;
    await new Promise((resolve) => server.close(resolve));
  }
}
