/** Which requests go wrong and how: drawn from a seed, so that a run can be repeated fault by fault. */

import { UsageError } from '../lib/errors.js';

/** What can go wrong with a chat completion. */
export const FAULTS = {
  '429': 'a rate limit error, although no limit is reached',
  '500': 'a server error in JSON',
  '503html': 'a gateway error in HTML',
  reset: 'the connection is reset before an answer',
  reset_mid: 'the connection is cut after the headers and half of the body',
  hang: 'no answer ever comes',
  torn: '200 with a whole HTTP body whose JSON stops in the middle',
  empty: '200 without choices',
  null_content: '200 with null in place of a text, although nothing stopped the model',
  refusal: '200 with a refusal in place of a text',
  content_filter: '200 with a text that the content filter withheld',
  quota: '429 insufficient_quota',
  error_200: '200 with an error object in place of a completion',
  drip: 'the right answer, byte by byte over a long time',
} as const;
export type Fault = keyof typeof FAULTS;

/** Faults that are about what a completion says: what is left of it is in `completions.ts`. */
export type ContentFault = 'empty' | 'null_content' | 'refusal' | 'content_filter';
/** Faults of the connection, simulated in `chat.ts`. */
export type ConnectionFault = 'reset' | 'reset_mid' | 'hang' | 'torn' | 'drip';
/** All others are error responses, which `chat.ts` defines. */
export type AnsweredFault = Exclude<Fault, ContentFault | ConnectionFault>;

export type FaultShares = Readonly<Partial<Record<Fault, number>>>;

/** What can go wrong with an answer of the datasets-server. */
export const HUB_FAULTS = {
  '429': 'too many requests, with Retry-After and RateLimit headers',
  '500': 'an unexpected error',
  ResponseNotReady: '500 with the error code ResponseNotReady: the answer is being computed',
} as const;
export type HubFault = keyof typeof HUB_FAULTS;
export type HubFaultShares = Readonly<Partial<Record<HubFault, number>>>;

/**
 * Reads faults as the command line has them: `429=0.05,500=0.03,reset=0.02`.
 * @throws UsageError that names the known faults
 */
export function parseFaults(text: string): FaultShares {
  return parseShares(text, FAULTS);
}

/**
 * Reads faults of the datasets-server as the command line has them: `429=0.05,ResponseNotReady=0.1`.
 * @throws UsageError that names the known faults
 */
export function parseHubFaults(text: string): HubFaultShares {
  return parseShares(text, HUB_FAULTS);
}

/**
 * Reads shares of anything that can go wrong: `kind=share,kind=share`.
 * @throws UsageError that names the known kinds
 */
export function parseShares<Name extends string>(
  text: string,
  known: Readonly<Record<Name, string>>,
): Partial<Record<Name, number>> {
  const shares: Partial<Record<Name, number>> = {};
  const names = `Known faults: ${Object.keys(known).join(', ')}.`;
  for (const part of text.split(',')) {
    const [name = '', share = ''] = part.split('=').map((piece) => piece.trim());
    if (!Object.hasOwn(known, name)) throw new UsageError(`Unknown fault "${name}". ${names}`);
    const value = share === '' ? Number.NaN : Number(share);
    if (!(value >= 0 && value <= 1)) {
      throw new UsageError(
        `The share of the fault ${name} must be a number from 0 to 1, as in ${name}=0.05. ${names}`,
      );
    }
    shares[name as Name] = value;
  }
  const sum = Object.values<number | undefined>(shares).reduce<number>(
    (total, share) => total + (share ?? 0),
    0,
  );
  if (sum > 1 + 1e-9) throw new UsageError(`The shares of the faults add up to ${sum}: more than 1.`);
  return shares;
}

/**
 * The fault that a number from 0 to 1 selects; null for none.
 * Each fault owns a stretch of that line as long as its share.
 */
export function pickFault<Name extends string>(
  shares: Readonly<Partial<Record<Name, number>>>,
  draw: number,
): Name | null {
  let end = 0;
  for (const name in shares) {
    end += shares[name] ?? 0;
    if (draw < end) return name;
  }
  return null;
}

/**
 * A number from 0 (included) to 1 (excluded) that depends on nothing but its arguments.
 * @param key a hexadecimal hash of the request
 * @param attempt how often this request was seen before
 * @param purpose keeps draws for different purposes apart
 */
export function draw(seed: number, key: string, attempt: number, purpose: number): number {
  let state = mix(seed ^ Number.parseInt(key.slice(0, 8), 16));
  state = mix(state ^ Math.imul(attempt + 1, 0x9e3779b1));
  state = mix(state ^ Math.imul(purpose + 1, 0x85ebca6b));
  return state / 0x1_0000_0000;
}

/** The finaliser of MurmurHash3: every bit of the result depends on every bit of the number. */
function mix(number: number): number {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
