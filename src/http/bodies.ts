/** The bodies and headers of answers that are read whole. All are bounded: a server may send anything. */

import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { atMinimumRate } from './minimum-rate.js';

/** A response that is larger than any valid one. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';

  constructor(readonly maximumBytes: number) {
    super(`more than ${Math.round(maximumBytes / (1 << 20))} MB in one answer`);
  }
}

/**
 * Reads a body into one buffer, which is allocated at once if the length is stated.
 * @throws TooLarge where there is more than `maximumBytes`; TooSlow where it drips
 */
export async function readBounded(
  { headers, body }: Pick<Dispatcher.ResponseData, 'headers' | 'body'>,
  maximumBytes: number,
): Promise<Buffer> {
  const stated = Number(headers['content-length']);
  const exact = Number.isSafeInteger(stated) && stated > 0 && stated <= maximumBytes;
  let bytes = Buffer.from(new ArrayBuffer(exact ? stated : 65_536));
  let length = 0;
  for await (const piece of atMinimumRate(body)) {
    if (length + piece.length > maximumBytes) throw new TooLarge(maximumBytes);
    if (length + piece.length > bytes.length) {
      const larger = Buffer.from(new ArrayBuffer(Math.max(bytes.length * 2, length + piece.length)));
      bytes.copy(larger, 0, 0, length);
      bytes = larger;
    }
    length += piece.copy(bytes, length);
  }
  return bytes.subarray(0, length);
}

/**
 * Reads the first bytes of a body, which is enough of an error. The connection of a longer body is closed.
 * @throws TooSlow where it drips
 */
export async function readStart(body: Readable, maximumBytes: number): Promise<Buffer> {
  const read: Buffer[] = [];
  let size = 0;
  for await (const piece of atMinimumRate(body)) {
    read.push(piece);
    size += piece.length;
    if (size > maximumBytes) break;
  }
  return Buffer.concat(read, Math.min(size, maximumBytes));
}

/** The headers of an answer for `Response`; values of one name become one. */
export function joinedHeaders(headers: Dispatcher.ResponseData['headers']): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, [value].flat().join(', ')] as [string, string]],
  );
}
