import { describe, expect, it } from 'vitest';
import { Concurrency } from '../../src/requests/concurrency.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import type { ChatResponse } from '../../src/http/chat-client.js';
import { FakeClock } from '../support/fake-clock.js';
import { plainProcessor } from '../support/plain-processor.js';
import { completion } from '../support/scripted-api.js';
import { generator, logNormal } from '../support/server-model.js';

const ROWS = 2000;
const TOKENS_EACH = 150;
const TOKENS_PER_MINUTE = 500 * TOKENS_EACH;
const LATENCY_MS = 2000;
const SLOTS = 4;

/** Decides whether a request is served; its usage is charged afterwards. No header states a limit. */
interface Limit {
  admits: (now: number) => boolean;
  ended: (now: number) => void;
  refusal: string;
  /** 429 where left out. */
  status?: number;
}

const REFUSED = 'Rate limit reached for requests';

/** LiteLLM and other gateways: what was used in this minute of the clock. */
function window(): Limit {
  let [minute, used] = [0, 0];
  const turn = (now: number): void => {
    if (Math.floor(now / 60_000) !== minute) used = 0;
    minute = Math.floor(now / 60_000);
  };
  return {
    refusal: REFUSED,
    admits: (now) => {
      turn(now);
      return used < TOKENS_PER_MINUTE;
    },
    ended: (now) => {
      turn(now);
      used += TOKENS_EACH;
    },
  };
}

/** A bucket of a minute's tokens that fills evenly. */
function bucket(): Limit {
  let [level, filled] = [TOKENS_PER_MINUTE, 0];
  return {
    refusal: REFUSED,
    admits: (now) => {
      level = Math.min(TOKENS_PER_MINUTE, level + ((now - filled) / 60_000) * TOKENS_PER_MINUTE);
      filled = now;
      return level > 0;
    },
    ended: () => (level -= TOKENS_EACH),
  };
}

/** So many at a time. */
function slots(refusal: string, status = 429): Limit {
  let busy = 0;
  return {
    ...{ refusal, status },
    admits: () => {
      if (busy >= SLOTS) return false;
      busy += 1;
      return true;
    },
    ended: () => (busy -= 1),
  };
}

/** What 200 rows take at best with that many at a time. */
const SLOTS_MS = (200 * LATENCY_MS) / SLOTS;
const SPACING_MS = 300;

/** nginx with `limit_req` and no burst: one in so many milliseconds. */
function spaced(): Limit {
  let next = 0;
  return {
    refusal: REFUSED,
    admits: (now) => {
      if (now < next) return false;
      next = now + SPACING_MS;
      return true;
    },
    ended: () => undefined,
  };
}

/** Sends rows to a server with such a limit. */
async function drive(limit: Limit, rows: number): Promise<{ milliseconds: number; throttled: number }> {
  const clock = new FakeClock();
  const random = generator(5);
  const service = logNormal(LATENCY_MS, 0.4);
  let throttled = 0;
  const send = async (): Promise<ChatResponse> => {
    await clock.sleep(20);
    if (!limit.admits(clock.now())) {
      throttled += 1;
      return {
        status: limit.status ?? 429,
        headers: {},
        body: Buffer.from(JSON.stringify({ error: { message: limit.refusal } })),
      };
    }
    await clock.sleep(service(random));
    limit.ended(clock.now());
    const usage = { prompt_tokens: 50, completion_tokens: TOKENS_EACH - 50, total_tokens: TOKENS_EACH };
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify({ ...completion('yes'), usage })) };
  };
  const processor = plainProcessor({
    transport: { send, switchToResponses: () => true },
    limiter: new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      completionTokens: 2048,
      clock,
      random,
    }),
    concurrency: new Concurrency(512, false, { now: clock.now }),
    clock,
    random,
  });
  const jobs = Array.from({ length: rows }, (_, row) => ({
    requestIdx: row,
    body: Buffer.from('{"messages":[]}'),
    tokens: 50,
  }));
  let milliseconds = 0;
  void processor.run(jobs).then(() => (milliseconds = clock.now()));
  for (let until = 1000; until < 3_600_000 && processor.counts.answered < rows; until += 1000)
    await clock.runUntil(until);
  await clock.runUntil(clock.now() + 1000);
  return { milliseconds, throttled };
}

describe('a limit that nothing states', () => {
  it.each<[string, () => Limit, rows: number, ideal: number, most: number, refused: number]>([
    ['of a minute of the clock', window, ROWS, (ROWS * TOKENS_EACH * 60_000) / TOKENS_PER_MINUTE, 1.3, 0.4],
    ['that fills evenly', bucket, ROWS, (ROWS * TOKENS_EACH * 60_000) / TOKENS_PER_MINUTE, 1.3, 0.4],
    ['of requests at a time', () => slots('Too many concurrent requests'), 200, SLOTS_MS, 1.2, 0.2],
    ['of requests at a time, unnamed', () => slots('Too Many Requests'), 200, SLOTS_MS, 1.2, 0.3],
    ['of requests at a time, told by 503', () => slots('Service Unavailable', 503), 200, SLOTS_MS, 1.2, 0.3],
    ['of one request in a while', spaced, 200, 200 * SPACING_MS, 1.9, 0.75],
  ])('is found out from refusals, and used: one %s', async (_, limit, rows, ideal, most, refused) => {
    const { milliseconds, throttled } = await drive(limit(), rows);
    expect(milliseconds / ideal).toBeLessThan(most);
    expect(milliseconds).toBeGreaterThan(0);
    expect(throttled / rows).toBeLessThan(refused);
  });
});
