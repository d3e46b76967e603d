/**
 * What an answer's headers say about limits. Servers agree on little: names, units, windows and ways to write a time
 * all differ, so they are read into one shape here. What makes no sense is ignored.
 *
 * | who | headers |
 * |---|---|
 * | OpenAI, Groq, LiteLLM and most gateways | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (help.openai.com 5955604) |
 * | Azure, GitHub Models | the same, reset in seconds, and `x-ratelimit-renewalperiod-*`: the window in seconds |
 * | Cerebras, SambaNova | the same with `-minute`, `-hour`, `-day` at the end |
 * | Mistral | `x-ratelimit-{limit,remaining}-{req,tokens}-minute`; earlier `ratelimitbysize-*`, of tokens |
 * | Anthropic | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`, reset as RFC 3339 |
 * | OpenRouter, Together and many others | `x-ratelimit-{limit,remaining,reset}`: of an unknown window |
 * | IETF drafts 0 to 6 | `ratelimit-{limit,remaining,reset}` |
 * | IETF draft 7 | `ratelimit: limit=100, remaining=0, reset=30`, `ratelimit-policy: 100;w=60` |
 * | IETF drafts from 8 on | `ratelimit: "default";r=0;t=30`, `ratelimit-policy: "default";q=100;w=60;qu="requests"` |
 */

import { parseMilliseconds, parseWait } from './waits.js';

/** Header values; names are lower case. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type LimitUnit = 'requests' | 'tokens';

/** One limit as an answer states it. */
export interface StatedLimit {
  unit: LimitUnit;
  /** True where the header's name says what it counts; others count requests as a rule. */
  isNamed: boolean;
  limit: number | null;
  remaining: number | null;
  /** Milliseconds until it is whole again or starts over. */
  reset: number | null;
  /** Milliseconds in which `limit` may be used; null where it is not known. */
  window: number | null;
}

/** What an answer's headers say about the account's limits; null where they say nothing. */
export interface AccountLimits {
  requestsPerMinute: number | null;
  tokensPerMinute: number | null;
  requestsPerDay: number | null;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const WINDOWS: Readonly<Record<string, number>> = {
  second: 1000,
  minute: MINUTE_MS,
  hour: HOUR_MS,
  day: DAY_MS,
  month: 30 * DAY_MS,
};
/** Limits of longer windows do not set the pace. */
const LONGEST_PACED_WINDOW_MS = MINUTE_MS;
/** How far the window that a reset implies may be off from a day. */
const DAY_TOLERANCE = 0.1;
/** A limit whose implied window is longer than this is not a minute's. */
const LONGEST_MINUTE_WINDOW_MS = 30 * MINUTE_MS;
/** No account has more of anything a minute; a larger figure is a mistake. */
const LARGEST_LIMIT = 1e12;
const LONGEST_DRAFT = 1000;

type Field = 'limit' | 'remaining' | 'reset' | 'window';

/** What a header's name says. */
interface NamedField {
  field: Field;
  unit: LimitUnit;
  isNamed: boolean;
  window: number | null;
  /** Fields of one key describe one limit. */
  key: string;
}

const OPENAI_NAME =
  /^(?:x-)?rate-?limit(bysize)?-(limit|remaining|reset|renewalperiod)(?:-after)?(?:-(requests?|req|tokens?))?(?:-(second|minute|hour|day|month))?$/;
const ANTHROPIC_NAME = /^anthropic-ratelimit-(requests|(?:input-|output-)?tokens)-(limit|remaining|reset)$/;
const UNITS: Readonly<Record<string, LimitUnit>> = {
  req: 'requests',
  request: 'requests',
  requests: 'requests',
  token: 'tokens',
  tokens: 'tokens',
};

/** Names that were looked at before: the same ones come with every answer. */
const namedFields = new Map<string, NamedField | null>();
const MOST_NAMES = 1000;

function namedField(name: string): NamedField | null {
  const known = namedFields.get(name);
  if (known !== undefined) return known;
  const found = readName(name);
  if (namedFields.size < MOST_NAMES) namedFields.set(name, found);
  return found;
}

function readName(name: string): NamedField | null {
  const anthropic = ANTHROPIC_NAME.exec(name);
  if (anthropic !== null) {
    const [, counted = '', what] = anthropic;
    const unit = UNITS[counted] ?? 'tokens';
    const field = what as Field;
    // Those of input and of output alone say when to try again; `tokens` is the one that is nearest to being used up.
    if (field === 'limit' && UNITS[counted] === undefined) return null;
    // All limits of this API are a minute's (docs.anthropic.com, rate limits).
    return { field, unit, isNamed: true, window: MINUTE_MS, key: `anthropic ${counted}` };
  }
  const match = OPENAI_NAME.exec(name);
  if (match === null) return null;
  const [, bySize, what = '', counted = '', span = ''] = match;
  const unit = bySize === undefined ? (UNITS[counted] ?? 'requests') : 'tokens';
  return {
    field: what === 'renewalperiod' ? 'window' : (what as Field),
    unit,
    isNamed: counted !== '' || bySize !== undefined,
    window: WINDOWS[span] ?? null,
    key: `${counted === '' && bySize === undefined ? 'unnamed' : unit} ${span}`,
  };
}

const NONE: readonly StatedLimit[] = [];

/** Every limit that an answer's headers state, in no order. */
export function statedLimits(headers: Headers, nowDate: number = Date.now()): readonly StatedLimit[] {
  let limits: Map<string, StatedLimit> | null = null;
  const answer = { headers, nowDate };
  for (const name in headers) {
    const named = namedField(name);
    if (named === null) continue;
    limits ??= new Map();
    const stated = limits.get(named.key) ?? newLimit(named);
    limits.set(named.key, stated);
    takeField(stated, named.field, name, answer);
  }
  for (const stated of limits?.values() ?? []) stated.window ??= impliedWindow(stated);
  const hasDrafts = headers['ratelimit'] !== undefined || headers['ratelimit-policy'] !== undefined;
  if (!hasDrafts) return limits === null ? NONE : [...limits.values()];
  return [...(limits?.values() ?? []), ...draftLimits(headers)];
}

function newLimit({ unit, isNamed, window }: NamedField): StatedLimit {
  return { unit, isNamed, limit: null, remaining: null, reset: null, window };
}

function takeField(
  stated: StatedLimit,
  field: Field,
  name: string,
  { headers, nowDate }: { headers: Headers; nowDate: number },
): void {
  const text = headerText(headers, name);
  switch (field) {
    case 'limit':
      stated.limit = amount(text, 1);
      break;
    case 'remaining':
      stated.remaining = amount(text, 0);
      break;
    case 'reset':
      stated.reset = parseWait(text, serverTime(headers, nowDate));
      break;
    case 'window': {
      const seconds = amount(text, 1);
      stated.window = seconds === null ? null : seconds * 1000;
    }
  }
}

/** The number at the start of `100` or `100, 100;w=60`; null where it is missing or absurd. */
function amount(text: string | null, least: number): number | null {
  const digits = /^\s*(\d{1,15})(?:\.\d+)?\s*(?:$|[,;])/.exec(text ?? '')?.[1];
  if (digits === undefined) return null;
  const number = Number(digits);
  return number < least || number > LARGEST_LIMIT ? null : number;
}

/**
 * The window of a limit that fills evenly, as at OpenAI: `reset` is the time until it is full again. A limit that
 * starts over at a fixed moment says less: then only a window longer than a minute can be recognised.
 */
function impliedWindow({ isNamed, limit, remaining, reset }: StatedLimit): number | null {
  if (!isNamed) return null;
  if (limit === null || remaining === null || reset === null || remaining >= limit) return MINUTE_MS;
  const implied = (reset * limit) / (limit - remaining);
  if (Math.abs(implied / DAY_MS - 1) < DAY_TOLERANCE) return DAY_MS;
  if (reset > LONGEST_MINUTE_WINDOW_MS) return DAY_MS;
  if (implied <= LONGEST_MINUTE_WINDOW_MS) return MINUTE_MS;
  return null;
}

/** `ratelimit` and `ratelimit-policy` of the IETF's drafts; items of one name describe one limit. */
function draftLimits(headers: Headers): StatedLimit[] {
  const policies = new Map<string, Map<string, string>>();
  for (const name of ['ratelimit-policy', 'ratelimit']) {
    for (const item of draftItems(headerText(headers, name))) {
      const policy = policies.get(item.name) ?? new Map<string, string>();
      policies.set(item.name, policy);
      for (const [parameter, value] of item.parameters) policy.set(parameter, value);
    }
  }
  return [...policies.values()].flatMap((policy) => {
    const unit = policy.get('qu') ?? 'requests';
    if (unit !== 'requests' && unit !== 'tokens') return [];
    const first = (...names: string[]): string | null =>
      names.map((name) => policy.get(name)).find((value) => value !== undefined) ?? null;
    const seconds = amount(first('w'), 1);
    return {
      unit,
      isNamed: true,
      limit: amount(first('q', 'limit'), 1),
      remaining: amount(first('r', 'remaining'), 0),
      reset: parseWait(first('t', 'reset'), 0),
      window: seconds === null ? null : seconds * 1000,
    };
  });
}

/** `"name";q=1;w=2, 100;w=60, limit=5` as names and parameters; a bare number is the parameter `q`. */
function draftItems(text: string | null): { name: string; parameters: [string, string][] }[] {
  if (text === null || text.length > LONGEST_DRAFT) return [];
  return text.split(',').map((item) => {
    const parts = item.split(';').map((part) => part.trim());
    const head = parts[0] ?? '';
    const isName = !/^\d+$/.test(head) && !head.includes('=');
    const parameters = (isName ? parts.slice(1) : parts).map((part): [string, string] => {
      const equals = part.indexOf('=');
      return equals === -1
        ? ['q', part]
        : [part.slice(0, equals).trim().toLowerCase(), unquoted(part.slice(equals + 1))];
    });
    return { name: isName ? unquoted(head) : '', parameters };
  });
}

function unquoted(text: string): string {
  return text.trim().replace(/^"(.*)"$/, '$1');
}

/** What the account may use, from an answer's headers. */
export function readLimits(headers: Headers): AccountLimits {
  const limits: AccountLimits = { requestsPerMinute: null, tokensPerMinute: null, requestsPerDay: null };
  for (const stated of statedLimits(headers)) {
    const perMinute = minuteRate(stated);
    if (stated.unit === 'tokens') limits.tokensPerMinute ??= perMinute;
    else {
      limits.requestsPerMinute ??= perMinute;
      limits.requestsPerDay ??= dayLimit(stated);
    }
  }
  return limits;
}

/** What a limit comes to in a minute; null where it says nothing about one. */
export function minuteRate({ limit, window }: StatedLimit): number | null {
  if (limit === null || window === null || window > LONGEST_PACED_WINDOW_MS) return null;
  return (limit * MINUTE_MS) / window;
}

/** The limit where it is a day's; null otherwise. */
export function dayLimit({ limit, window }: StatedLimit): number | null {
  return window === DAY_MS ? limit : null;
}

/**
 * Milliseconds that a server asks to wait: `retry-after-ms`, else `retry-after` (the order of the official SDK) or what
 * some servers call it, else the time until a limit that is used up starts over. Null where it says nothing or nothing
 * that makes sense.
 * @param nowDate the wall clock, for dates; the server's own `date` has precedence, as this machine's may be wrong
 */
export function retryAfter(headers: Headers, nowDate: number = Date.now()): number | null {
  const now = serverTime(headers, nowDate);
  return (
    first(MILLISECOND_HEADERS, (name) => parseMilliseconds(headerText(headers, name))) ??
    first(WAIT_HEADERS, (name) => parseWait(headerText(headers, name), now)) ??
    resetOfUsedUp(headers, nowDate)
  );
}

/** The second is Azure's. */
const MILLISECOND_HEADERS: readonly string[] = ['retry-after-ms', 'x-ms-retry-after-ms'];
/** After the standard's: what gateways send, and GitHub Models (`x-ratelimit-timeremaining`). */
const WAIT_HEADERS: readonly string[] = [
  'retry-after',
  'x-retry-after',
  'x-ratelimit-retry-after',
  'x-ratelimit-timeremaining',
];

/** The first value that is not null. */
function first(names: readonly string[], read: (name: string) => number | null): number | null {
  for (const name of names) {
    const value = read(name);
    if (value !== null) return value;
  }
  return null;
}

/** The reset of the limit that is used up; of several, that of the last to start over. */
function resetOfUsedUp(headers: Headers, nowDate: number): number | null {
  const resets = statedLimits(headers, nowDate).flatMap(({ isNamed, remaining, reset }) =>
    reset !== null && (remaining === 0 || (remaining === null && !isNamed)) ? [reset] : [],
  );
  return resets.length === 0 ? null : Math.max(...resets);
}

/** The wall clock of the server, if it sends it. */
function serverTime(headers: Headers, nowDate: number): number {
  const sent = Date.parse(headerText(headers, 'date') ?? '');
  return Number.isFinite(sent) ? sent : nowDate;
}

function headerText(headers: Headers, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
