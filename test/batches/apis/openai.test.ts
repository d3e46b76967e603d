import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { openBatchApi } from '../../../src/batches/apis/index.js';
import type { Submission } from '../../../src/batches/apis/batch-api.js';
import { REQUEST_URL } from '../../../src/batches/request-line.js';
import { readAddress } from '../../../src/http/address.js';
import { BATCH_TERMS, type BatchApiName } from '../../../src/models/batch-terms.js';
import { Redactor } from '../../../src/secrets/redactor.js';
import { temporaryFolder } from '../../support/cli.js';

type Refusal = (body: string) => string | null;

/** A server that refuses what `refusal` names, and the bodies that it was sent. */
async function picky(refusal: Refusal): Promise<{ url: string; bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece: Buffer) => (body += piece.toString('latin1')));
    request.on('end', () => {
      bodies.push(body);
      const message = refusal(body);
      response.writeHead(message === null ? 200 : 400, { 'content-type': 'application/json' });
      const made = {
        id: request.url?.includes('files') === true ? 'file-1' : 'batch_1',
        status: 'validating',
      };
      response.end(JSON.stringify(message === null ? made : { error: { message } }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, bodies };
}

async function made(name: BatchApiName, refusal: Refusal = () => null) {
  const { url, bodies } = await picky(refusal);
  const connection = {
    address: readAddress(url),
    apiKey: 'key',
    timeout: 5000,
    userAgent: 'test',
    redactor: new Redactor(),
    signal: new AbortController().signal,
  };
  const owner = { dataset: 'd', annotator: 'a' };
  const api = openBatchApi(name, connection, owner);
  onTestFinished(() => api.close());
  const path = join(temporaryFolder(), 'requests.jsonl');
  writeFileSync(path, '{}\n');
  const metadata = { tool: 'reannotate', run: '6f0a2f64-9f5c-4e5e-8d0a-3a9d1d6f1b11', chunk: '0', ...owner };
  const submission: Submission = {
    path,
    url: REQUEST_URL,
    name: 'requests.jsonl',
    metadata,
    keepFor: 3600,
    warn: () => undefined,
  };
  const { id } = await api.upload(submission);
  const batch = await api.create(id, submission);
  return { batch, created: bodies.slice(1).map((body) => JSON.parse(body) as Record<string, unknown>) };
}

it('OpenAI is sent what it always was', async () => {
  const { created, batch } = await made('openai');
  expect(batch.id).toBe('batch_1');
  expect(created).toEqual([
    {
      input_file_id: 'file-1',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: {
        tool: 'reannotate',
        run: '6f0a2f64-9f5c-4e5e-8d0a-3a9d1d6f1b11',
        chunk: '0',
        dataset: 'd',
        annotator: 'a',
      },
      output_expires_after: { anchor: 'created_at', seconds: 3600 },
    },
  ]);
});

it.each<[BatchApiName, Refusal, object]>([
  [
    'openai',
    (body) => (/output_expires_after/.test(body) ? 'output_expires_after is not supported' : null),
    {},
  ],
  [
    'novita',
    (body) => (/48h/.test(body) ? 'completion_window must be 24h' : null),
    { completion_window: '24h' },
  ],
  [
    'groq',
    (body) => (/24h/.test(body) ? "invalid completion window '24h'" : null),
    { completion_window: '7d' },
  ],
  ['openai', (body) => (/"metadata"/.test(body) ? 'Extra inputs are not permitted: metadata' : null), {}],
])('%s that refuses a field is asked without it, or with another value', async (name, refusal, expected) => {
  const { batch, created } = await made(name, refusal);
  expect(batch.id).toBe('batch_1');
  expect(created).toHaveLength(2);
  expect(created.at(-1)).toMatchObject({ input_file_id: 'file-1', ...expected });
});

it('a refusal of anything else is final', async () => {
  await expect(
    made('openai', (body) => (/input_file_id/.test(body) ? 'no such file' : null)),
  ).rejects.toThrow('no such file');
});

it.each(Object.entries(BATCH_TERMS))('%s has terms that hold together', (name, terms) => {
  expect(terms.api).toBe(name);
  expect(terms.price).toBeGreaterThan(0);
  expect(terms.highestPrice).toBeGreaterThanOrEqual(terms.price);
  expect(terms.requests).toBeGreaterThanOrEqual(1000);
});
