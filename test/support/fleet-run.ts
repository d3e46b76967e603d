import { Concurrency } from '../../src/requests/concurrency.js';
import { Fleet, type ServerStanding } from '../../src/requests/fleet.js';
import { Member } from '../../src/requests/fleet-member.js';
import type { Stop } from '../../src/requests/processor.js';
import { RateLimiter } from '../../src/requests/rate-limiter.js';
import { FakeClock } from './fake-clock.js';
import { plainProcessor } from './plain-processor.js';
import type { Reply } from './processor-run.js';

/** A server of a fleet, by the time on the run's clock. */
export interface Scripted {
  name: string;
  /** What it says to a request of a row. */
  says: (row: number, now: number) => Reply | Error;
  /** Why a look at it shows that it is not well; null where it is. */
  probe?: (now: number) => string | null;
  latency?: number;
  concurrency?: number;
  requestsPerMinute?: number;
}

export interface FleetPlayed {
  stop: Stop | null;
  answered: number[];
  failed: { row: number; error: string }[];
  /** Rows that each server was sent, in order. */
  sent: Record<string, number[]>;
  standings: ServerStanding[];
  warnings: string[];
  /** Milliseconds until the last row was done with. */
  time: number;
}

const LOOK_EVERY_MS = 500;
const LONGEST_MS = 4 * 3_600_000;

/** Runs rows through several servers on a fake clock. */
export async function playFleet(
  rows: number,
  servers: readonly Scripted[],
  options: {
    attempts?: number;
    at?: { time: number; run: (fleet: Fleet, join: (one: Scripted) => void) => void };
  } = {},
): Promise<FleetPlayed> {
  const clock = new FakeClock();
  const ignore = (): void => undefined;
  const warnings: string[] = [];
  const warning = (text: string): void => void warnings.push(text);
  const reporter = { debug: ignore, info: ignore, error: ignore, warning };
  const fleet = new Fleet({ clock, reporter });
  const scripts = new Map<Member, Scripted>();
  const nothing = { stop: null, answered: [], failed: [], sent: {}, standings: [], time: 0 };
  const played: FleetPlayed = { ...nothing, warnings };
  const join = (one: Scripted): void => {
    const member = memberOf(one, clock, played);
    scripts.set(member, one);
    fleet.join(member);
  };
  servers.forEach(join);
  const processor = plainProcessor({
    servers: fleet,
    maxAttempts: options.attempts ?? 1,
    clock,
    random: () => 0.5,
    reporter,
    events: {
      answered: ({ requestIdx }) => void played.answered.push(requestIdx),
      failed: ({ requestIdx }, _sent, errors) =>
        void played.failed.push({ row: requestIdx, error: errors.at(-1) ?? '' }),
    },
  });
  const jobs = Array.from({ length: rows }, (_, row) => ({
    requestIdx: row,
    body: Buffer.from(JSON.stringify({ row, messages: [] })),
    tokens: 1,
  }));
  const progress = { isDone: false };
  const run = processor.run(jobs).then((stop) => {
    played.stop = stop;
    played.time = clock.now();
    progress.isDone = true;
  });
  for (let time = 0; !progress.isDone && time < LONGEST_MS; time += LOOK_EVERY_MS) {
    await clock.runUntil(time);
    if (options.at?.time === time) options.at.run(fleet, join);
    for (const member of fleet.toProbe) fleet.probed(member, scripts.get(member)?.probe?.(time) ?? null);
  }
  await run;
  played.standings = fleet.standings;
  return played;
}

function memberOf(one: Scripted, clock: FakeClock, played: FleetPlayed): Member {
  const { name, says, latency = 10, concurrency = 4, requestsPerMinute = null } = one;
  const sent: number[] = (played.sent[name] = []);
  return new Member(name, {
    transport: {
      send: async (bytes) => {
        const { row } = JSON.parse(bytes.toString('utf8')) as { row: number };
        sent.push(row);
        await clock.sleep(latency);
        const reply = says(row, clock.now());
        if (reply instanceof Error) throw reply;
        const { status = 200, headers = {}, body } = reply;
        return { status, headers, body: Buffer.from(JSON.stringify(body)) };
      },
      switchToResponses: () => true,
    },
    limiter: new RateLimiter({
      requestsPerMinute,
      tokensPerMinute: null,
      completionTokens: 1,
      clock,
      random: () => 0.5,
    }),
    concurrency: new Concurrency(concurrency, true, { now: clock.now }),
  });
}
