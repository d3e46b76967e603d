import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { APIError } from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { openBatchApi } from '../../../src/batches/apis/index.js';
import type { BatchApi } from '../../../src/batches/apis/batch-api.js';
import { classifyCallError, Transport } from '../../../src/batches/apis/transport.js';
import { readAddress } from '../../../src/http/address.js';
import { ANSWER_BOUNDS } from '../../../src/http/answer-bounds.js';
import { Redactor } from '../../../src/secrets/redactor.js';

const BOUNDS = { bytes: 1 << 20, line: ANSWER_BOUNDS };
const KEY = 'sk-SECRETabcdefGHIJKLMNOPQRSTUVWXYZ0123456789';
const BLOCK = Buffer.alloc(1 << 16, 'x');
/** The server gives up here, so that a client that reads everything fails the test instead of the machine. */
const MOST_SENT = 200 << 20;

/** A server whose errors begin with a text and do not end, and how many bytes it got rid of. */
async function endlessErrors(status: number, start: string): Promise<{ url: string; sent: () => number }> {
  let sent = 0;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'text/html' });
    response.write(start);
    const write = (): void => {
      while (sent < MOST_SENT && !response.destroyed) {
        sent += BLOCK.length;
        if (!response.write(BLOCK)) return;
      }
      response.end();
    };
    response.on('drain', write);
    write();
  });
  await listen(server);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent: () => sent };
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
}

function clientOf(url: string): BatchApi {
  const connection = {
    address: readAddress(`${url}/v1`),
    apiKey: KEY,
    timeout: 10_000,
    userAgent: 'test',
    redactor: new Redactor([{ value: KEY, source: 'KEY' }]),
    signal: new AbortController().signal,
  };
  const client = openBatchApi('openai', connection, { dataset: 'd', annotator: 'a' });
  onTestFinished(() => client.close());
  return client;
}

/** A server that answers every request with an error. */
async function refusing(status: number, body: string): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body);
  });
  await listen(server);
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it.each<[string, string]>([
  ['OpenAI', '{"error":{"message":"the queue is full","type":"x","code":null}}'],
  [
    'Mistral',
    '{"object":"error","message":"the queue is full","type":"rate_limited","param":null,"code":"1300"}',
  ],
  ['Fireworks', '{"code":8,"message":"the queue is full","details":[]}'],
  ['Google', '[{"error":{"code":429,"message":"the queue is full","status":"RESOURCE_EXHAUSTED"}}]'],
  ['xAI', '{"code":"resource-exhausted","error":"the queue is full"}'],
  ['Anthropic', '{"type":"error","error":{"type":"rate_limit_error","message":"the queue is full"}}'],
  ['FastAPI', '{"detail":"the queue is full"}'],
  ['one without an error', '{"error":null,"message":"the queue is full"}'],
  ['plain text', 'the queue is full'],
])('the words of an error are read as %s has them', async (_, body) => {
  const error: unknown = await clientOf(await refusing(429, body))
    .retrieve('b')
    .catch((one: unknown) => one);
  expect((error as APIError).message).toContain('the queue is full');
  expect(classifyCallError(error)).toMatchObject({
    kind: 'throttle',
    message: expect.stringContaining('the queue is full') as string,
  });
});

it.each<[string, number, (client: BatchApi) => Promise<unknown>]>([
  ['a file’s content', 404, (client) => client.download('file-1', 0, BOUNDS)],
  ['a file’s content', 500, (client) => client.download('file-1', 10, BOUNDS)],
  ['a batch', 502, (client) => client.retrieve('batch_1')],
])('of an error about %s (%i), no more than its beginning is read', async (_, status, call) => {
  const { url, sent } = await endlessErrors(status, `your key is ${KEY}, and `);
  const error: unknown = await call(clientOf(url)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(APIError);
  expect(error).toMatchObject({ status });
  const { message } = error as APIError;
  expect(message).toContain('your key is [redacted], and xxx');
  expect(message.length).toBeLessThan(70_000);
  // The rest is what the kernel's buffers take.
  expect(sent()).toBeLessThan(20 << 20);
});

it.each([
  'https://169.254.169.254/latest/meta-data/',
  'https://2130706433/x',
  'https://[::ffff:10.0.0.1]/x',
  'https://metadata.google.internal/x',
  'https://localhost./x',
])('a public API cannot name an address inside this network for a file: %s', async (address) => {
  const transport = transportOf('https://api.example.com/v1');
  await expect(transport.external(address, 'GET')).rejects.toThrow(
    /^api\.example\.com names \S+ for a file, an address inside your network/,
  );
  await transport.close();
});

it('an API inside this network may name others there', async () => {
  const { url } = await endlessErrors(404, 'no');
  const transport = transportOf(`${url}/v1`);
  await expect(transport.external(url.replace('127.0.0.1', 'localhost'), 'GET')).rejects.toMatchObject({
    status: 404,
  });
  await transport.close();
});

function transportOf(url: string): Transport {
  return new Transport({
    address: readAddress(url),
    apiKey: KEY,
    timeout: 5000,
    userAgent: 'test',
    redactor: new Redactor(),
    signal: new AbortController().signal,
  });
}
