/**
 * A bound for answers that drip: a server that sends a byte every few seconds never runs into a time-out between two
 * pieces. An answer has some time, and beyond that has to come at a rate that the slowest honest network exceeds.
 */

import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';

/** Milliseconds that every answer has. */
const GRACE_MS = 30_000;
/** Bytes a second after that, on average; a poor mobile connection brings 20 KB. */
const BYTES_PER_SECOND = 4096;
const CHECK_MS = 1000;
/** For a body that nobody wants, so that its connection can be used again. */
const DISCARD_MS = 5000;
const DISCARD_BYTES = 1 << 16;

/** An answer that came too slowly to be waited for. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow';
  /** As undici names what takes too long, so that it is dealt with like that. */
  readonly code = 'UND_ERR_BODY_TIMEOUT';

  constructor(bytes: number, seconds: number) {
    super(`only ${bytes} bytes came in ${Math.round(seconds)} s`);
  }
}

export interface MinimumRate {
  graceMs: number;
  bytesPerSecond: number;
}

/**
 * The pieces of a body.
 * @throws TooSlow where they come below the rate
 */
export async function* atMinimumRate(
  body: Readable,
  { graceMs, bytesPerSecond }: MinimumRate = { graceMs: GRACE_MS, bytesPerSecond: BYTES_PER_SECOND },
): AsyncGenerator<Buffer> {
  const started = performance.now();
  let received = 0;
  const timer = setInterval(
    () => {
      const late = performance.now() - started - graceMs;
      if (late > 0 && received < (late / 1000) * bytesPerSecond)
        body.destroy(new TooSlow(received, (late + graceMs) / 1000));
    },
    Math.min(CHECK_MS, graceMs),
  );
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      received += piece.length;
      yield piece;
    }
  } finally {
    clearInterval(timer);
  }
}

/** Reads a body that nobody wants; one that is long or slow loses its connection instead. */
export async function discard(body: Dispatcher.ResponseData['body']): Promise<void> {
  await body.dump({ limit: DISCARD_BYTES, signal: AbortSignal.timeout(DISCARD_MS) }).catch(() => undefined);
}
