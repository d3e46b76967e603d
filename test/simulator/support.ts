import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { ChatCompletion } from '../../src/simulator/completions.js';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import { startSimulator, type Simulator } from '../../src/simulator/server.js';

const cleanups: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A simulator that is closed after the test. */
export async function simulate(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator(options);
  cleanups.push(() => simulator.close());
  return simulator;
}

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
  cleanups.push(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Posts a chat completion; `body` is merged over a small valid one. */
export function post(
  simulator: Simulator,
  body: Record<string, unknown> = {},
  headers: Record<string, string> = {},
  signal: AbortSignal | null = null,
): Promise<Response> {
  return fetch(`${simulator.url}/v1/chat/completions`, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'gpt-4o-mini', ...ask('Say hello.'), ...body }),
  });
}

/** The messages of a request with one question. */
export function ask(content: unknown): { messages: { role: string; content: unknown }[] } {
  return { messages: [{ role: 'user', content }] };
}

export async function complete(
  simulator: Simulator,
  body: Record<string, unknown> = {},
): Promise<ChatCompletion> {
  return (await (await post(simulator, body)).json()) as ChatCompletion;
}

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** The status and the error of a request that fails. */
export async function refused(answer: Promise<Response>): Promise<ErrorBody['error'] & { status: number }> {
  const response = await answer;
  return { status: response.status, ...((await response.json()) as ErrorBody).error };
}
