import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Concurrency } from '../../src/requests/concurrency.js';
import { TokenEstimate, decodedLength } from '../../src/requests/tokens.js';
import { logNormal, Simulation, type ServerModel } from '../support/server-model.js';

const QUICK = { sentAt: 0, inFlight: 1, awaited: 1, turn: 1, latency: 100 };
const OVERLOADED = { ...QUICK, inFlight: 8 };

describe('Concurrency', () => {
  /** Keeps every slot in use until this many answers have arrived. */
  function answers(concurrency: Concurrency, count: number): void {
    for (let answer = 0; answer < count; answer++) {
      while (concurrency.inFlight < concurrency.limit) void concurrency.enter();
      concurrency.succeeded({ ...QUICK, inFlight: concurrency.inFlight });
      concurrency.leave();
    }
  }

  it('at least doubles while all places are used and answers take no longer, up to the maximum', () => {
    const concurrency = new Concurrency(100, false, { now: () => 0 });
    const first = concurrency.limit;
    answers(concurrency, first);
    expect(concurrency.limit).toBeGreaterThanOrEqual(2 * first);
    expect(concurrency.limit).toBeLessThanOrEqual(4 * first);
    answers(concurrency, 1000);
    expect(concurrency.limit).toBe(100);
  });

  it('stays where places are free, or where this process has no time left', () => {
    const idle = new Concurrency(100, false, { now: () => 0 });
    void idle.enter();
    const before = idle.limit;
    for (let answer = 0; answer < 50; answer++) idle.succeeded(QUICK);
    expect(idle.limit).toBe(before);
    const busy = new Concurrency(100, false, { now: () => 0, isBusy: () => true });
    answers(busy, 50);
    expect(busy.limit).toBe(before);
  });

  it('shrinks once for requests that were sent together, and never below one', () => {
    let now = 10;
    const concurrency = new Concurrency(10, true, { now: () => now });
    concurrency.overloaded({ ...OVERLOADED, sentAt: 5 });
    concurrency.overloaded({ ...OVERLOADED, sentAt: 5 });
    expect(concurrency.limit).toBe(8);
    for (let round = 0; round < 50; round++) concurrency.overloaded({ ...OVERLOADED, sentAt: (now += 1) });
    expect(concurrency.limit).toBe(1);
  });

  it('grows again after any number of overloads', () => {
    for (let overloads = 1; overloads < 20; overloads++) {
      let now = 0;
      const concurrency = new Concurrency(100, false, { now: () => now });
      for (let time = 0; time < overloads; time++)
        concurrency.overloaded({ ...OVERLOADED, sentAt: (now += 1) });
      const before = concurrency.limit;
      answers(concurrency, 50);
      expect(concurrency.limit, `after ${overloads}`).toBeGreaterThan(before);
    }
  });

  it('learns nothing from a request that was alone: the server refuses it while it loads its model', () => {
    const concurrency = new Concurrency(100, false, { now: () => 10 });
    for (let time = 0; time < 10; time++) concurrency.overloaded(QUICK);
    expect(concurrency.limit).toBe(16);
  });

  it('starts with no more than can be answered in half of a request’s time one after the other', () => {
    const concurrency = new Concurrency(512, false, { now: () => 0, timeout: 2000 });
    concurrency.succeeded({ ...QUICK, latency: 200 });
    expect(concurrency.limit).toBe(5);
  });

  it('wakes those who wait for a place when one is free', async () => {
    const concurrency = new Concurrency(1, true, { now: () => 0 });
    expect(concurrency.enter()).toBeNull();
    const full = concurrency.enter();
    concurrency.leave();
    await full;
    expect(concurrency.enter()).toBeNull();
  });

  it('takes a slot back from a retried row while too many are in flight', async () => {
    const concurrency = new Concurrency(2, true, { now: () => 0 });
    void concurrency.enter();
    void concurrency.enter();
    expect(concurrency.makeRoom()).toBeNull();
    concurrency.overloaded(OVERLOADED);
    expect(concurrency.limit).toBe(1);
    const room = concurrency.makeRoom();
    expect([concurrency.inFlight, concurrency.held]).toEqual([1, 2]);
    concurrency.leave();
    await room;
    expect([concurrency.inFlight, concurrency.held]).toEqual([1, 1]);
  });

  it('releases everything that waits for a slot once the run stops', async () => {
    const concurrency = new Concurrency(2, true, { now: () => 0 });
    void concurrency.enter();
    void concurrency.enter();
    concurrency.overloaded(OVERLOADED);
    const room = concurrency.makeRoom();
    concurrency.interrupt();
    await room;
    expect(concurrency.inFlight).toBe(2);
  });
});

describe('Concurrency against server models', () => {
  const constant = (milliseconds: number) => () => milliseconds;
  const batched = logNormal(1000, 0.5);

  /** Server, rows, the least share of the throughput of the best fixed number, and the most requests in vain. */
  it.each<[string, ServerModel, number, number, number]>([
    [
      '2 slots, time-outs after ten answers',
      { slots: 2, service: constant(200), timeout: 2000 },
      200,
      0.97,
      5,
    ],
    [
      '2 slots, time-outs after five answers',
      { slots: 2, service: constant(200), timeout: 1000 },
      200,
      0.95,
      10,
    ],
    ['1 slot', { slots: 1, service: constant(200), timeout: 2000 }, 200, 0.95, 8],
    [
      '1 slot, time-outs after three answers',
      { slots: 1, service: constant(3000), timeout: 10_000 },
      200,
      0.93,
      10,
    ],
    [
      '2 slots, answers of many lengths',
      { slots: 2, service: logNormal(1000, 0.5), timeout: 6000 },
      300,
      0.85,
      15,
    ],
    [
      '1 slot, answers of very many lengths',
      { slots: 1, service: logNormal(1000, 1), timeout: 60_000 },
      300,
      0.9,
      5,
    ],
    [
      '4 slots, a queue of 512',
      { slots: 4, queue: 512, service: logNormal(1000, 0.5), timeout: 600_000 },
      1000,
      0.93,
      0,
    ],
    ['8 slots', { slots: 8, service: constant(1000), timeout: 60_000 }, 600, 0.97, 0],
    [
      '8 slots, answers of very many lengths',
      { slots: 8, service: logNormal(1000, 1), timeout: 60_000 },
      800,
      0.85,
      5,
    ],
    ['64 slots', { slots: 64, service: logNormal(2000, 0.7), timeout: 60_000 }, 3000, 0.85, 5],
    [
      '4 slots and no queue',
      { slots: 4, queue: 0, service: logNormal(1000, 0.5), timeout: 60_000 },
      400,
      0.85,
      100,
    ],
    [
      '100 slots and no queue',
      { slots: 100, queue: 0, service: logNormal(1000, 0.5), timeout: 60_000 },
      4000,
      0.8,
      150,
    ],
    [
      'requests that slow each other down, and together get more',
      { slots: 256, service: (random, busy) => batched(random) * (1 + busy / 32), timeout: 600_000 },
      4000,
      0.9,
      0,
    ],
    ['a wide server', { slots: 1000, service: constant(500), timeout: 60_000 }, 8000, 0.84, 0],
    [
      'a wide server, answers of many lengths',
      { slots: 1000, service: logNormal(3000, 0.7), timeout: 600_000 },
      8000,
      0.65,
      0,
    ],
  ])('%s', (_, server, rows, share, inVain) => {
    const { timeout = Infinity } = server;
    const play = (maximum: number, isFixed: boolean, seed: number): ReturnType<Simulation['run']> => {
      const simulation = new Simulation(server, rows, seed);
      const isBusy = (): boolean => false;
      return simulation.run(
        new Concurrency(maximum, isFixed, { now: () => simulation.now, isBusy, timeout }),
      );
    };
    const fixed = [1, 2, 4, 8, 64, 100, 512].filter((maximum) => maximum <= Math.max(8, server.slots * 2));
    const best = Math.min(...fixed.map((maximum) => play(maximum, true, 7).time));
    for (const seed of [1, 7]) {
      const adapted = play(512, false, seed);
      expect(best / adapted.time).toBeGreaterThan(share);
      expect(adapted.requests - rows).toBeLessThanOrEqual(inVain);
    }
  });
});

describe('Concurrency with few answers', () => {
  it.each([73, 99, 106])('does not mistake chance for a server without a queue (seed %i)', (seed) => {
    const server = { slots: 1, service: logNormal(1000, 1), timeout: 60_000 };
    const play = (maximum: number, isFixed: boolean): ReturnType<Simulation['run']> => {
      const simulation = new Simulation(server, 300, seed);
      return simulation.run(
        new Concurrency(maximum, isFixed, { now: () => simulation.now, timeout: 60_000 }),
      );
    };
    const adapted = play(512, false);
    expect(play(2, true).time / adapted.time).toBeGreaterThan(0.85);
    expect(adapted.requests).toBeLessThanOrEqual(312);
  });
});

describe('Concurrency with slow answers of many lengths', () => {
  it('takes chance for a queue in none of sixty runs', () => {
    const server = { slots: 10_000, service: logNormal(20_000, 0.5), timeout: 600_000 };
    const timeOf = (seed: number, isFixed: boolean): number => {
      const simulation = new Simulation(server, 300, seed);
      const pace = { now: () => simulation.now, timeout: server.timeout };
      return simulation.run(new Concurrency(512, isFixed, pace)).time;
    };
    const shares = Array.from({ length: 60 }, (_, seed) => timeOf(seed + 1, true) / timeOf(seed + 1, false));
    // The ramp takes four to five answers' time; a search in vain takes as much again.
    expect(Math.min(...shares)).toBeGreaterThan(0.5);
  });
});

describe('TokenEstimate', () => {
  it('charges characters / 4 regardless of escapes', () => {
    const body = (content: string): Buffer =>
      Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content }], max_tokens: 100 }));
    const estimate = new TokenEstimate();
    expect(estimate.of(body('x'.repeat(40)))).toBe(10);
    expect(estimate.of(body('\n"\\\u0001'.repeat(10)))).toBe(10);
    expect(estimate.of(body('日本語字'.repeat(10)))).toBe(10);
    expect(decodedLength(Buffer.from(JSON.stringify('a\u0002é🙂')))).toBe(6);
  });

  it('counts texts in parts and tools, and pictures by their number', () => {
    const of = (content: unknown, more: object = {}): number => {
      const body = { model: 'm', messages: [{ role: 'user', content }], max_tokens: 100, ...more };
      return new TokenEstimate().of(Buffer.from(JSON.stringify(body)));
    };
    const text = { type: 'text', text: 'x'.repeat(40) };
    const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(1e6)}` } };
    const sound = { type: 'input_audio', input_audio: { data: 'A'.repeat(1e5), format: 'wav' } };
    expect(of([text])).toBe(10);
    expect(of([text, text])).toBe(20);
    expect(of([text, picture])).toBe(10 + 765);
    expect(of([picture, text, sound])).toBe(10 + 2 * 765);
    expect(of('"image_url" '.repeat(10))).toBe(30);
    expect(of(null)).toBe(0);
    const tools = [{ type: 'function', function: { name: 'look_up', parameters: {} } }];
    expect(of('', { tools })).toBe(Math.ceil(JSON.stringify(tools).length / 4));
    expect(new TokenEstimate().of(Buffer.from('{"model":"m","messages":"x"}'))).toBe(0);
  });

  it('counts the characters of any text, wherever its bytes lie in memory', () => {
    const text = fc
      .array(fc.constantFrom('a', 'word ', '"', '\\', '\n', '\u0001', 'é', '語', '🙂'))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, fc.nat(9), (content, shift) => {
        const json = Buffer.from(`${' '.repeat(shift)}${JSON.stringify(content)}`).subarray(shift);
        expect(decodedLength(json)).toBe(Array.from(content).length + 2);
      }),
    );
  });
});
