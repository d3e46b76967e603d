import { it, vi } from 'vitest';
import { Concurrency } from '../../src/requests/concurrency.js';
import type { Stop } from '../../src/requests/processor.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import type { ChatResponse } from '../../src/http/chat-client.js';
import { FakeClock } from '../support/fake-clock.js';
import { plainProcessor } from '../support/plain-processor.js';
import { completion } from '../support/scripted-api.js';
import { generator, logNormal, pick as pickOf } from '../support/server-model.js';
import { cases, Tally, type Outcome } from './tally.js';

vi.setConfig({ testTimeout: 3_600_000 });

const ROWS = cases(0, 1) === 0 ? 150 : 400;
const A_WEEK_MS = 7 * 86_400_000;
const REFUSAL_MS = 5;
/** What a request uses, and what it may use. */
const PROMPT = 100;
const USED = 150;
const MOST = 600;
/** Time that a run may take beside the best there is, with and without a word about limits, and to learn of a server. */
const SLOWEST = 4;
const SLOWEST_UNTOLD = 12;
const LEARNING_MS = 120_000;
/** 429s a row, at servers that take one request in two seconds and do not say so. */
const MOST_THROTTLED = 1.5;

interface Model {
  seed: number;
  /** Answers in progress, and requests that wait for one of these slots; further ones are refused. */
  slots: number;
  queue: number;
  /** Mean and deviation of an answer's time, in milliseconds. */
  mean: number;
  deviation: number;
  /** Milliseconds until the client abandons a request. The server still answers it. */
  timeout: number;
  requestsPerMinute: number;
  tokensPerMinute: number;
  charge: 'reserved' | 'used';
  hasHeaders: boolean;
  tellsWait: boolean;
}

function modelOf(seed: number): Model {
  const random = generator(seed);
  const pick = <Item>(...list: Item[]): Item => pickOf(random, list);
  const mean = pick(100, 500, 2000, 8000);
  return {
    seed,
    slots: pick(1, 2, 4, 16, 64, 500),
    queue: pick(0, 4, 64, Infinity, Infinity),
    mean,
    deviation: pick(0, 0.3, 0.7),
    timeout: mean * pick(15, 40, 100),
    requestsPerMinute: pick(30, 120, 600, 3000, Infinity),
    tokensPerMinute: pick(20_000, 60_000, 500_000, Infinity),
    charge: pick('reserved', 'used'),
    hasHeaders: random() < 0.5,
    tellsWait: random() < 0.5,
  };
}

/** A limit that fills evenly and lets a second's worth through at once. */
class Limit {
  #level: number;
  #updated = 0;
  readonly #most: number;

  constructor(readonly perMinute: number) {
    this.#most = Math.max(perMinute / 60, perMinute === Infinity ? 0 : MOST + PROMPT);
    this.#level = this.#most;
  }

  /** Milliseconds until so much can be taken; 0 where it can be now. */
  wait(amount: number, now: number): number {
    if (this.perMinute === Infinity) return 0;
    this.#level = Math.min(this.#most, this.#level + ((now - this.#updated) * this.perMinute) / 60_000);
    this.#updated = now;
    return this.#level >= amount ? 0 : ((amount - this.#level) * 60_000) / this.perMinute;
  }

  take(amount: number): void {
    this.#level -= amount;
  }

  get left(): number {
    return Math.max(0, Math.floor(this.#level));
  }
}

/** A server by a model, and its ledger. */
class ModelServer {
  readonly #random: () => number;
  readonly #service: (random: () => number) => number;
  readonly #requests: Limit;
  readonly #tokens: Limit;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  throttled = 0;
  /** Answers that reached the client, by row. */
  readonly delivered = new Map<number, number>();
  /** Answers whose client had given up. */
  inVain = 0;

  constructor(
    private readonly model: Model,
    private readonly clock: FakeClock,
  ) {
    this.#random = generator(model.seed + 1_000_003);
    this.#service = logNormal(model.mean, model.deviation);
    this.#requests = new Limit(model.requestsPerMinute);
    this.#tokens = new Limit(model.tokensPerMinute);
  }

  async send(row: number): Promise<ChatResponse> {
    const { charge, slots, queue, timeout } = this.model;
    const now = this.clock.now();
    const amount = charge === 'reserved' ? PROMPT + MOST : 1;
    const wait = Math.max(this.#requests.wait(1, now), this.#tokens.wait(amount, now));
    if (wait > 0) return this.#refuse(429, wait);
    if (this.#busy >= slots && this.#waiting.length >= queue) return this.#refuse(queue === 0 ? 429 : 503, 0);
    this.#requests.take(1);
    if (charge === 'reserved') this.#tokens.take(amount);
    let isOpen = true;
    const answer = this.#work().then(() => {
      if (charge === 'used') this.#tokens.take(PROMPT + USED);
      if (isOpen) this.delivered.set(row, (this.delivered.get(row) ?? 0) + 1);
      else this.inVain += 1;
      return true;
    });
    const isAnswered = await Promise.race([answer, this.clock.sleep(timeout).then(() => false)]);
    isOpen = false;
    if (!isAnswered) throw Object.assign(new Error('no answer'), { code: 'UND_ERR_HEADERS_TIMEOUT' });
    const usage = { prompt_tokens: PROMPT, completion_tokens: USED, total_tokens: PROMPT + USED };
    return this.#response(200, { ...completion('yes'), usage });
  }

  async #work(): Promise<void> {
    if (this.#busy >= this.model.slots) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy += 1;
    await this.clock.sleep(this.#service(this.#random));
    this.#busy -= 1;
    this.#waiting.shift()?.();
  }

  async #refuse(status: number, wait: number): Promise<ChatResponse> {
    if (status === 429) this.throttled += 1;
    await this.clock.sleep(REFUSAL_MS);
    const after = status === 429 && this.model.tellsWait ? { 'retry-after-ms': String(Math.ceil(wait)) } : {};
    return this.#response(status, { error: { message: 'Rate limit reached', type: 'requests' } }, after);
  }

  #response(status: number, body: unknown, more: Record<string, string> = {}): ChatResponse {
    return { status, headers: { ...this.#headers(), ...more }, body: Buffer.from(JSON.stringify(body)) };
  }

  #headers(): Record<string, string> {
    const { hasHeaders, requestsPerMinute, tokensPerMinute } = this.model;
    if (!hasHeaders) return {};
    const told = (name: string, limit: Limit): Record<string, string> =>
      limit.perMinute === Infinity
        ? {}
        : {
            [`x-ratelimit-limit-${name}`]: String(limit.perMinute),
            [`x-ratelimit-remaining-${name}`]: String(limit.left),
          };
    return {
      ...(requestsPerMinute === Infinity ? {} : told('requests', this.#requests)),
      ...(tokensPerMinute === Infinity ? {} : told('tokens', this.#tokens)),
    };
  }
}

/** The shortest possible time, in milliseconds. */
function best({ slots, mean, requestsPerMinute, tokensPerMinute, charge }: Model): number {
  const tokens = charge === 'reserved' ? PROMPT + MOST : PROMPT + USED;
  return Math.max(
    (ROWS * mean) / slots,
    (ROWS * 60_000) / requestsPerMinute,
    (ROWS * tokens * 60_000) / tokensPerMinute,
    mean,
  );
}

async function drive(model: Model): Promise<Outcome> {
  const clock = new FakeClock();
  const server = new ModelServer(model, clock);
  const random = generator(model.seed + 7);
  const ended = new Map<number, number>();
  let lastAt = 0;
  const end = (row: number): void => {
    ended.set(row, (ended.get(row) ?? 0) + 1);
    lastAt = clock.now();
  };
  let failed = 0;
  const processor = plainProcessor({
    transport: {
      send: (body) => server.send((JSON.parse(body.toString('utf8')) as { row: number }).row),
      switchToResponses: () => true,
    },
    limiter: new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      completionTokens: MOST,
      clock,
      random,
    }),
    concurrency: new Concurrency(512, false, { now: clock.now, timeout: model.timeout }),
    clock,
    random,
    events: {
      answered: ({ requestIdx }) => {
        end(requestIdx);
      },
      failed: ({ requestIdx }) => {
        failed += 1;
        end(requestIdx);
      },
    },
  });
  const jobs = Array.from({ length: ROWS }, (_, row) => ({
    requestIdx: row,
    body: Buffer.from(JSON.stringify({ row, messages: [], max_tokens: MOST })),
    tokens: PROMPT,
  }));
  const run = processor.run(jobs);
  await clock.runUntil(A_WEEK_MS);
  const stop = await run;
  const times = [...ended.values()];
  return {
    lost: ROWS - ended.size + failed,
    paidTwice: [...server.delivered.values()].reduce((sum, count) => sum + count - 1, 0),
    problem: problemOf(model, server, stop, times, lastAt),
  };
}

function problemOf(
  model: Model,
  server: ModelServer,
  stop: Stop | null,
  ended: readonly number[],
  time: number,
): string | null {
  if (stop !== null) return `stop: ${JSON.stringify(stop)}`;
  if (ended.some((count) => count > 1)) return 'a row ended twice';
  if (server.inVain > ROWS * 0.15) return `${server.inVain} answers in vain`;
  if (server.throttled > ROWS * MOST_THROTTLED) return `${server.throttled} × 429`;
  const fastest = best(model);
  const slowest = model.hasHeaders || model.tellsWait ? SLOWEST : SLOWEST_UNTOLD;
  return time > fastest * slowest + LEARNING_MS
    ? `${Math.round(time / 1000)} s where ${Math.round(fastest / 1000)} s can do`
    : null;
}

it('keeps any server busy, and within its limits and its queue', async () => {
  const tally = new Tally('server models: slots, queues, time-outs, limits and charges at random');
  const models = Array.from({ length: cases(4, 1000) }, (_, number) => modelOf(number + 1));
  await tally.play(models, (model) => JSON.stringify(model), drive, 1);
  tally.expectAll();
});
