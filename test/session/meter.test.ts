import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ramp } from '../../src/requests/concurrency.js';
import { Meter, type Misses } from '../../src/session/meter.js';
import { TimeLeft } from '../../src/session/time-left.js';

const LATENCY_MS = 500;

/** A run as the meter sees it, and a clock that only the test turns. */
function scene(
  rows: number,
  before = 0,
): { meter: Meter; state: State; pass: (milliseconds: number) => void; answer: () => void } {
  const state: State = {
    counts: { sent: 0, throttled: 0, retried: 0, answered: 0, failed: 0 },
    inFlight: 0,
    trouble: null,
    granted: { requests: 0, tokens: 0 },
    gateMilliseconds: 0,
    requestsPerMinute: null,
    tokensPerMinute: null,
    tokens: { prompt: 0, completion: 0 },
    cost: null,
    isCostEstimated: false,
    ramp: { limit: 64, maximum: 512, phase: 'steady', growth: 1 },
    misses: { refused: 0, failed: 0 },
  };
  let now = 0;
  const { misses } = state;
  const timeLeft = new TimeLeft();
  const figures = { processor: state, limiter: state, totals: state, misses, before, rows, timeLeft };
  const meter = new Meter({ ...figures, now: () => now });
  const answer = (): void => {
    timeLeft.answered(now - LATENCY_MS, now);
  };
  return { meter, state, pass: (milliseconds) => (now += milliseconds), answer };
}

interface State {
  counts: { sent: number; throttled: number; retried: number; answered: number; failed: number };
  inFlight: number;
  trouble: { message: string; silence: number } | null;
  granted: { requests: number; tokens: number };
  gateMilliseconds: number;
  requestsPerMinute: number | null;
  tokensPerMinute: number | null;
  tokens: { prompt: number; completion: number };
  cost: number | null;
  isCostEstimated: boolean;
  ramp: Ramp;
  misses: Misses;
}

/** So many answers a second for some seconds, looked at ten times a second. */
function work(
  { meter, state, pass, answer }: ReturnType<typeof scene>,
  perSecond: number,
  seconds: number,
): string {
  let line = '';
  for (let tenth = 0; tenth < seconds * 10; tenth++) {
    pass(100);
    state.counts.answered += perSecond / 10;
    if (perSecond > 0) answer();
    state.granted.requests += perSecond / 10;
    state.granted.tokens += (perSecond / 10) * 2000;
    state.tokens.completion += (perSecond / 10) * 500;
    if (state.cost !== null) state.cost += (perSecond / 10) * 0.001;
    line = meter.render(200)[0] ?? '';
  }
  return line;
}

describe('the progress line', () => {
  it('shows progress, speed, the binding limit, cost and remaining time', () => {
    const one = scene(12_000);
    Object.assign(one.state, {
      inFlight: 64,
      requestsPerMinute: 10_000,
      tokensPerMinute: 12_500_000,
      cost: 0,
    });
    expect(work(one, 100, 20)).toBe(
      '2,000/12,000 (16 %) · 100/s · $2.00 · 0 refused · 0 failed · about $12.00 in total · 1 min 42 s left · ' +
        '3.0M tokens/min · TPM 96 % · 64 in flight',
    );
    expect(one.meter.render(200)).toHaveLength(1);
  });

  it('drops the least important parts if it is narrow, and is never wider', () => {
    const one = scene(12_000);
    Object.assign(one.state, { inFlight: 64, requestsPerMinute: 10_000, cost: 0 });
    work(one, 100, 20);
    Object.assign(one.state.misses, { refused: 13, failed: 2 });
    const at = (columns: number): string => one.meter.render(columns)[0] ?? '';
    expect(at(120)).not.toContain('in flight');
    expect(at(80)).toBe('2,000/12,000 (16 %) · 100/s · $2.00 · 13 refused · 2 failed · 1 min 41 s left');
    expect(at(77)).toBe('2,000/12,000 (16 %) · 100/s · $2.00 · 13 refused · 2 failed · 1 min 41 s left');
    expect(at(72)).toBe('2,000/12,000 · 100/s · $2.00 · 13 refused · 2 failed · 1 min 41 s left');
    expect(at(60)).toBe('16 % · 100/s · $2.00 · 13 refused · 2 failed · 1m 41s left');
    expect(at(40)).toBe('16 % 100/s $2.00 13r 2f 1m41s');
    expect(at(25)).toBe('16 % 100/s $2.00 13r 2f');
    fc.assert(
      fc.property(fc.integer({ min: 23, max: 300 }), (columns) => {
        const line = at(columns);
        expect(line.length).toBeLessThanOrEqual(columns);
        expect(line).toMatch(/^(2,000\/12,000|16 %)/);
        expect(line).toMatch(/100\/s\D+\$2\.00\D+13 ?r\D+2 ?f/);
      }),
    );
    expect(at(10)).toHaveLength(10);
  });

  it('counts rows of earlier sessions as done but not towards the speed', () => {
    const one = scene(10_000, 5000);
    Object.assign(one.state, { inFlight: 5, ramp: { ...one.state.ramp, limit: 5 } });
    expect(work(one, 10, 10)).toMatch(/^5,100\/10,000 \(51 %\) · 10\/s .* about 8 min \d+ s left/);
  });

  it('lets the time that is left settle instead of jump', () => {
    const one = scene(100_000);
    work(one, 100, 60);
    const minutes = (line: string): number => Number(/(\d+) min[^·]* left/.exec(line)?.[1]);
    const before = minutes(one.meter.render(200)[0] ?? '');
    // A second of silence changes nothing that anybody notices.
    const after = minutes(work(one, 0, 1));
    expect(Math.abs(after - before)).toBeLessThanOrEqual(1);
  });

  it('adds a pause to the time that is left, and does not take it for slowness', () => {
    const one = scene(12_000);
    work(one, 100, 20);
    one.state.gateMilliseconds = 60_000;
    const [line = ''] = one.meter.render(200);
    expect(line).toMatch(/ · 2 min 4\d s left · /);
    expect(one.meter.render(200)[1]).toBe('Cooling down for 1 min 0 s');
    for (let second = 0; second < 59; second++) {
      one.pass(1000);
      one.state.gateMilliseconds -= 1000;
      one.meter.render(200);
    }
    expect(one.meter.render(200)[0]).toMatch(/ · 1 min 4\d s left · /);
  });

  it('marks a cost that is estimated', () => {
    const one = scene(12_000);
    Object.assign(one.state, { cost: 0, isCostEstimated: true });
    expect(work(one, 100, 20)).toContain(' · ≈$2.00 · ');
  });

  it('has a second line for pauses and silence alone', () => {
    const one = scene(100);
    work(one, 1, 5);
    expect(one.meter.render(80)).toHaveLength(1);
    one.state.trouble = { message: '429 rate_limit_exceeded: slow down', silence: 300 };
    expect(one.meter.render(80)).toHaveLength(1);
    one.state.gateMilliseconds = 11_200;
    expect(one.meter.render(80)[1]).toBe('Cooling down for 12 s: 429 rate_limit_exceeded: slow down');
    one.state.gateMilliseconds = 0;
    one.state.trouble = { message: 'cannot connect (ECONNREFUSED)', silence: 40_000 };
    expect(one.meter.render(80)[1]).toBe('No answer for 40 s: cannot connect (ECONNREFUSED)');
  });
});
