import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Concurrency } from '../../src/requests/concurrency.js';
import { TokenEstimate, decodedLength } from '../../src/requests/tokens.js';

describe('Concurrency', () => {
  /** Keeps every place in use and lets so many answers arrive. */
  function answers(concurrency: Concurrency, count: number): void {
    for (let answer = 0; answer < count; answer++) {
      while (concurrency.enter() === null);
      concurrency.succeeded();
      concurrency.leave();
    }
  }

  it('doubles while all places are used, up to the maximum', () => {
    const concurrency = new Concurrency(100, false, () => 0);
    const first = concurrency.limit;
    answers(concurrency, first);
    expect(concurrency.limit).toBe(2 * first);
    answers(concurrency, 1000);
    expect(concurrency.limit).toBe(100);
  });

  it('stays where places are free, or where this process has no time left', () => {
    const idle = new Concurrency(100, false, () => 0);
    void idle.enter();
    const before = idle.limit;
    for (let answer = 0; answer < 50; answer++) idle.succeeded();
    expect(idle.limit).toBe(before);
    const busy = new Concurrency(
      100,
      false,
      () => 0,
      () => true,
    );
    answers(busy, 50);
    expect(busy.limit).toBe(before);
  });

  it('shrinks once for requests that were under way together, and never below one', () => {
    let now = 10;
    const concurrency = new Concurrency(10, true, () => now);
    concurrency.overloaded(5);
    concurrency.overloaded(5);
    expect(concurrency.limit).toBe(8);
    for (let round = 0; round < 50; round++) concurrency.overloaded((now += 1));
    expect(concurrency.limit).toBe(1);
  });

  it('starts with what a known rate keeps in flight', () => {
    const concurrency = new Concurrency(300, false, () => 0);
    concurrency.expect(200);
    expect(concurrency.limit).toBe(200);
    concurrency.expect(9000);
    expect(concurrency.limit).toBe(300);
  });

  it('lets whoever waits look again when a place is free', async () => {
    const concurrency = new Concurrency(1, true, () => 0);
    expect(concurrency.enter()).toBeNull();
    const full = concurrency.enter();
    concurrency.leave();
    await full;
    expect(concurrency.enter()).toBeNull();
  });
});

describe('TokenEstimate', () => {
  it('charges characters / 4 and the most that may be answered, whatever the escapes', () => {
    const body = (content: string): Buffer =>
      Buffer.from(JSON.stringify({ model: 'm', messages: [{ role: 'user', content }], max_tokens: 100 }));
    const estimate = new TokenEstimate(100);
    expect(estimate.of(body('x'.repeat(40)))).toBe(110);
    expect(estimate.of(body('\n"\\\u0001'.repeat(10)))).toBe(110);
    expect(estimate.of(body('日本語字'.repeat(10)))).toBe(110);
    expect(decodedLength(Buffer.from(JSON.stringify('a\u0002é🙂')))).toBe(6);
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
