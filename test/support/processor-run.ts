import type { AnswerRules } from '../../src/models/answer-rules.js';
import { FinishRules } from '../../src/models/finish-reason.js';
import { Concurrency } from '../../src/requests/concurrency.js';
import { ParameterFit } from '../../src/requests/parameters.js';
import type { Processor, ProcessorEvents, Stop } from '../../src/requests/processor.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import type { Server } from '../../src/requests/servers.js';
import type { ChatResponse } from '../../src/http/chat-client.js';
import { FakeClock } from './fake-clock.js';
import { plainProcessor } from './plain-processor.js';
import { completion } from './scripted-api.js';

/** A server's answer. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** Bytes are sent as they are; anything else as JSON. */
  body: unknown;
}
/** A request, which names its row. */
export type Body = Record<string, unknown> & { row: number };
/** What a server says to a request; `times` counts those of the same row from 0. */
export type Script = (body: Body, times: number) => Reply | Error;

const LATENCY_MS = 10;
const A_DAY_MS = 86_400_000;
/** A whole answer. */
export const ok: Reply = { body: completion('yes') };

/** What came of rows. */
export interface Played {
  stop: Stop | null;
  /** What became of each row that anything became of. */
  rows: Record<number, 'answered' | 'failed' | 'filtered'>;
  /** How often a row ended. */
  ended: number;
  changed: string[];
  shortened: number[];
  sent: number;
  /** Answers that could not be used and are in the journal. */
  kept: number;
  /** Why rows failed, each in its last words. */
  errors: string[];
  /** The body that each row was answered to. */
  bodies: Map<number, Body>;
  /** When each request was sent, in milliseconds. */
  sentAt: number[];
  /** When nothing was sent, from and to. */
  pauses: number[];
}

export interface PlayOptions {
  hasAnswers?: boolean;
  given?: string[];
  budget?: boolean;
  concurrency?: number;
  /** True where the number of requests in flight follows what the server can take. */
  adaptive?: boolean;
  parameters?: Record<string, unknown>;
  rules?: AnswerRules;
  transport?: Server['transport'];
  /** Called with the number of requests at the server, whenever it changes. */
  onFlight?: (count: number) => void;
  /** Called when this many requests were sent. */
  at?: { request: number; run: (processor: Processor) => void };
  /** Milliseconds until requests may be sent, at a time. */
  waitAt?: (now: number) => number;
}

/** Before the first row. */
const nothingPlayed = (): Played => ({
  stop: null,
  rows: {},
  ended: 0,
  changed: [],
  shortened: [],
  sent: 0,
  kept: 0,
  errors: [],
  bodies: new Map(),
  sentAt: [],
  pauses: [],
});

/** Runs rows through a processor on a fake clock. */
export async function play(rows: number, script: Script, options: PlayOptions = {}): Promise<Played> {
  const clock = new FakeClock();
  const played = nothingPlayed();
  const onSent = (number: number): void => {
    if (number === options.at?.request) options.at.run(processor);
  };
  const send = scriptedSend(script, { clock, played, onSent, onFlight: options.onFlight });
  const processor: Processor = plainProcessor({
    transport: options.transport ?? { send, switchToResponses: () => true },
    limiter: new RateLimiter({
      requestsPerMinute: null,
      tokensPerMinute: null,
      completionTokens: 1,
      clock,
      random: () => 0.5,
    }),
    concurrency: new Concurrency(options.concurrency ?? 4, options.adaptive !== true, { now: clock.now }),
    parameters: new ParameterFit(new Set(options.given ?? [])),
    hasAnswers: options.hasAnswers ?? false,
    rules: options.rules ?? new FinishRules(),
    maxAttempts: 3,
    budget: options.budget === true ? { reserve: () => true, settle: () => undefined } : null,
    schedule: options.waitAt === undefined ? null : { wait: () => options.waitAt?.(clock.now()) ?? 0 },
    clock,
    random: () => 0.5,
    events: eventsInto(played, clock),
  });
  const jobs = Array.from({ length: rows }, (_, row) => ({
    requestIdx: row,
    body: Buffer.from(JSON.stringify({ row, messages: [], max_tokens: 2048, ...options.parameters })),
    tokens: 1,
  }));
  const run = processor.run(jobs);
  await clock.runUntil(A_DAY_MS);
  played.stop = await run;
  return played;
}

/** A server that follows the script. */
function scriptedSend(
  script: Script,
  {
    clock,
    played,
    onSent,
    onFlight,
  }: {
    clock: FakeClock;
    played: Played;
    onSent: (number: number) => void;
    onFlight: PlayOptions['onFlight'];
  },
): (bytes: Buffer) => Promise<ChatResponse> {
  const times = new Map<number, number>();
  let flying = 0;
  return async (bytes) => {
    const body = JSON.parse(bytes.toString('utf8')) as Body;
    const time = times.get(body.row) ?? 0;
    times.set(body.row, time + 1);
    played.sentAt.push(clock.now());
    onSent(played.sent++);
    onFlight?.(++flying);
    await clock.sleep(LATENCY_MS);
    onFlight?.(--flying);
    const reply = script(body, time);
    if (reply instanceof Error) throw reply;
    const { status = 200, headers = {}, body: value } = reply;
    return { status, headers, body: Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)) };
  };
}

/** Records what the processor reports. */
function eventsInto(played: Played, clock: FakeClock): Partial<ProcessorEvents> {
  return {
    paused: () => {
      played.pauses.push(clock.now());
    },
    resumed: () => {
      played.pauses.push(clock.now());
    },
    answered: ({ requestIdx }, sent) => {
      played.ended += 1;
      played.rows[requestIdx] = 'answered';
      played.bodies.set(requestIdx, JSON.parse(sent.toString('utf8')) as Body);
    },
    failed: ({ requestIdx }, _sent, errors, filtered) => {
      played.ended += 1;
      played.errors.push(errors.at(-1) ?? '');
      played.rows[requestIdx] = filtered ? 'filtered' : 'failed';
    },
    partial: () => {
      played.kept += 1;
    },
    parameterChanged: ({ parameter, renamed_to: name }) => {
      played.changed.push(name === null ? parameter : `${parameter}→${name}`);
    },
    shortened: (_job, tokens) => {
      played.shortened.push(tokens);
    },
  };
}
