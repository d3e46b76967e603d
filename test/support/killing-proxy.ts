import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import { onTestFinished } from 'vitest';

/** When a process dies: before its request arrives, after it was dealt with but unanswered, or after the answer. */
export const MOMENTS = ['before', 'unanswered', 'answered'] as const;
export type Moment = (typeof MOMENTS)[number];

export interface KillPoint {
  /** The start of method and path, such as `POST /v1/batches`. */
  step: string;
  /** Which of the requests that begin so, from 0. */
  number: number;
  moment: Moment;
}

export interface KillingProxy {
  url: string;
  /** What dies at the next kill point; null for nobody. */
  aim(point: KillPoint | null, kill: () => void): void;
  /** Whether the kill point was reached. */
  fired(): boolean;
  /** Method and path of every request. */
  requests: string[];
}

/** A proxy before a server that kills a process at a chosen step of its conversation. */
export async function killingProxy(target: string): Promise<KillingProxy> {
  let point: KillPoint | null = null;
  let kill: () => void = () => undefined;
  let matches = 0;
  let fired = false;
  const requests: string[] = [];

  const isPoint = (incoming: IncomingMessage): boolean => {
    const line = `${incoming.method ?? ''} ${incoming.url ?? ''}`;
    requests.push(line);
    if (point === null || fired || !line.startsWith(point.step)) return false;
    return matches++ === point.number;
  };
  const die = (): void => {
    fired = true;
    kill();
  };

  const server = createServer((incoming, outgoing) => {
    const moment = isPoint(incoming) ? point?.moment : undefined;
    outgoing.on('error', () => undefined);
    if (moment === 'before') {
      die();
      outgoing.destroy();
      return;
    }
    const forwarded = request(
      new URL(incoming.url ?? '/', target),
      { method: incoming.method, headers: incoming.headers },
      (response) => {
        if (moment === undefined) passOn(response, outgoing);
        else dieAt(moment, response, outgoing, die);
      },
    );
    forwarded.on('error', () => {
      outgoing.destroy();
    });
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    aim: (next, killer) => {
      point = next;
      kill = killer;
      matches = 0;
      fired = false;
    },
    fired: () => fired,
    requests,
  };
}

function passOn(response: IncomingMessage, outgoing: ServerResponse): void {
  outgoing.writeHead(response.statusCode ?? 502, response.headers);
  // A cut answer is cut here as well; `pipe` would leave its reader waiting.
  pipeline(response, outgoing, () => undefined);
}

/** Reads the whole answer first, so that the server has certainly done what was asked. */
function dieAt(
  moment: Exclude<Moment, 'before'>,
  response: IncomingMessage,
  outgoing: ServerResponse,
  die: () => void,
): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('end', () => {
    if (moment === 'unanswered') {
      die();
      outgoing.destroy();
      return;
    }
    outgoing.writeHead(response.statusCode ?? 502, response.headers);
    outgoing.end(Buffer.concat(chunks), die);
  });
}
