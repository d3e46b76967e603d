import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { atMinimumRate, TooSlow } from '../../src/http/minimum-rate.js';

const RATE = { graceMs: 20, bytesPerSecond: 1000 };

async function collect(body: PassThrough): Promise<string> {
  let text = '';
  for await (const piece of atMinimumRate(body, RATE)) text += piece.toString();
  return text;
}

it('ends an answer that drips, and lets its connection go', async () => {
  const body = new PassThrough();
  body.write('a');
  await expect(collect(body)).rejects.toThrow(TooSlow);
  expect(body.destroyed).toBe(true);
});

it('waits for one that comes at its rate, however long it takes', async () => {
  const body = new PassThrough();
  const piece = 'x'.repeat(10_000);
  body.write(piece);
  const text = collect(body);
  await new Promise((resolve) => setTimeout(resolve, 5 * RATE.graceMs));
  body.end(piece);
  expect(await text).toBe(piece + piece);
});
