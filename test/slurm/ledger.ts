import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { completion } from '../support/scripted-api.js';

/** A server that keeps a ledger: what it was asked, which is what it would bill. */
export interface Ledger {
  url: string;
  /** Requests for each prompt. */
  asked: Map<string, number>;
  /** Milliseconds that an answer takes. */
  latency: number;
  /** Requests with a key that it refuses. */
  refused: number;
  close: () => void;
}

export const RIGHT_KEY = 'sk-right-key-0001';

export async function startLedger(): Promise<Ledger> {
  const ledger: Ledger = {
    url: '',
    asked: new Map(),
    latency: 0,
    refused: 0,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const send = (status: number, body: unknown): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (incoming.url !== '/v1/chat/completions') {
        send(404, {});
        return;
      }
      if (incoming.headers.authorization !== `Bearer ${RIGHT_KEY}`) {
        ledger.refused += 1;
        send(401, { error: { message: 'Incorrect API key provided', code: 'invalid_api_key' } });
        return;
      }
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { messages: { content: string }[] };
      const prompt = body.messages.at(-1)?.content ?? '';
      ledger.asked.set(prompt, (ledger.asked.get(prompt) ?? 0) + 1);
      setTimeout(() => {
        send(200, completion(`Answer to ${prompt}`));
      }, ledger.latency);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ledger.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return ledger;
}
