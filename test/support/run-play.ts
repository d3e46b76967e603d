/** Complete runs against modelled servers on a fake clock, and the remaining times that they predict. */

import type { ChatResponse } from '../../src/http/chat-client.js';
import { Concurrency } from '../../src/requests/concurrency.js';
import { Fleet } from '../../src/requests/fleet.js';
import { Member } from '../../src/requests/fleet-member.js';
import type { PooledLimits } from '../../src/requests/pooled-limits.js';
import type { Processor, Schedule } from '../../src/requests/processor.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { OneServer, type Server, type Servers } from '../../src/requests/servers.js';
import { allowedRate } from '../../src/session/meter.js';
import { TimeLeft, type OpenHours } from '../../src/session/time-left.js';
import { FakeClock } from './fake-clock.js';
import { plainProcessor } from './plain-processor.js';
import { completion } from './scripted-api.js';
import { generator, type Random } from './server-model.js';

/** A request as a server sees it. */
export interface Asked {
  row: number;
  /** Milliseconds since the start of the run. */
  now: number;
  random: Random;
}

export interface Scene {
  rows: number;
  /** Milliseconds of an answer. */
  service: (asked: Asked) => number;
  /** Answers that each server works on at the same time; unlimited where absent. */
  slots?: number;
  /** How many servers there are, 1 where absent. */
  servers?: number;
  /** `--max_concurrency`. */
  concurrency?: number;
  /** Limits that the answers' headers state, and limits of the user. */
  perMinute?: number;
  tokensPerMinute?: number;
  /** What is sent instead of an answer; null for an answer. */
  refuses?: (asked: Asked & { server: number }) => Refusal | null;
  /** Requests in flight from which on this process has no time for more; absent where it always has. */
  busyFrom?: number;
  /** Milliseconds until requests may be sent (`--off_peak`). */
  closedFor?: (now: number) => number;
}

export interface Refusal {
  status: number;
  /** `retry-after`, in seconds. */
  wait?: number;
  /** Milliseconds until it comes; 20 where absent. */
  after?: number;
}

export interface Prediction {
  /** Milliseconds since the start. */
  at: number;
  /** Rows that are done with. */
  done: number;
  /** Milliseconds that were predicted; null for no prediction. */
  left: number | null;
}

const LOOK_EVERY_MS = 1000;
const LONGEST_MS = 24 * 3_600_000;
const TOKENS_OF_A_PROMPT = 50;
const TOKENS_OF_AN_ANSWER = 100;

/** One server: its slots, its queue, and what it says. */
class ServerPlay {
  readonly #queue: (() => void)[] = [];
  #free: number;

  constructor(
    private readonly scene: Scene,
    private readonly number: number,
    private readonly clock: FakeClock,
    private readonly random: Random,
  ) {
    this.#free = scene.slots ?? Infinity;
  }

  readonly send = async (bytes: Buffer): Promise<ChatResponse> => {
    const { row } = JSON.parse(bytes.toString('utf8')) as { row: number };
    const { clock, random, scene } = this;
    const refusal = scene.refuses?.({ row, now: clock.now(), random, server: this.number }) ?? null;
    if (refusal !== null) {
      await clock.sleep(refusal.after ?? 20);
      const headers = refusal.wait === undefined ? {} : { 'retry-after': String(refusal.wait) };
      return { status: refusal.status, headers, body: Buffer.from('{}') };
    }
    await this.#work(row);
    const headers = scene.perMinute === undefined ? {} : limitHeaders(scene.perMinute);
    return { status: 200, headers, body: Buffer.from(JSON.stringify(completion('yes'))) };
  };

  async #work(row: number): Promise<void> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#queue.push(resolve));
    else this.#free -= 1;
    const { clock, random } = this;
    await clock.sleep(this.scene.service({ row, now: clock.now(), random }));
    const next = this.#queue.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

function limitHeaders(perMinute: number): Record<string, string> {
  return {
    'x-ratelimit-limit-requests': String(perMinute),
    'x-ratelimit-remaining-requests': String(perMinute - 1),
    'x-ratelimit-reset-requests': '10ms',
  };
}

/** Plays a whole run and returns what was predicted every half second, and when it ended. */
export async function playRun(scene: Scene, seed = 7): Promise<{ predicted: Prediction[]; end: number }> {
  const clock = new FakeClock();
  const { servers, limits } = serversOf(scene, clock, generator(seed));
  const schedule: Schedule = { wait: () => scene.closedFor?.(clock.now()) ?? 0 };
  const timeLeft = new TimeLeft(scene.closedFor === undefined ? null : openHours(scene.closedFor, clock));
  let done = 0;
  const processor: Processor = plainProcessor({
    servers,
    schedule: scene.closedFor === undefined ? null : schedule,
    clock,
    random: () => 0.5,
    events: {
      answered: ({ startedAt = 0 }) => {
        done += 1;
        timeLeft.answered(startedAt, clock.now());
      },
      failed: () => (done += 1),
    },
  });
  const jobs = Array.from({ length: scene.rows }, (_, row) => ({
    requestIdx: row,
    body: Buffer.from(JSON.stringify({ row, messages: [] })),
    tokens: TOKENS_OF_A_PROMPT,
  }));
  const predicted: Prediction[] = [];
  const ends: number[] = [];
  void processor.run(jobs).then(() => ends.push(clock.now()));
  for (let now = 0; ends.length === 0 && now < LONGEST_MS; now += LOOK_EVERY_MS) {
    await clock.runUntil(now);
    if (servers instanceof Fleet) for (const member of servers.toProbe) servers.probed(member, 'no answer');
    timeLeft.add({
      time: now,
      done,
      left: scene.rows - done,
      inFlight: processor.inFlight,
      ramp: processor.ramp,
      allowed: allowedRate(limits),
      pause: limits.gateMilliseconds,
    });
    predicted.push({ at: now, done, left: timeLeft.estimate });
  }
  return { predicted, end: ends[0] ?? LONGEST_MS };
}

function openHours(closedFor: (now: number) => number, clock: FakeClock): OpenHours {
  return {
    wait: () => closedFor(clock.now()),
    lasting: (work) => {
      let time = clock.now();
      for (let left = work; left > 0; time += 500) if (closedFor(time) === 0) left -= 500;
      return time - clock.now();
    },
  };
}

function serversOf(
  scene: Scene,
  clock: FakeClock,
  random: Random,
): { servers: Servers; limits: RateLimiter | PooledLimits } {
  const all = Array.from({ length: scene.servers ?? 1 }, (_, number) =>
    serverOf(scene, number, clock, random),
  );
  const [only] = all;
  if (only !== undefined && all.length === 1) return { servers: new OneServer(only), limits: only.limiter };
  const ignore = (): void => undefined;
  const reporter = { debug: ignore, info: ignore, warning: ignore, error: ignore };
  const fleet = new Fleet({ clock, reporter });
  for (const [number, server] of all.entries()) fleet.join(new Member(`server-${number}`, server));
  return { servers: fleet, limits: fleet.limits };
}

function serverOf(scene: Scene, number: number, clock: FakeClock, random: Random): Server {
  const { concurrency, tokensPerMinute = null } = scene;
  const { send } = new ServerPlay(scene, number, clock, random);
  const own: Concurrency = new Concurrency(concurrency ?? 512, concurrency !== undefined, {
    now: clock.now,
    isBusy: () => own.inFlight >= (scene.busyFrom ?? Infinity),
  });
  return {
    transport: { send, switchToResponses: () => true },
    limiter: new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute,
      completionTokens: TOKENS_OF_AN_ANSWER,
      clock,
      random: () => 0.5,
    }),
    concurrency: own,
  };
}
