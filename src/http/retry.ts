/**
 * When a call is made again, how often and after what pause: one policy for the Hub, pushes to it and batch APIs. Chat
 * requests of a run have their own loop (`requests/processor.ts`), whose attempts are the row's, with the same back-off.
 */

import { systemErrorCode } from '../lib/errors.js';
import { retryAfter, type Headers } from './limit-headers.js';
import { TooSlow } from './minimum-rate.js';

/** How often a call is made at most. */
export const TRIES = 6;
/** A server that can't be reached at all is reported sooner. */
const TRIES_UNREACHABLE = 3;
/** So is one that is too slow: each try takes half a minute. */
const TRIES_SLOW = 2;
const BASE_MS = 500;
const LONGEST_MS = 60_000;

/** No connection was made. */
const UNREACHABLE = new Set(['ENOTFOUND', 'ECONNREFUSED', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH']);

/** True for the code of a system error that says that a server was not reached. */
export function isUnreachable(code: string): boolean {
  return UNREACHABLE.has(code);
}

/** How often a call is made at most that fails with this error and without a response. */
export function triesAfter(error: unknown): number {
  if (error instanceof TooSlow) return TRIES_SLOW;
  return isUnreachable(systemErrorCode(error) ?? '') ? TRIES_UNREACHABLE : TRIES;
}

/**
 * True for the status of an answer after which the same call may succeed later. 501 (not implemented) and 507 (no space
 * left) are permanent (RFC 9110, RFC 4918).
 */
export function isTransientStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 507);
}

/** Milliseconds that a server asks to wait: `Retry-After`, or the end of the window in `RateLimit: "api";r=0;t=55`. */
export function requestedWait(headers: Headers): number | null {
  const asked = retryAfter(headers);
  if (asked !== null) return asked;
  // huggingface/hub-docs, docs/hub/rate-limits.md
  const limit = headers['ratelimit'];
  if (typeof limit !== 'string' || !/\br=0\b/.test(limit)) return null;
  const seconds = /\bt=(\d{1,9})\b/.exec(limit)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

/**
 * Exponential back-off with full jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
 * @param attempt of the try that failed, from 1
 * @param random from 0 to 1
 * @param longest milliseconds
 */
export function backOff(attempt: number, random: () => number, longest = LONGEST_MS): number {
  return random() * Math.min(longest, BASE_MS * 2 ** attempt);
}

/**
 * Milliseconds to wait before the next try: what the server asks for and a little more, so that not all come back at once;
 * where it does not say, a growing pause.
 * @param asked null where the server did not say
 */
export function pauseAfter(
  attempt: number,
  asked: number | null,
  random: () => number = Math.random,
): number {
  return asked === null ? backOff(attempt, random) : asked + random() * BASE_MS;
}

/** The outcome of a try. */
export type Try<T> =
  | { value: T }
  | {
      problem: Error;
      /** How often a call that fails like this is made at most; 1 if a retry cannot help. */
      tries: number;
      /** Milliseconds that the server asked to wait; null where it did not. */
      asked: number | null;
      /** What is returned after the last try; where absent, `problem` is thrown. */
      fallback?: T;
    };

/** How to wait between tries. */
export interface Pacing {
  /** @throws what ends the whole call */
  pause: (milliseconds: number, problem: Error) => Promise<void>;
  random: () => number;
  /** Milliseconds; a server that asks for more is not waited for any longer than this. */
  longestWait: number;
}

/** Makes a call that can safely be repeated, and retries it if its failure is transient. */
export async function withRetries<T>(
  tryOnce: () => Promise<Try<T>>,
  { pause, random, longestWait }: Pacing,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const tried = await tryOnce();
    if ('value' in tried) return tried.value;
    const { problem, tries, asked, fallback } = tried;
    if (attempt >= tries) {
      if (fallback !== undefined) return fallback;
      throw problem;
    }
    await pause(pauseAfter(attempt, asked === null ? null : Math.min(asked, longestWait), random), problem);
  }
}
