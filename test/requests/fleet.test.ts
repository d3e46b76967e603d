import { describe, expect, it } from 'vitest';
import { standingsSince, type ServerStanding } from '../../src/requests/fleet.js';
import { playFleet, type FleetPlayed, type Scripted } from '../support/fleet-run.js';
import { ok, type Reply } from '../support/processor-run.js';
import { apiError } from '../support/scripted-api.js';

const ROWS = 60;
const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const broken = Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' });
const timeOut = Object.assign(new Error('took too long'), { code: 'REQUEST_TIMEOUT' });
const good = (name: string, more: Partial<Scripted> = {}): Scripted => ({ name, says: () => ok, ...more });
const always = (name: string, reply: Reply | Error, probe: string | null = 'still so'): Scripted => ({
  name,
  says: () => reply,
  probe: () => probe,
});

function share({ sent }: FleetPlayed, name: string): number {
  return sent[name]?.length ?? 0;
}

function absenceOf({ standings }: FleetPlayed, name: string): string | null {
  return standings.find(({ server }) => server === name)?.absence ?? null;
}

describe('several servers', () => {
  it('share the rows evenly, and a slow one gets what it can answer', async () => {
    const even = await playFleet(ROWS, [good('a'), good('b'), good('c')]);
    expect(even.answered).toHaveLength(ROWS);
    for (const name of ['a', 'b', 'c']) expect(Math.abs(share(even, name) - ROWS / 3)).toBeLessThan(4);
    const uneven = await playFleet(ROWS, [good('a'), good('slow', { latency: 100 })]);
    expect(share(uneven, 'slow')).toBeLessThan(ROWS / 4);
    expect(share(uneven, 'slow')).toBeGreaterThan(0);
  });

  it.each<[string, Reply | Error]>([
    ['refuses connections', refused],
    ['closes connections', broken],
    ['answers 500', apiError(500, 'oops')],
    ['answers 502 without a body', { status: 502, body: '' }],
    ['answers 503', apiError(503, 'try later')],
    ['is loading its model', apiError(503, 'Loading model')],
    ['never answers in time', timeOut],
    ['has the wrong key', apiError(401, 'Incorrect API key provided')],
    ['has no credit', apiError(429, 'You exceeded your current quota', 'insufficient_quota')],
    ['has another model', apiError(404, 'The model `x` does not exist', 'model_not_found')],
    ['is at a wrong address', { status: 404, body: '<html>not found</html>' }],
    ['redirects', { status: 307, body: '' }],
    ['speaks another API', { body: { candidates: [] } }],
    ['throttles for hours', { status: 429, headers: { 'retry-after': '20000' }, body: {} }],
  ])('one that %s costs no row its only attempt', async (_, reply) => {
    const played = await playFleet(ROWS, [always('bad', reply), good('a'), good('b')], { attempts: 1 });
    expect(played).toMatchObject({ stop: null, failed: [] });
    expect(new Set(played.answered).size).toBe(ROWS);
    expect(absenceOf(played, 'bad')).not.toBeNull();
    expect(played.warnings.some((text) => text.startsWith('bad is left out'))).toBe(true);
    // A few failures show it; one by one afterwards, ever more rarely.
    expect(share(played, 'bad')).toBeLessThan(12);
  });

  it.each<[string, Reply]>([
    ['bytes of no kind', { body: '\u0000\u00ff garbage' }],
    ['JSON of no kind', { body: { hello: 'world' } }],
    ['an empty body', { body: '' }],
  ])('one that answers with %s is left out, and its rows are answered by others', async (_, reply) => {
    const played = await playFleet(ROWS, [always('bad', reply), good('a'), good('b')], { attempts: 5 });
    expect(played).toMatchObject({ stop: null, failed: [] });
    expect(new Set(played.answered).size).toBe(ROWS);
    expect(absenceOf(played, 'bad')).not.toBeNull();
    expect(share(played, 'bad')).toBeLessThan(12);
  });

  it('a row that one cannot answer readably is sent to another, though that counts as an attempt', async () => {
    const garbage: Reply = { body: '\u0000\u00ff garbage' };
    const odd: Scripted = { name: 'odd', says: (row) => (row % 3 === 0 ? garbage : ok) };
    const played = await playFleet(ROWS, [odd, good('a')], { attempts: 2 });
    expect(played).toMatchObject({ stop: null, failed: [] });
    expect(share(played, 'odd')).toBeGreaterThan(5);
  });

  it('one that returns is tried with one request, and then gets its share again', async () => {
    const dies: Scripted = {
      name: 'dies',
      says: (_, now) => (now > 200 && now < 1500 ? refused : ok),
      probe: (now) => (now < 1500 ? 'down' : null),
    };
    const played = await playFleet(2000, [dies, good('a')], { attempts: 1 });
    expect(played).toMatchObject({ stop: null, failed: [] });
    expect(absenceOf(played, 'dies')).toBeNull();
    expect(share(played, 'dies')).toBeGreaterThan(300);
  });

  it('one whose probe succeeds and whose requests fail is tried less and less often', async () => {
    const played = await playFleet(8000, [always('bad', apiError(500, 'oops'), null), good('a')], {
      attempts: 1,
    });
    expect(played.failed).toEqual([]);
    expect(played.time).toBeGreaterThan(15_000);
    // Three at first, those in flight beside them, and one for each return after 1, 2, 4 and 8 seconds.
    expect(share(played, 'bad')).toBeLessThan(14);
  });

  it('if all are down, it is an outage as with one server', async () => {
    const played = await playFleet(ROWS, [always('a', refused), always('b', refused)], { attempts: 3 });
    expect(played.stop).toMatchObject({ reason: 'error', cause: 'unreachable' });
    expect(played.failed).toEqual([]);
    const later = (name: string): Scripted => ({
      name,
      says: (_, now) => (now < 300 ? ok : refused),
      probe: () => 'down',
    });
    const worked = await playFleet(3000, [later('a'), later('b')], { attempts: 1 });
    expect(worked.stop).toMatchObject({ reason: 'error', cause: 'unreachable' });
    expect(worked.failed).toEqual([]);
    expect(worked.time).toBeGreaterThan(60_000);
  });

  it('if all are down for a while, no row fails', async () => {
    const pauses = (name: string): Scripted => ({
      name,
      says: (_, now) => (now < 300 || now > 20_000 ? ok : refused),
      probe: (now) => (now < 20_000 ? 'down' : null),
    });
    const played = await playFleet(3000, [pauses('a'), pauses('b')], { attempts: 1 });
    expect(played).toMatchObject({ stop: null, failed: [] });
    expect(new Set(played.answered).size).toBe(3000);
  });

  it('a wrong key everywhere ends the run with the last server’s words', async () => {
    const wrong = apiError(401, 'Incorrect API key provided');
    const played = await playFleet(ROWS, [always('a', wrong), always('b', wrong)]);
    expect(played.stop).toMatchObject({ reason: 'error', cause: 'key' });
    expect(JSON.stringify(played.stop)).toMatch(/[ab]: 401/);
    expect(share(played, 'a') + share(played, 'b')).toBe(2);
  });

  it('a row that breaks every server fails, and takes no server out for others', async () => {
    const touchy = (name: string): Scripted => ({
      name,
      says: (row) => (row === 7 ? apiError(500, 'oops') : ok),
    });
    const played = await playFleet(ROWS, [touchy('a'), touchy('b'), touchy('c')], { attempts: 2 });
    expect(played.failed).toMatchObject([{ row: 7 }]);
    expect(played.answered).toHaveLength(ROWS - 1);
    expect(played.standings.every(({ absence }) => absence === null)).toBe(true);
    expect(
      Object.values(played.sent)
        .flat()
        .filter((row) => row === 7),
    ).toHaveLength(6);
  });

  it('refusals of a row are the row’s own, whichever server gives them', async () => {
    const refuses = (name: string): Scripted => ({
      name,
      says: (row) => (row % 10 === 3 ? apiError(400, 'prompt is too long: 9000 tokens > 4096 maximum') : ok),
    });
    const played = await playFleet(ROWS, [refuses('a'), refuses('b')], { attempts: 3 });
    expect(played.failed).toHaveLength(ROWS / 10);
    expect(played.standings.every(({ absence }) => absence === null)).toBe(true);
  });

  it('each keeps its own rate, and both are used', async () => {
    const limited = (name: string): Scripted => good(name, { requestsPerMinute: 600 });
    const played = await playFleet(400, [limited('a'), limited('b')]);
    expect(played.answered).toHaveLength(400);
    expect(played.time).toBeGreaterThan(18_000);
    expect(played.time).toBeLessThan(21_500);
  });

  it('one that throttles for a while does not delay the others', async () => {
    const throttled: Scripted = {
      name: 'throttled',
      says: (_, now) => (now < 30_000 ? { status: 429, headers: { 'retry-after': '30' }, body: {} } : ok),
    };
    const played = await playFleet(400, [throttled, good('a')], { attempts: 1 });
    expect(played).toMatchObject({ stop: null, failed: [] });
    expect(played.time).toBeLessThan(5000);
  });

  it('join and leave during a run', async () => {
    const played = await playFleet(2000, [good('first', { latency: 20 })], {
      at: {
        time: 1000,
        run: (_, join) => {
          join(good('second', { latency: 20 }));
          join(good('third', { latency: 20 }));
        },
      },
    });
    expect(new Set(played.answered).size).toBe(2000);
    for (const name of ['second', 'third']) expect(share(played, name)).toBeGreaterThan(400);
  });
});

it('what servers do for a later session is counted from its start, also where one left and came back', () => {
  let now: ServerStanding[] = [];
  const one = (server: string, requests: number, absence: string | null = null): ServerStanding => ({
    ...{ server, requests, absence },
    answers: requests,
    inFlight: 0,
  });
  now = [one('a', 10), one('b', 5)];
  const since = standingsSince(() => now);
  now = [one('a', 12), one('c', 3), one('b', 2), one('b', 7, 'no longer listed')];
  const counts = new Map<string, number>();
  for (const { server, requests } of since()) counts.set(server, (counts.get(server) ?? 0) + requests);
  expect(Object.fromEntries(counts)).toEqual({ a: 2, b: 4, c: 3 });
});
