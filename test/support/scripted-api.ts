import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface ApiRequest {
  path: string;
  headers: IncomingMessage['headers'];
  body: Record<string, unknown>;
  /** The last user turn. */
  prompt: string;
}

/** What a script answers: a completion's text, a whole answer, or nothing (the script has dealt with it). */
export type ApiAnswer = string | { status?: number; headers?: Record<string, string>; body: unknown } | null;

export interface ScriptedApi {
  url: string;
  requests: ApiRequest[];
}

/** A server that answers as a test's script says; it has no Batch API. */
export async function scriptedApi(
  script: (request: ApiRequest, number: number, response: ServerResponse) => ApiAnswer | Promise<ApiAnswer>,
): Promise<ScriptedApi> {
  const requests: ApiRequest[] = [];
  const server = createServer((incoming, response) => {
    if (/^\/v1\/batches\b/.test(incoming.url ?? '')) {
      response.writeHead(404).end();
      return;
    }
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      void (async () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
        const messages = (body['messages'] ?? []) as { content: string }[];
        const request = {
          path: incoming.url ?? '',
          headers: incoming.headers,
          body,
          prompt: messages.at(-1)?.content ?? '',
        };
        requests.push(request);
        send(response, await script(request, requests.length - 1, response));
      })();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

function send(response: ServerResponse, answer: ApiAnswer): void {
  if (answer === null) return;
  const {
    status = 200,
    headers = {},
    body,
  } = typeof answer === 'string' ? { body: completion(answer) } : answer;
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** A chat completion in OpenAI's shape. */
export function completion(
  content: string | null,
  more: { finish?: string; refusal?: string; model?: string } = {},
): Record<string, unknown> {
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: more.model ?? 'gpt-4o-mini-2024-07-18',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: more.refusal ?? null },
        logprobs: null,
        finish_reason: more.finish ?? 'stop',
      },
    ],
    usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 },
  };
}

/** An error in OpenAI's shape. */
export function apiError(
  status: number,
  message: string,
  code: string | null = null,
  param: string | null = null,
): { status: number; body: unknown } {
  return { status, body: { error: { message, type: 'invalid_request_error', param, code } } };
}
