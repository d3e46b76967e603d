import { describe, expect, it } from 'vitest';
import type { Processor } from '../../src/requests/processor.js';
import { ok, play, type Played, type Script } from '../support/processor-run.js';
import { apiError, completion } from '../support/scripted-api.js';

const tooLong = apiError(400, 'prompt is too long: 9000 tokens > 4096 maximum');

/** When a row meets its refusal. */
const PHASES = {
  'as the very first': { row: 0, before: ok, hasAnswers: false },
  'before any answer': { row: 2, before: tooLong, hasAnswers: false },
  'after answers': { row: 5, before: ok, hasAnswers: false },
  'first of a resumed run': { row: 0, before: ok, hasAnswers: true },
} as const;
type Phase = keyof typeof PHASES;
const NAMES = Object.keys(PHASES) as Phase[];
const ROWS = 9;

type Outcome =
  | 'answered'
  | 'failed'
  | 'filtered'
  | 'key'
  | 'model'
  | 'quota'
  | 'account'
  | 'refused'
  | 'limit'
  | 'unreachable'
  | 'other';

/** Every kind of verdict: what the server says to that row, and what becomes of it in each phase. */
// prettier-ignore
const VERDICTS: readonly [name: string, says: Script, outcomes: readonly Outcome[], given?: string[]][] = [
  ['an answer', () => ok, ['answered', 'answered', 'answered', 'answered']],
  ['a refusal that does not say why', () => apiError(400, 'no'), ['failed', 'failed', 'failed', 'failed']],
  ['a filter', () => apiError(400, 'x', 'content_filter'), ['filtered', 'filtered', 'filtered', 'filtered']],
  ['too long', () => tooLong, ['failed', 'failed', 'failed', 'failed']],
  ['too long beside max_tokens', ({ max_tokens: most }) => (Number(most) <= 1096 ? ok : apiError(400, 'maximum context length is 4096 tokens and your request has 3000 input tokens', null, 'max_tokens')), ['answered', 'answered', 'answered', 'answered']],
  ['no room left', () => apiError(400, 'maximum context length is 4096 tokens and your request has 4090 input tokens', null, 'max_tokens'), ['failed', 'failed', 'failed', 'failed']],
  ['a parameter', (body) => ('seed' in body ? apiError(400, 'x', 'unsupported_parameter', 'seed') : ok), ['answered', 'answered', 'answered', 'answered']],
  ['a parameter in unknown words', (body) => ('seed' in body ? apiError(400, 'Mind the `seed`!') : ok), ['answered', 'answered', 'failed', 'answered']],
  ['a parameter that is not the reason', () => apiError(400, 'Mind the `seed`!'), ['failed', 'failed', 'failed', 'failed']],
  ['a parameter that stays refused', () => apiError(400, "'seed' is not supported"), ['failed', 'failed', 'failed', 'failed']],
  ['a value that the user gave', () => apiError(400, 'must be below 10', 'invalid_value', 'seed'), ['refused', 'refused', 'failed', 'failed'], ['seed']],
  ['a value that is our default', (body) => ('seed' in body ? apiError(400, 'must be below 10', 'invalid_value', 'seed') : ok), ['answered', 'answered', 'answered', 'answered']],
  ['a wrong key', () => apiError(400, 'Incorrect API key provided'), ['key', 'key', 'key', 'key']],
  ['no such model', () => apiError(404, 'no model', 'model_not_found'), ['model', 'model', 'model', 'model']],
  ['no credit', () => apiError(400, 'Your credit balance is too low'), ['quota', 'quota', 'quota', 'quota']],
  ['a closed account', () => apiError(403, 'x', 'unsupported_country_region_territory'), ['account', 'account', 'account', 'account']],
  ['a redirect', () => ({ status: 307, body: '' }), ['other', 'other', 'other', 'other']],
  ['a throttle that passes', (_, times) => (times < 3 ? apiError(429, 'slow down') : ok), ['answered', 'answered', 'answered', 'answered']],
  ['a throttle for hours', () => ({ status: 429, headers: { 'retry-after': '20000' }, body: {} }), ['limit', 'limit', 'limit', 'limit']],
  ['a limit of the day', () => apiError(429, 'Rate limit exceeded: free-models-per-day'), ['limit', 'limit', 'limit', 'limit']],
  ['the same, with the time it lifts', () => ({ status: 429, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Date.now() + 9 * 3_600_000) }, body: {} }), ['limit', 'limit', 'limit', 'limit']],
  ['trouble that passes', (_, times) => (times < 2 ? apiError(500, 'oops') : ok), ['answered', 'answered', 'answered', 'answered']],
  ['trouble that stays', () => apiError(500, 'oops'), ['failed', 'failed', 'failed', 'failed']],
  ['a model that is being loaded', (_, times) => (times < 60 ? apiError(503, 'Loading model') : ok), ['answered', 'answered', 'answered', 'answered']],
  ['a broken connection that passes', (_, times) => (times < 1 ? Object.assign(new Error('x'), { code: 'ECONNRESET' }) : ok), ['answered', 'answered', 'answered', 'answered']],
];

const CASES = VERDICTS.flatMap(([name, says, outcomes, given]) =>
  NAMES.map((phase, index) => [name, phase, says, outcomes[index] as Outcome, given ?? []] as const),
);

function outcomeOf({ stop, rows }: Played, row: number): string {
  if (stop !== null && rows[row] === undefined) return stop.reason === 'error' ? stop.cause : stop.reason;
  return rows[row] ?? 'pending';
}

describe('a row', () => {
  it.each(CASES)('that meets %s %s', async (_, phase, says, outcome, given) => {
    const { row, before, hasAnswers } = PHASES[phase];
    const script: Script = (body, times) =>
      body.row === row ? says(body, times) : body.row < row ? before : ok;
    const played = await play(ROWS, script, { hasAnswers, given, parameters: { seed: 42 } });
    expect(outcomeOf(played, row)).toBe(outcome);
    const isStopped = !['answered', 'failed', 'filtered'].includes(outcome);
    expect(played.stop === null).toBe(!isStopped);
    // All other rows are handled unless the run stops, and no row fails because of another.
    const others = Object.entries(played.rows).filter(([other]) => Number(other) > row);
    if (!isStopped) expect(others).toHaveLength(ROWS - 1 - row);
    for (const [, state] of others) expect(state).toBe('answered');
  });

  it.each(VERDICTS.filter(([name]) => name !== 'an answer'))(
    'that meets %s while the run is given up stays pending',
    async (_, says) => {
      const at = {
        request: 0,
        run: (processor: Processor) => {
          processor.abandon();
        },
      };
      const { rows, stop } = await play(3, says, { at, parameters: { seed: 42 } });
      expect(rows).toEqual({});
      expect(stop).toEqual({ reason: 'interrupted' });
    },
  );

  it('keeps an answer that comes although the run is given up', async () => {
    const at = {
      request: 0,
      run: (processor: Processor) => {
        processor.abandon();
      },
    };
    expect((await play(3, () => ok, { at })).rows).toEqual({ 0: 'answered' });
  });
});

describe('a limit of the day', () => {
  it('ends the run at the first 429 with the time that the server gives, and fails no row', async () => {
    const nineHours = 9 * 3_600_000;
    const limited: Script = ({ row }) =>
      row < 3
        ? ok
        : {
            status: 429,
            headers: {
              'x-ratelimit-remaining': '0',
              'x-ratelimit-reset': String(Date.now() + nineHours),
            },
            body: {},
          };
    const { stop, rows, sent } = await play(50, limited, { concurrency: 1 });
    expect(stop).toMatchObject({ reason: 'error', cause: 'limit' });
    const wait = stop?.reason === 'error' ? (stop.wait ?? 0) : 0;
    expect(Math.abs(wait - nineHours)).toBeLessThan(60_000);
    expect(rows).toEqual({ 0: 'answered', 1: 'answered', 2: 'answered' });
    expect(sent).toBe(4);
  });

  it('ends it without a time if none is given', async () => {
    const { stop, sent } = await play(50, () => apiError(429, 'Daily limit reached'));
    expect(stop).toMatchObject({ reason: 'error', cause: 'limit' });
    expect(stop).not.toHaveProperty('wait');
    expect(sent).toBe(1);
  });
});

describe('an unreadable answer at the start', () => {
  it('fails its row alone where others are answered', async () => {
    const { stop, rows } = await play(5, ({ row }) => (row === 0 ? { body: 'x' } : ok));
    expect(stop).toBeNull();
    expect(rows).toEqual({ 0: 'failed', 1: 'answered', 2: 'answered', 3: 'answered', 4: 'answered' });
  });

  it('stops the run at the second row that is answered like that, or the second try of the only one', async () => {
    for (const count of [5, 1]) {
      const { stop, rows, sent } = await play(count, () => ({ body: 'x' }));
      expect(stop).toMatchObject({ reason: 'error' });
      expect(rows).toEqual({});
      expect(sent).toBe(2);
    }
  });
});

describe('time-outs', () => {
  it('make rows that are tried again wait for a place too', async () => {
    const timeout = Object.assign(new Error('x'), { code: 'REQUEST_TIMEOUT' });
    let isOver = false;
    const most = { before: 0, after: 0 };
    // Everything in flight at the twentieth row times out together.
    const script: Script = ({ row }, times) => {
      isOver ||= row >= 20 && times > 0;
      return row >= 20 && times === 0 ? timeout : ok;
    };
    const { stop, rows } = await play(100, script, {
      adaptive: true,
      concurrency: 64,
      onFlight: (count) => {
        const phase = isOver ? 'after' : 'before';
        most[phase] = Math.max(most[phase], count);
      },
    });
    expect(most.after).toBeLessThan(most.before);
    expect(stop).toBeNull();
    expect(Object.values(rows).filter((state) => state === 'answered')).toHaveLength(100);
  });
});

describe('refusals', () => {
  it('stop a run if no reason is given and twenty consecutive rows get them', async () => {
    const played = await play(60, ({ row }) => apiError(400, `Request ${row} was refused`));
    expect(played).toMatchObject({ sent: 20, stop: { cause: 'refused' } });
    expect((await play(60, () => apiError(400, 'no'), { hasAnswers: true })).sent).toBe(20);
  });

  it('stop a run that had answers, where they do not end', async () => {
    const { stop, rows } = await play(400, ({ row }) => (row < 30 ? ok : apiError(400, 'no')));
    expect(stop).toMatchObject({ cause: 'refused' });
    expect(Object.values(rows).filter((state) => state === 'failed').length).toBeLessThanOrEqual(54);
  });

  it.each([
    ['too long', tooLong, 'failed'],
    ['413', { status: 413, body: '' }, 'failed'],
    ['a filter', apiError(400, 'x', 'content_filter'), 'filtered'],
  ])('that explain themselves do not, however many come first: %s', async (_, reply, state) => {
    for (const hasAnswers of [false, true]) {
      const { stop, rows } = await play(150, ({ row }) => (row < 120 ? reply : ok), { hasAnswers });
      expect(stop).toBeNull();
      expect(Object.values(rows).filter((one) => one === state)).toHaveLength(120);
      expect(Object.values(rows).filter((one) => one === 'answered')).toHaveLength(30);
    }
  });

  it('of one row now and then never stop a run', async () => {
    const { stop, rows } = await play(300, ({ row }) => (row % 3 === 2 ? apiError(400, 'no') : ok));
    expect(stop).toBeNull();
    expect(Object.values(rows).filter((state) => state === 'failed')).toHaveLength(100);
  });

  it('of several parameters are all learnt, each reported once, without cost to requests in flight', async () => {
    const refusing: Script = (body) => {
      const refused = ['seed', 'n'].filter((name) => name in body);
      return refused.length > 0
        ? apiError(400, `Unrecognized request arguments supplied: ${refused.join(', ')}`)
        : ok;
    };
    const played = await play(40, refusing, { parameters: { seed: 1, n: 2 } });
    expect(played).toMatchObject({ stop: null, changed: ['seed', 'n'], sent: 41 });
    // Where the server changes its mind in mid-run, those in flight are sent again.
    const later = await play(40, (body, times) => (body.row > 10 ? refusing(body, times) : ok), {
      parameters: { seed: 1 },
    });
    expect(later).toMatchObject({ stop: null, changed: ['seed'] });
    expect(Object.values(later.rows)).toEqual(new Array(40).fill('answered'));
  });

  it('of a row that is too long shorten that row alone, and never below an answer of use', async () => {
    const script: Script = ({ row, max_tokens: most }) =>
      row % 2 === 1 && Number(most) > 500
        ? apiError(400, 'maximum context length is 4096 tokens and your request has 3596 input tokens')
        : ok;
    const { bodies, shortened, stop } = await play(6, script);
    expect(stop).toBeNull();
    expect([...bodies].map(([row, body]) => [row, body['max_tokens']])).toEqual(
      expect.arrayContaining([
        [0, 2048],
        [1, 500],
        [2, 2048],
        [3, 500],
      ]),
    );
    expect(shortened).toEqual([500, 500, 500]);
  });

  it('of a maximum beyond the model’s lower it for the run', async () => {
    const script: Script = ({ max_tokens: most }) =>
      Number(most) > 1000
        ? apiError(
            400,
            'max_tokens is too large: 2048. This model supports at most 1000 completion tokens',
            'invalid_value',
            'max_tokens',
          )
        : ok;
    const { bodies, changed, sent } = await play(5, script, { given: ['max_tokens'] });
    expect(changed).toEqual(['max_tokens']);
    expect(sent).toBe(6);
    for (const body of bodies.values()) expect(body['max_tokens']).toBe(1000);
  });

  it('of both names of the maximum leave it out, but never where --max_cost needs it', async () => {
    const script: Script = (body) => {
      const name = ['max_tokens', 'max_completion_tokens'].find((one) => one in body);
      return name === undefined
        ? ok
        : apiError(400, `'${name}' is not supported`, 'unsupported_parameter', name);
    };
    const free = await play(3, script);
    expect(free).toMatchObject({
      stop: null,
      changed: ['max_tokens→max_completion_tokens', 'max_completion_tokens'],
    });
    const { stop, rows } = await play(3, script, { budget: true });
    expect(stop).toMatchObject({
      cause: 'refused',
      message: expect.stringContaining('--max_cost') as string,
    });
    expect(rows).toEqual({});
  });
});

describe('an answer that breaks the schema', () => {
  const rules = {
    endingOf: () => 'complete' as const,
    violationIn: (text: string) => (text === 'yes' ? null : 'has no #/age'),
  };
  const wrong = { body: completion('no') };

  it('is kept, and requested again immediately, with another seed', async () => {
    const seeds: unknown[] = [];
    const played = await play(1, ({ seed }, times) => (seeds.push(seed), times < 2 ? wrong : ok), {
      rules,
      parameters: { seed: 42 },
    });
    expect(played).toMatchObject({ stop: null, rows: { 0: 'answered' }, kept: 2 });
    expect(seeds).toEqual([42, 43, 44]);
  });

  it('fails its row after all attempts, and says where it breaks it', async () => {
    const played = await play(5, ({ row }) => (row === 2 ? wrong : ok), { rules });
    expect(played).toMatchObject({
      stop: null,
      rows: { 1: 'answered', 2: 'failed', 4: 'answered' },
      kept: 3,
    });
    expect(played.errors).toEqual([expect.stringContaining('#/age')]);
  });

  it('fails every row of a short run, and ends a long one that has no other', async () => {
    const short = await play(8, () => wrong, { rules });
    expect(short).toMatchObject({ stop: null, ended: 8, sent: 24 });
    const long = await play(100, () => wrong, { rules });
    expect(long.stop).toMatchObject({ reason: 'error', cause: 'refused' });
    expect(long.sent).toBe(30);
    const resumed = await play(12, () => wrong, { rules, hasAnswers: true });
    expect(resumed).toMatchObject({ stop: null, ended: 12 });
  });
});

describe('an answer without text', () => {
  it('is requested again with another seed, since a model may say nothing again with the same', async () => {
    const seeds: unknown[] = [];
    const played = await play(
      1,
      ({ seed }, times) => (seeds.push(seed), times < 2 ? { body: completion('') } : ok),
      { parameters: { seed: 42 } },
    );
    expect(played).toMatchObject({ stop: null, rows: { 0: 'answered' } });
    expect(seeds).toEqual([42, 43, 44]);
  });

  it('is requested again as it was where the server left the text out', async () => {
    const seeds: unknown[] = [];
    await play(1, ({ seed }, times) => (seeds.push(seed), times < 2 ? { body: { choices: [] } } : ok), {
      parameters: { seed: 42 },
    });
    expect(seeds).toEqual([42, 42, 42]);
  });
});

describe('a service tier without capacity', () => {
  const full = apiError(429, 'Resource unavailable. Please try again later.', 'resource_unavailable');

  it('costs no attempt, however often it says so', async () => {
    const played = await play(3, (_, times) => (times < 40 ? full : ok));
    expect(played).toMatchObject({ stop: null, ended: 3 });
    expect(Object.values(played.rows)).toEqual(['answered', 'answered', 'answered']);
  });

  it('ends the run, to be resumed later, after an hour without answers', async () => {
    const played = await play(3, () => full);
    expect(played.stop).toMatchObject({ reason: 'error', cause: 'limit' });
    expect(played.ended).toBe(0);
    expect(played.sent).toBeLessThan(300);
  });
});

describe('a server that fails', () => {
  it.each([500, 502, 503, 504, 524, 529])(
    'with %s from some row on fails none of those in flight',
    async (status) => {
      const down = apiError(status, 'upstream connect error');
      const played = await play(400, ({ row }) => (row < 100 ? ok : down), { concurrency: 64 });
      expect(played.stop).toMatchObject({ reason: 'error', cause: 'unreachable' });
      expect(Object.values(played.rows)).toEqual(Array.from({ length: 100 }, () => 'answered'));
    },
  );

  it('from the first row on fails none', async () => {
    const played = await play(400, () => apiError(502, 'Bad gateway'));
    expect(played.stop).toMatchObject({ cause: 'unreachable' });
    expect(played.rows).toEqual({});
  });

  it('fails a row once another one is answered, or no other is left', async () => {
    const played = await play(12, ({ row }) => (row === 3 || row === 11 ? apiError(500, 'oops') : ok), {
      concurrency: 1,
    });
    expect(played.stop).toBeNull();
    expect(Object.entries(played.rows).filter(([, state]) => state === 'failed')).toEqual([
      ['3', 'failed'],
      ['11', 'failed'],
    ]);
  });

  it('because it is full costs no attempt while it answers others, within a limit', async () => {
    const full = apiError(503, '503 Service Temporarily Unavailable');
    const script: Script = ({ row }, times) => (row % 10 === 5 && times < 6 ? full : ok);
    expect(await play(200, script, { concurrency: 8 })).toMatchObject({ stop: null, ended: 200, errors: [] });
    const poison = await play(4000, ({ row }) => (row === 5 ? full : ok), { concurrency: 2 });
    expect(poison.rows[5]).toBe('failed');
    expect(poison.sent).toBeLessThan(4000 + 30);
  });
});

describe('hours of sending', () => {
  const HOUR = 3_600_000;
  /** From the first hour to the second, and from the fifth on. */
  const waitAt = (now: number): number =>
    now < HOUR ? HOUR - now : now >= 2 * HOUR && now < 5 * HOUR ? 5 * HOUR - now : 0;
  /** So slow that 12 rows take longer than an hour. */
  const slow: Script = (_, times) => (times < 2 ? apiError(503, 'busy') : ok);

  it('hold back every request and retry, and resume on their own', async () => {
    let busy = 0;
    const script: Script = (body, times) => {
      busy += 1;
      return body.row > 3 ? slow(body, times) : ok;
    };
    const played = await play(12, script, { waitAt });
    expect(played.stop).toBeNull();
    expect(Object.values(played.rows).filter((state) => state === 'answered')).toHaveLength(12);
    expect(busy).toBeGreaterThan(12);
    expect(played.sentAt.every((time) => waitAt(time) === 0)).toBe(true);
    expect(played.pauses.slice(0, 2)).toEqual([0, HOUR]);
  });

  it('do not end a run for silence, since nothing was sent', async () => {
    // The first request after a pause of three hours gets a 429.
    const script: Script = ({ row }, times) => (row === 2 && times === 0 ? apiError(429, 'slow down') : ok);
    const pause = (now: number): number => (now >= 20 && now < 3 * HOUR ? 3 * HOUR - now : 0);
    const played = await play(4, script, { waitAt: pause, concurrency: 1 });
    expect(played.stop).toBeNull();
    expect(Object.keys(played.rows)).toHaveLength(4);
    expect(played.pauses).toEqual([20, 3 * HOUR]);
  });

  it('are not waited for once all rows are answered', async () => {
    const played = await play(2, () => ok, { waitAt: (now) => (now >= 15 ? 10 * HOUR : 0), concurrency: 1 });
    expect(played.pauses).toEqual([]);
    expect(Object.keys(played.rows)).toHaveLength(2);
  });

  it('are not waited for after a stop', async () => {
    const stop = (processor: Processor): void => {
      processor.stop({ reason: 'interrupted' });
    };
    const played = await play(9, () => ok, {
      waitAt: (now) => (now >= 10 ? HOUR : 0),
      at: { request: 0, run: stop },
    });
    expect(played.stop).toEqual({ reason: 'interrupted' });
    expect(played.sent).toBe(1);
    expect(played.pauses).toEqual([]);
  });
});
