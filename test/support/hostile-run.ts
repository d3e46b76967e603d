/** Runs the program where somebody means it ill, and measures what matters then: memory, and whether it still listens. */

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { startCli, temporaryFolder, type CliOptions, type Finished } from './cli.js';

const PRELOAD = fileURLToPath(new URL('watched-preload.js', import.meta.url));
const LOOK_MS = 25;

export interface HostileRun extends Finished {
  /** Peak memory of the program, and of the largest process that it started. */
  megabytes: number;
  childMegabytes: number;
  /** The longest time for which it could not have heard a signal. */
  stillMs: number;
  /** Milliseconds from the last signal to the end; null where it ended by itself. */
  stoppedIn: number | null;
}

/** @param interruptAfter milliseconds until it gets two SIGINTs: the first to stop, the second to stop immediately */
export async function hostileRun(
  args: string[],
  options: CliOptions = {},
  interruptAfter: number | null = null,
): Promise<HostileRun> {
  const file = join(temporaryFolder(), 'watched.json');
  const env = { ...options.env, NODE_OPTIONS: `--import ${PRELOAD}`, WATCHED_FILE: file };
  const { child, finished } = startCli(args, { ...options, env });
  let childMegabytes = 0;
  const look = setInterval(() => {
    childMegabytes = Math.max(childMegabytes, peakOfChildren(child.pid ?? 0));
  }, LOOK_MS);
  const signals: number[] = [];
  const timers = (interruptAfter === null ? [] : [0, 500]).map((later) =>
    setTimeout(
      () => {
        signals.push(performance.now());
        child.kill('SIGINT');
      },
      (interruptAfter ?? 0) + later,
    ),
  );
  try {
    const run = await finished;
    const last = signals.at(-1);
    const stoppedIn = last === undefined ? null : performance.now() - last;
    const { megabytes, stillMs } = JSON.parse(readFileSync(file, 'utf8')) as HostileRun;
    return { ...run, megabytes, stillMs, childMegabytes, stoppedIn };
  } finally {
    clearInterval(look);
    timers.forEach(clearTimeout);
  }
}

function peakOfChildren(pid: number): number {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return Math.max(0, ...children.filter((one) => one !== '').map((one) => peakOf(one)));
  } catch {
    return 0;
  }
}

function peakOf(pid: string): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    // Until it has become another program, a child counts its parent's memory.
    return /^Name:\s*node/m.test(status) ? Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024 : 0;
  } catch {
    return 0;
  }
}

/** A server that answers as it likes, byte by byte where it wants to. */
export async function hostileServer(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => void,
): Promise<{ url: string }> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      answer(request, response, Buffer.concat(pieces).toString('latin1'));
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Writes pieces for as long as the other side takes them, without holding more than one. */
export function pour(response: ServerResponse | Socket, pieces: Iterator<string | Buffer>): void {
  const go = (): void => {
    while (!response.destroyed) {
      const piece = pieces.next();
      if (piece.done === true) {
        response.end();
        return;
      }
      if (!response.write(piece.value)) {
        response.once('drain', go);
        return;
      }
    }
  };
  go();
}
