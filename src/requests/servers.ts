/** Where requests are sent: what the processor asks of one server, or of several that serve the same model. */

import type { Concurrency, Exchanged, Ramp } from './concurrency.js';
import type { Job } from './processor.js';
import type { RateLimiter } from './rate-limiter.js';
import type { Transport } from './transport.js';
import type { Verdict } from './verdict.js';

/** Whatever is not an answer. */
export type Failure = Exclude<Verdict, { kind: 'answer' }>;

/** One server: how it is called, and how much it takes. */
export interface Server {
  /** Its address for people; absent where there is only one. */
  readonly name?: string;
  readonly transport: Pick<Transport, 'send' | 'switchToResponses'>;
  readonly limiter: RateLimiter;
  readonly concurrency: Concurrency;
}

/**
 * The servers of a run. A request holds a place at one of them from `enter` to `leave`; `fleet.ts` chooses between
 * several.
 */
export interface Servers {
  /** Requests whose answer is awaited. */
  readonly inFlight: number;
  /** Places in use and those that were given up for a while. */
  readonly held: number;
  readonly ramp: Ramp;
  /** The limiter that can never let a request through, where no server can take it; null where one can. */
  tooSmallFor(job: Job): RateLimiter | null;
  /** Takes a place, or returns a promise to wait for before trying again. */
  enter(job: Job): Server | Promise<void>;
  /** Before a request is sent again: keeps its place, waits for room, or takes a place at another server. */
  move(from: Server, job: Job): Server | Promise<Server>;
  leave(server: Server, job: Job): void;
  answered(server: Server, exchanged: Exchanged): void;
  /**
   * Notes that a request got no answer.
   * @returns true where that is the server's fault and another one can take the row: it costs the row no attempt
   */
  failed(server: Server, job: Job, verdict: Failure, exchanged: Exchanged): boolean;
  /** Sends all further requests to the Responses API; false where they went there already. */
  switchToResponses(): boolean;
  /** Wakes everybody who waits for a place; from now on nobody does. */
  interrupt(): void;
}

/** A run with one server, which has nobody to hand its rows to. */
export class OneServer implements Servers {
  constructor(private readonly server: Server) {}

  get inFlight(): number {
    return this.server.concurrency.inFlight;
  }

  get held(): number {
    return this.server.concurrency.held;
  }

  get ramp(): Ramp {
    return this.server.concurrency.ramp;
  }

  tooSmallFor(job: Job): RateLimiter | null {
    const { limiter } = this.server;
    return limiter.canNeverFit(job) ? limiter : null;
  }

  enter(): Server | Promise<void> {
    return this.server.concurrency.enter() ?? this.server;
  }

  move(): Server | Promise<Server> {
    const room = this.server.concurrency.makeRoom();
    return room === null ? this.server : room.then(() => this.server);
  }

  leave(): void {
    this.server.concurrency.leave();
  }

  answered(_: Server, exchanged: Exchanged): void {
    this.server.concurrency.succeeded(exchanged);
  }

  failed(): boolean {
    return false;
  }

  switchToResponses(): boolean {
    return this.server.transport.switchToResponses();
  }

  interrupt(): void {
    this.server.concurrency.interrupt();
  }
}
