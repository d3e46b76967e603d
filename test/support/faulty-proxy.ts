import { createServer, request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { onTestFinished } from 'vitest';

/** What happens to a request on its way, instead of its own answer. */
export type Fault =
  | { status: number; headers?: OutgoingHttpHeaders; body?: string }
  /** The connection breaks before the request arrives. */
  | 'reset'
  /** The connection breaks after the request was dealt with. */
  | 'unanswered'
  /** No answer ever comes. */
  | 'silence'
  | null;

export interface PassingRequest {
  /** Method and path, such as `GET /api/whoami-v2`. */
  line: string;
  headers: IncomingMessage['headers'];
  /** Which of the requests with this line it is, from 0. */
  number: number;
}

export interface FaultyProxy {
  url: string;
  requests: PassingRequest[];
}

/**
 * A proxy before a server that spoils answers as a test's script says.
 * @param target the server's address, which may come to be known after the proxy's
 */
export async function faultyProxy(
  target: () => string,
  script: (request: PassingRequest) => Fault | Promise<Fault>,
): Promise<FaultyProxy> {
  const requests: PassingRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    outgoing.on('error', () => undefined);
    const line = `${incoming.method ?? ''} ${(incoming.url ?? '').replace(/\?.*/, '')}`;
    const number = requests.filter((earlier) => earlier.line === line).length;
    const passing = { line, headers: incoming.headers, number };
    requests.push(passing);
    const forward = (isAnswered: boolean): void => {
      const forwarded = request(
        new URL(incoming.url ?? '/', target()),
        { method: incoming.method, headers: incoming.headers },
        (response) => {
          if (isAnswered) {
            outgoing.writeHead(response.statusCode ?? 502, response.headers);
            pipeline(response, outgoing, () => undefined);
          } else response.resume().on('end', () => outgoing.destroy());
        },
      );
      forwarded.on('error', () => outgoing.destroy());
      incoming.pipe(forwarded);
    };
    void (async () => {
      const fault = await script(passing);
      if (fault === null) forward(true);
      else if (fault === 'unanswered') forward(false);
      else if (fault === 'reset') outgoing.destroy();
      else if (fault !== 'silence') {
        incoming.resume();
        outgoing.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
        outgoing.end(fault.body ?? '{"error":"spoilt"}');
      }
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}
