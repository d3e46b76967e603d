/**
 * Limits that several processes share over Redis: a generic cell rate algorithm for requests and one for tokens, in one
 * script. Reservations queue up in the order in which they were made, by Redis’s own clock.
 */

import { createHash, randomBytes } from 'node:crypto';
import { shownAddress } from '../../http/address.js';
import { messageOf } from '../../lib/errors.js';
import { sanitize } from '../../lib/text.js';
import type { Reporter } from '../../types.js';
import type { CreditSource, Rates, Reservation } from './shared-credit.js';

/**
 * KEYS: when the limit of requests is used up to, the same for tokens, the processes that were seen.
 * ARGV: this process; requests, milliseconds for each; tokens, milliseconds for each, tokens returned; milliseconds of
 * capacity that may be saved up; milliseconds after which a process counts as gone.
 * Returns milliseconds until the reservation may be used (as text), and the number of processes.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local saved, gone = tonumber(ARGV[7]), tonumber(ARGV[8])
local function reserve(key, amount, each, returned)
  if each <= 0 then return 0 end
  local used = tonumber(redis.call('GET', key) or '0') - returned * each
  if used < now - saved then used = now - saved end
  local ends = used + amount * each
  redis.call('SET', key, string.format('%.4f', ends), 'PX', string.format('%d', math.max(1000, ends - now + gone)))
  return math.max(0, used - now)
end
local delay = reserve(KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), 0)
delay = math.max(delay, reserve(KEYS[2], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])))
redis.call('ZADD', KEYS[3], string.format('%.0f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now - gone))
redis.call('PEXPIRE', KEYS[3], string.format('%d', gone))
return { string.format('%.3f', delay), redis.call('ZCARD', KEYS[3]) }
`;

/** Capacity that may be saved up while nobody sends; APIs enforce a minute's limit over slices of a second. */
const SAVED_MS = 100;
/** A process that reserved nothing for this long counts as gone. */
const GONE_MS = 20_000;
/** The share of a limit that is aimed at: clocks and the way to the API differ. */
const UTILISATION = 0.995;
const TIMEOUT_MS = 1000;
const CONNECT_TIMEOUT_MS = 3000;
/** While Redis can't be reached, it is tried this often. */
const RETRY_MS = 2000;

/** What is used of a client of Redis. */
export interface RedisConnection {
  sendCommand(words: string[]): Promise<unknown>;
  destroy(): void;
}

/** One server of Redis, for all limits that a process keeps. */
export class RedisLimits {
  readonly #self = randomBytes(8).toString('hex');
  readonly #shown: string;
  #isInForce = true;
  #isClosed = false;
  /** Times that it went away. */
  #losses = 0;
  #workers = 1;
  #retry: NodeJS.Timeout | null = null;

  private constructor(
    private readonly connection: RedisConnection,
    address: string,
    private readonly reporter: Reporter,
  ) {
    this.#shown = sanitize(shownAddress(address), 200);
  }

  /**
   * Connects to Redis; where that fails, limits are divided until it succeeds.
   * @param address `redis://` or `rediss://`, with a password where it needs one
   */
  static async open(
    address: string,
    reporter: Reporter,
    connect: (address: string) => Promise<RedisConnection> = connectTo,
  ): Promise<RedisLimits> {
    const limits = new RedisLimits(await connect(address), address, reporter);
    await limits.#look();
    return limits;
  }

  /** False while it can't be reached. */
  get isInForce(): boolean {
    return this.#isInForce;
  }

  /** Processes that used one of these limits of late, this one included. */
  get workers(): number {
    return this.#workers;
  }

  /**
   * The limits of one account.
   * @param parts what distinguishes it from others: server, model and key, of which only a digest leaves this process
   */
  account(parts: readonly (string | null)[]): CreditSource {
    const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
    // In braces: one script may only use keys of one node of a cluster.
    const key = `reannotate:{${digest}}`;
    const isInForce = (): boolean => this.#isInForce;
    return {
      get isInForce() {
        return isInForce();
      },
      reserve: (reservation) => this.#reserve(key, reservation),
    };
  }

  close(): void {
    this.#isClosed = true;
    if (this.#retry !== null) clearInterval(this.#retry);
    this.#retry = null;
    this.connection.destroy();
  }

  async #reserve(key: string, reservation: Reservation): Promise<number | null> {
    try {
      const reply = await withinTime(this.connection.sendCommand(commandFor(key, this.#self, reservation)));
      const [delay, workers] = Array.isArray(reply) ? (reply as unknown[]) : [];
      const milliseconds = Number(delay);
      if (!Number.isFinite(milliseconds) || milliseconds < 0) throw new Error('an unexpected response');
      if (typeof workers === 'number' && workers >= 1) this.#workers = workers;
      return milliseconds;
    } catch (error) {
      this.#lose(error);
      return null;
    }
  }

  async #look(): Promise<void> {
    try {
      await withinTime(this.connection.sendCommand(['PING']));
    } catch (error) {
      this.#lose(error);
      return;
    }
    if (this.#isInForce) return;
    this.#isInForce = true;
    if (this.#retry !== null) clearInterval(this.#retry);
    this.#retry = null;
    if (this.#losses === 1)
      this.reporter.info(`${this.#shown} is reachable again; limits are shared exactly.`);
  }

  #lose(error: unknown): void {
    if (!this.#isInForce || this.#isClosed) return;
    this.#isInForce = false;
    this.#losses += 1;
    this.#retry ??= setInterval(() => void this.#look(), RETRY_MS);
    this.#retry.unref();
    const what = `${this.#shown} cannot be used (${sanitize(messageOf(error), 200)})`;
    if (this.#losses > 1) this.reporter.debug(`${what}.`);
    else
      this.reporter.warning(
        `${what}. Until it works again, each worker takes its share: the limits divided by the number of workers.`,
      );
  }
}

function commandFor(key: string, self: string, reservation: Reservation): string[] {
  const { requests, tokens, returnedTokens, rates } = reservation;
  const each = (perMinute: Rates[keyof Rates]): string =>
    perMinute === null ? '0' : String(60_000 / (perMinute * UTILISATION));
  return [
    ...['EVAL', SCRIPT, '3', `${key}:requests`, `${key}:tokens`, `${key}:workers`],
    ...[self, String(requests), each(rates.requests)],
    ...[String(tokens), each(rates.tokens), String(returnedTokens)],
    ...[String(SAVED_MS), String(GONE_MS)],
  ];
}

/** A connection that hangs is as good as none. */
async function withinTime<Value>(promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer in ${TIMEOUT_MS / 1000} s`));
    }, TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** The official client, loaded only where limits are shared. It reconnects by itself. */
async function connectTo(address: string): Promise<RedisConnection> {
  const { createClient } = await import('@redis/client');
  const client = createClient({
    url: address,
    // A command that can't be sent now fails at once: the limits are divided until then.
    disableOfflineQueue: true,
    socket: { connectTimeout: CONNECT_TIMEOUT_MS, reconnectStrategy: () => RETRY_MS },
  });
  let lastError: unknown = null;
  const failed = new Promise<void>((resolve) => {
    client.on('error', (error: unknown) => {
      lastError = error;
      resolve();
    });
  });
  // It keeps trying after a first failure, and a server that hangs never answers: neither is waited for.
  const connected = client.connect().then(
    () => undefined,
    () => undefined,
  );
  await withinTime(Promise.race([connected, failed])).catch(() => undefined);
  return {
    sendCommand: async (words) => {
      try {
        return await client.sendCommand(words);
      } catch (error) {
        // "The client is offline" says less than why it is.
        throw client.isReady || lastError === null ? error : lastError;
      }
    },
    destroy: () => {
      client.destroy();
    },
  };
}
