import type { Concurrency } from '../../src/requests/concurrency.js';

/** A server as a discrete-event simulation: slots, a queue before them, and a time for each answer. */
export interface ServerModel {
  /** Answers that are worked on at the same time. */
  slots: number;
  /** The maximum number of waiting requests; further ones are refused immediately. */
  queue?: number;
  /** Milliseconds of an answer when `busy` slots are in use. */
  service: (random: () => number, busy: number) => number;
  /** Milliseconds after which the client gives up; the server still answers, as many do. */
  timeout?: number;
}

export interface Outcome {
  /** Milliseconds until all rows were answered. */
  time: number;
  /** Requests that were sent in all. */
  requests: number;
  /** The most that were in flight at the same time. */
  most: number;
  /** How many might be in flight at the end. */
  limit: number;
}

interface Event {
  at: number;
  run: () => void;
}

const REFUSAL_MS = 5;
const RETRY_MS = 500;

/** Sends rows to a server through a concurrency limit; the first goes alone, as in the program. */
export class Simulation {
  now = 0;
  readonly #events: Event[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #random: () => number;
  #busy = 0;
  #requests = 0;
  #answered = 0;
  #left: number;
  #most = 0;

  constructor(
    private readonly server: ServerModel,
    private readonly rows: number,
    seed = 1,
  ) {
    this.#left = rows;
    this.#random = generator(seed);
  }

  run(concurrency: Concurrency, limit = 1e7): Outcome {
    this.#send(concurrency);
    while (this.#answered < this.rows && this.now < limit) {
      const event = this.#next();
      if (event === null) throw new Error('nothing left to happen');
      this.now = event.at;
      event.run();
      this.#fill(concurrency);
    }
    return { time: this.now, requests: this.#requests, most: this.#most, limit: concurrency.limit };
  }

  #fill(concurrency: Concurrency): void {
    while (this.#answered > 0 && this.#left > 0 && concurrency.inFlight < concurrency.limit)
      this.#send(concurrency);
  }

  #send(concurrency: Concurrency): void {
    void concurrency.enter();
    this.#left -= 1;
    this.#requests += 1;
    this.#most = Math.max(this.#most, concurrency.inFlight);
    const sentAt = this.now;
    const inFlight = concurrency.inFlight;
    let isOpen = true;
    const end = (isAnswer: boolean): void => {
      if (!isOpen) return;
      isOpen = false;
      const exchanged = { sentAt, inFlight, awaited: inFlight, turn: 0, latency: this.now - sentAt };
      if (isAnswer) {
        concurrency.succeeded(exchanged);
        this.#answered += 1;
      } else {
        concurrency.overloaded(exchanged);
        this.#at(RETRY_MS * (0.5 + this.#random()), () => {
          this.#left += 1;
        });
      }
      concurrency.leave();
    };
    this.#serve(end);
    const { timeout } = this.server;
    if (timeout !== undefined) {
      this.#at(timeout, () => {
        end(false);
      });
    }
  }

  #serve(end: (isAnswer: boolean) => void): void {
    const { slots, queue = Infinity } = this.server;
    if (this.#busy >= slots && this.#waiting.length >= queue) {
      this.#at(REFUSAL_MS, () => {
        end(false);
      });
      return;
    }
    this.#waiting.push(() => {
      this.#at(this.server.service(this.#random, this.#busy), () => {
        this.#busy -= 1;
        end(true);
        this.#work();
      });
    });
    this.#work();
  }

  #work(): void {
    while (this.#busy < this.server.slots) {
      const start = this.#waiting.shift();
      if (start === undefined) return;
      this.#busy += 1;
      start();
    }
  }

  #at(delay: number, run: () => void): void {
    const event = { at: this.now + delay, run };
    // A binary search keeps the events in order; there are as many as requests in flight.
    let [low, high] = [0, this.#events.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle]?.at ?? 0) > event.at) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
  }

  #next(): Event | null {
    return this.#events.pop() ?? null;
  }
}

/** Marsaglia's xorshift32: the same numbers every time. */
export function generator(seed: number): () => number {
  let state = seed * 2_654_435_761 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A source of numbers from 0 to below 1. */
export type Random = () => number;

export function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)] as Item;
}

/** Times with a heavy tail, as answers of many lengths have: a logarithmic normal distribution. */
export function logNormal(mean: number, deviation: number): (random: () => number) => number {
  return (random) => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return mean * Math.exp(deviation * normal - (deviation * deviation) / 2);
  };
}
