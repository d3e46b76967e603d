import type { AnswerRules } from '../../src/models/answer-rules.js';
import { FinishRules } from '../../src/models/finish-reason.js';
import { Concurrency } from '../../src/requests/concurrency.js';
import { ParameterFit } from '../../src/requests/parameters.js';
import type { Processor, Stop } from '../../src/requests/processor.js';
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
/** A request; its row is told in it. */
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

/** Runs rows through a processor on a clock of its own; `at` is called when so many requests were sent. */
export async function play(
  rows: number,
  script: Script,
  options: {
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
    at?: { request: number; run: (processor: Processor) => void };
    /** Milliseconds until requests may be sent, at a time. */
    waitAt?: (now: number) => number;
  } = {},
): Promise<Played> {
  const clock = new FakeClock();
  const played: Played = {
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
  };
  const times = new Map<number, number>();
  let flying = 0;
  const send = async (bytes: Buffer): Promise<ChatResponse> => {
    const body = JSON.parse(bytes.toString('utf8')) as Body;
    const time = times.get(body.row) ?? 0;
    times.set(body.row, time + 1);
    played.sentAt.push(clock.now());
    if (played.sent++ === options.at?.request) options.at.run(processor);
    options.onFlight?.(++flying);
    await clock.sleep(LATENCY_MS);
    options.onFlight?.(--flying);
    const reply = script(body, time);
    if (reply instanceof Error) throw reply;
    const { status = 200, headers = {}, body: value } = reply;
    return { status, headers, body: Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value)) };
  };
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
    events: {
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
    },
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
