import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/lib/errors.js';
import {
  draw,
  FAULTS,
  parseFaults,
  parseHubFaults,
  pickFault,
  type Fault,
} from '../../src/simulator/faults.js';
import type { SimulatorOptions } from '../../src/simulator/options.js';
import { ask, complete, post, refused, simulate } from './support.js';

const always = (
  fault: Fault,
  options: SimulatorOptions = {},
): Promise<Awaited<ReturnType<typeof simulate>>> => simulate({ ...options, faults: { [fault]: 1 } });

describe('faults', () => {
  it('429: a rate limit error', async () => {
    const response = await post(await always('429'));
    expect(response.headers.get('retry-after-ms')).toBe('20');
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await refused(Promise.resolve(response))).toMatchObject({
      status: 429,
      code: 'rate_limit_exceeded',
    });
  });

  it('500: a server error', async () => {
    expect(await refused(post(await always('500')))).toMatchObject({ status: 500, type: 'server_error' });
  });

  it('503html: a page of a gateway', async () => {
    const response = await post(await always('503html'));
    expect(response.status).toBe(503);
    expect(response.headers.get('content-type')).toBe('text/html');
    expect(await response.text()).toContain('<html>');
  });

  it('reset: no answer', async () => {
    await expect(post(await always('reset'))).rejects.toMatchObject({ cause: { code: 'ECONNRESET' } });
  });

  it('reset_mid: half an answer', async () => {
    const response = await post(await always('reset_mid'));
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
  });

  it('hang: no answer at all', async () => {
    const simulator = await always('hang');
    const outcome = post(simulator).then(
      () => 'answered',
      () => 'cut',
    );
    while (simulator.statistics().faults['hang'] === undefined) await new Promise(setImmediate);
    await simulator.close();
    expect(await outcome).toBe('cut');
  });

  it.each([false, true])('torn: a whole body with half of the JSON (streamed: %s)', async (stream) => {
    const text = await (await post(await always('torn'), { stream })).text();
    const last = text.split('data: ').at(-1) ?? '';
    expect(() => JSON.parse(last) as unknown).toThrow();
    expect(text).not.toContain('[DONE]');
  });

  it('empty, null_content, refusal, content_filter: nothing that could be used', async () => {
    expect((await complete(await always('empty'))).choices).toEqual([]);
    const choiceOf = async (fault: Fault): Promise<unknown> =>
      (await complete(await always(fault))).choices[0];
    expect(await choiceOf('null_content')).toMatchObject({
      message: { content: null, refusal: null },
      finish_reason: 'stop',
    });
    expect(await choiceOf('refusal')).toMatchObject({
      message: { content: null, refusal: expect.stringContaining('sorry') as string },
      finish_reason: 'stop',
    });
    expect(await choiceOf('content_filter')).toMatchObject({
      message: { content: '' },
      finish_reason: 'content_filter',
    });
  });

  it('refusal: streamed as such', async () => {
    const text = await (await post(await always('refusal'), { stream: true })).text();
    expect(text).toContain('"delta":{"refusal":');
    expect(text).not.toContain('"content":"');
  });

  it('quota: no more credit', async () => {
    expect(await refused(post(await always('quota')))).toMatchObject({
      status: 429,
      type: 'insufficient_quota',
      code: 'insufficient_quota',
    });
  });

  it('error_200: an error that calls itself a success', async () => {
    expect(await refused(post(await always('error_200')))).toMatchObject({
      status: 200,
      type: 'server_error',
    });
  });

  it('drip: the right answer, slowly', async () => {
    const faultless = await complete(await simulate());
    const simulator = await always('drip', { dripMs: 20 });
    expect((await complete(simulator)).choices).toEqual(faultless.choices);
    expect(simulator.statistics()).toMatchObject({ answered: 1, faults: { drip: 1 } });
  });

  it('are counted instead of an answer', async () => {
    const simulator = await always('torn');
    await (await post(simulator)).text();
    expect(simulator.statistics()).toMatchObject({
      requests: 1,
      answered: 0,
      faults: { torn: 1 },
      answersByPrompt: {},
    });
  });

  it('quotaAfter: requests succeed until the credit is used up', async () => {
    const simulator = await simulate({ quotaAfter: 2 });
    const statuses = [];
    for (let count = 0; count < 4; count++) statuses.push((await post(simulator, ask(String(count)))).status);
    expect(statuses).toEqual([200, 200, 429, 429]);
    expect(simulator.statistics()).toMatchObject({ answered: 2, faults: { quota: 2 } });
  });

  it('hit the same requests in every run, and a retry has a new chance', async () => {
    const statuses = async (seed: number): Promise<number[]> => {
      const simulator = await simulate({ faults: { '500': 0.3, '503html': 0.2 }, seed });
      const questions = Array.from({ length: 120 }, (_, index) => ask(String(index % 40)));
      const answers = [];
      for (const question of questions) answers.push((await post(simulator, question)).status);
      return answers;
    };
    const first = await statuses(1);
    expect(await statuses(1)).toEqual(first);
    expect(await statuses(2)).not.toEqual(first);
    expect(first.filter((status) => status === 500).length).toBeGreaterThan(20);
    expect(first.filter((status) => status === 503).length).toBeGreaterThan(10);
    expect(first.slice(40, 80)).not.toEqual(first.slice(0, 40));
  });

  it('can come with latency', async () => {
    const simulator = await simulate({ latencyMs: 30, latencyJitterMs: 10 });
    const started = performance.now();
    await post(simulator);
    expect(performance.now() - started).toBeGreaterThanOrEqual(19);
  });
});

describe('the text form of faults', () => {
  it('is read', () => {
    expect(parseFaults('429=0.05, 500=0.03,reset=0')).toEqual({ '429': 0.05, '500': 0.03, reset: 0 });
    expect(parseHubFaults('ResponseNotReady=1')).toEqual({ ResponseNotReady: 1 });
  });

  it.each([
    '',
    'unknown=0.1',
    '429',
    '429=',
    '429=2',
    '429=-1',
    '429=much',
    'toString=0.1',
    '429=0.6,500=0.6',
  ])('is refused where it is wrong: %j', (text) => {
    expect(() => parseFaults(text)).toThrow(UsageError);
  });

  it('is explained with the names of all faults', () => {
    expect(() => parseFaults('slow=0.1')).toThrow(Object.keys(FAULTS).join(', '));
  });
});

describe('a sample', () => {
  it('is a number from 0 to 1, the same each time', () => {
    const key = fc.string({ unit: fc.constantFrom('0', '1', '8', 'a', 'f'), minLength: 8, maxLength: 32 });
    fc.assert(
      fc.property(fc.integer(), key, fc.nat(), fc.nat(1), (seed, hash, attempt, purpose) => {
        const number = draw(seed, hash, attempt, purpose);
        return number >= 0 && number < 1 && number === draw(seed, hash, attempt, purpose);
      }),
    );
  });

  it('picks each fault as often as its share says', () => {
    const counts: Record<string, number> = {};
    for (let attempt = 0; attempt < 20_000; attempt++) {
      const fault = pickFault({ '429': 0.05, reset: 0.2 }, draw(42, '0123abcd', attempt, 0)) ?? 'none';
      counts[fault] = (counts[fault] ?? 0) + 1;
    }
    expect((counts['429'] ?? 0) / 20_000).toBeCloseTo(0.05, 2);
    expect((counts['reset'] ?? 0) / 20_000).toBeCloseTo(0.2, 1);
    expect((counts['none'] ?? 0) / 20_000).toBeCloseTo(0.75, 1);
  });
});
