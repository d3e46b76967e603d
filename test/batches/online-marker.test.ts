import { APIError } from 'openai';
import { describe, expect, it } from 'vitest';
import type { AccountFile, AccountFiles } from '../../src/batches/apis/batch-api.js';
import {
  firstBefore,
  giveUpMarkers,
  HELD_FOR_MS,
  isOvertaken,
  markerName,
  OnlineMarker,
  readMarker,
  RENEW_EVERY_MS,
  STALE_AFTER_S,
  type Claim,
  type Marker,
} from '../../src/batches/online-marker.js';
import { FakeClock } from '../support/fake-clock.js';

const RUN = '0b7c4f2e-9a7d-4a53-8a3f-2f8f7a3c1d5e';
const OURS = 'aaaaaaaaaaaaaaaa';
const THEIRS = 'bbbbbbbbbbbbbbbb';
const START = 1_790_000_000;

function marker(token: string, since: number | null, renewedAt = since): Marker {
  return {
    id: `file-${token}-${renewedAt ?? 'x'}`,
    name: markerName(RUN, token, null),
    token,
    since,
    renewedAt,
  };
}

describe('which marker goes first', () => {
  it.each<[string, Marker[], boolean]>([
    ['nobody else', [], false],
    ['our own, left by a process that was killed', [marker(OURS, START - 100)], false],
    ['an older one', [marker(THEIRS, START - 10)], true],
    ['a younger one', [marker(THEIRS, START + 1)], false],
    ['an older one that was renewed since ours was made', [marker(THEIRS, START - 10, START + 1)], true],
    ['one of the same second with a later token', [marker('cccccccccccccccc', START)], false],
    ['one of the same second with an earlier token', [marker('0000000000000000', START)], true],
    ['one without a time', [marker(THEIRS, null)], true],
    ['one that was renewed just in time', [marker(THEIRS, START - 9999, START - STALE_AFTER_S)], true],
    ['one that nobody renews any more', [marker(THEIRS, START - 9999, START - STALE_AFTER_S - 1)], false],
    ['an old one beside a live one', [marker(THEIRS, 1, 2), marker('cccccccccccccccc', START - 5)], true],
  ])('%s', (_, others, isTaken) => {
    const mine = marker(OURS, START);
    expect(firstBefore(mine, [mine, ...others]) !== null).toBe(isTaken);
  });

  it('of any two that see each other, one at most sends', () => {
    const times = [null, START - 1, START, START + 1];
    for (const [a, b] of times.flatMap((one) => times.map((other) => [one, other] as const))) {
      const [mine, theirs] = [marker(OURS, a), marker(THEIRS, b)];
      const going = [firstBefore(mine, [mine, theirs]), firstBefore(theirs, [mine, theirs])];
      expect(going.filter((one) => one === null).length, `${a ?? ''} ${b ?? ''}`).toBeLessThanOrEqual(1);
    }
  });
});

describe('whether a renewed marker still counts', () => {
  const before = marker(OURS, START - 600, START - 300);
  const mine = marker(OURS, START - 600, START);
  it.each<[string, Marker[], boolean]>([
    ['both are there', [before, mine], false],
    ['another one came later', [before, mine, marker(THEIRS, START - 10)], false],
    ['ours was deleted, and nobody else has one', [mine], false],
    ['ours was given up, and another one took its place', [mine, marker(THEIRS, START - 10)], true],
    ['ours was given up, and the other one has stopped', [mine, marker(THEIRS, 1, 2)], false],
    ['an older one turns up', [before, mine, marker(THEIRS, START - 700, START - 1)], true],
  ])('%s', (_, all, expected) => {
    expect(isOvertaken(before, mine, all)).toBe(expected);
  });
});

it.each<[string, string, number | null]>([
  ['a first one', markerName(RUN, OURS, null), START],
  ['a renewed one', markerName(RUN, OURS, START - 300), START - 300],
])('%s says by its name whose it is', (_, name, since) => {
  expect(readMarker(RUN, { id: 'file-1', name, createdAt: START })).toEqual({
    ...{ id: 'file-1', name, token: OURS, since },
    renewedAt: START,
  });
  expect(readMarker('another-run', { id: 'file-1', name, createdAt: START })).toBeNull();
});

it.each([
  `reannotate-${RUN}-3.jsonl`,
  `reannotate-${RUN}-online-.jsonl`,
  `reannotate-${RUN}-online-${OURS}.json`,
  `x-${markerName(RUN, OURS, null)}`,
  `${markerName(RUN, OURS, null)}.part`,
])('%s is no marker', (name) => {
  expect(readMarker(RUN, { id: 'file-1', name, createdAt: START })).toBeNull();
});

/** An account's files, with a server clock of whole seconds, and what is wrong with it. */
class Account {
  readonly files: AccountFile[] = [];
  #made = 0;
  /** Status that every call is answered with; 0 for none. */
  fails: number | null = null;

  constructor(
    readonly clock: FakeClock,
    private readonly wrong: { hidden?: boolean; timeless?: boolean; lagMs?: number } = {},
  ) {}

  readonly api: AccountFiles = {
    add: (_, name) => this.#answer(() => this.put(name)),
    list: () =>
      this.#answer(() => {
        const seen = this.files.filter(({ id }) => this.#listedAt(id) <= this.clock.now());
        return { files: this.wrong.hidden === true ? [] : seen, next: null };
      }),
    remove: (id) =>
      this.#answer(() => {
        const at = this.files.findIndex((file) => file.id === id);
        if (at === -1) throw APIError.generate(404, {}, 'no such file', new Headers());
        this.files.splice(at, 1);
      }),
  };

  put(name: string): AccountFile {
    const createdAt = this.wrong.timeless === true ? null : START + Math.floor(this.clock.now() / 1000);
    const file = { id: `file-${++this.#made}-${this.clock.now()}`, name, createdAt };
    this.files.unshift(file);
    return file;
  }

  #listedAt(id: string): number {
    return Number(id.split('-')[2]) + (this.wrong.lagMs ?? 0);
  }

  #answer<T>(work: () => T): Promise<T> {
    if (this.fails === 0) return Promise.reject(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
    if (this.fails !== null) {
      return Promise.reject(APIError.generate(this.fails, {}, 'refused', new Headers()));
    }
    return Promise.resolve().then(work);
  }
}

function claimAs(token: string, account: Account, wallClock = account.clock.now): Promise<Claim> {
  const waiting = { clock: account.clock, random: () => 0, signal: new AbortController().signal };
  return OnlineMarker.claim({ run: RUN, token, path: '', files: account.api, waiting, wallClock });
}

/** Lets everybody do what they would within a time. */
async function within<T>(ms: number, clock: FakeClock, work: Promise<T>): Promise<T> {
  await clock.runUntil(clock.now() + ms);
  return work;
}

describe('machines that send at the same time', () => {
  it.each<[string, number, ConstructorParameters<typeof Account>[1], string[]]>([
    ['at the same moment', 0, {}, ['held', 'taken']],
    ['within the same second', 400, {}, ['held', 'taken']],
    ['a second apart', 1000, {}, ['held', 'taken']],
    ['after the first has looked', 2500, {}, ['held', 'taken']],
    ['where the list lags', 1000, { lagMs: 1500 }, ['held', 'taken']],
    ['where files have no times', 0, { timeless: true }, ['taken', 'taken']],
    ['one after the other, where files have no times', 2500, { timeless: true }, ['held', 'taken']],
    ['where the list shows nothing', 0, { hidden: true }, ['unavailable', 'unavailable']],
  ])('%s', async (_, apartMs, wrong, expected) => {
    const clock = new FakeClock();
    const account = new Account(clock, wrong);
    const first = claimAs(OURS, account);
    await clock.runUntil(apartMs);
    const second = claimAs(THEIRS, account);
    await clock.runUntil(60_000);
    expect([(await first).kind, (await second).kind]).toEqual(expected);
    expect(account.files).toHaveLength(expected.filter((kind) => kind === 'held').length);
  });

  it('one that ends before the other checks again has sent the rows anyway', async () => {
    const clock = new FakeClock();
    const account = new Account(clock);
    const first = claimAs(OURS, account).then(async (claim) => {
      if (claim.kind === 'held') await claim.marker.release();
      return claim.kind;
    });
    await clock.runUntil(1200);
    const second = claimAs(THEIRS, account);
    await clock.runUntil(60_000);
    expect([await first, (await second).kind]).toEqual(['held', 'taken']);
    expect(account.files).toHaveLength(0);
  });

  it('a process that was killed keeps its own folder from nothing, and others until its marker is old', async () => {
    const clock = new FakeClock();
    const account = new Account(clock);
    // It is killed: never renewed, never removed.
    expect((await within(5000, clock, claimAs(THEIRS, account))).kind).toBe('held');
    await clock.runUntil(10 * 60_000);
    expect(await within(5000, clock, claimAs(OURS, account))).toMatchObject({ kind: 'taken' });
    const again = await within(5000, clock, claimAs(THEIRS, account));
    expect(again.kind).toBe('held');
    expect(account.files).toHaveLength(1);
    await clock.runUntil(clock.now() + STALE_AFTER_S * 1000);
    expect((await within(5000, clock, claimAs(OURS, account))).kind).toBe('held');
    expect(account.files).toHaveLength(1);
  });

  it('one that is given up is removed immediately', async () => {
    const clock = new FakeClock();
    const account = new Account(clock);
    const { name } = account.put(markerName(RUN, THEIRS, null));
    account.put(`reannotate-${RUN}-0.jsonl`);
    const waiting = { clock, random: () => 0, signal: new AbortController().signal };
    const given = giveUpMarkers(RUN, account.api, waiting, (one) => one.name === name);
    expect(await given).toEqual([name]);
    expect(account.files).toHaveLength(1);
    expect((await within(5000, clock, claimAs(OURS, account))).kind).toBe('held');
  });

  it.each([400, 403, 404, 405, 501])('a server that answers %i does not support it', async (status) => {
    const account = new Account(new FakeClock());
    account.fails = status;
    expect((await within(60_000, account.clock, claimAs(OURS, account))).kind).toBe('unavailable');
  });

  it('a server that is down is an error: nothing may be sent', async () => {
    const account = new Account(new FakeClock());
    account.fails = 503;
    const failed = claimAs(OURS, account).catch((error: unknown) => String(error));
    expect(await within(10 * 60_000, account.clock, failed)).toContain('503');
  });
});

async function held(account: Account, wallClock?: () => number): Promise<OnlineMarker> {
  const claim = await within(5000, account.clock, claimAs(OURS, account, wallClock));
  if (claim.kind !== 'held') throw new Error(`it is ${claim.kind}`);
  return claim.marker;
}

describe('a marker that is held', () => {
  it('is renewed before it expires, keeps others out, and is removed at the end', async () => {
    const account = new Account(new FakeClock());
    const { clock } = account;
    const marker = await held(account);
    for (let minutes = 5; minutes <= 60; minutes += 5) {
      await clock.runUntil(minutes * 60_000);
      await marker.renew();
      expect(account.files).toHaveLength(1);
      expect(marker.isHeld()).toBe(true);
      expect((await within(5000, clock, claimAs(THEIRS, account))).kind).toBe('taken');
    }
    expect(await marker.release()).toBe(true);
    expect(account.files).toEqual([]);
  });

  it('is lost when it could not be renewed for long, before others take its place', async () => {
    const account = new Account(new FakeClock());
    const marker = await held(account);
    const reasons: string[] = [];
    marker.keep((why) => reasons.push(why));
    account.fails = 403;
    await account.clock.runUntil(HELD_FOR_MS - 1);
    await within(10_000, account.clock, marker.renew());
    expect(marker.isHeld()).toBe(false);
    expect(reasons).toEqual([expect.stringMatching(/could not be renewed/)]);
    account.fails = null;
    expect(await marker.release()).toBe(true);
    expect(HELD_FOR_MS + 10 * 60_000).toBeLessThan(STALE_AFTER_S * 1000);
    expect(RENEW_EVERY_MS * 2).toBeLessThan(HELD_FOR_MS);
  });

  it('is lost on a machine that slept, whichever of its clocks stopped', async () => {
    const account = new Account(new FakeClock());
    let wall = 0;
    const marker = await held(account, () => wall);
    wall += HELD_FOR_MS;
    expect(marker.isHeld()).toBe(false);
  });

  it('is lost at its next renewal if it was given up and another machine sends', async () => {
    const account = new Account(new FakeClock());
    const marker = await held(account);
    account.files.splice(0);
    account.put(markerName(RUN, THEIRS, null));
    await marker.renew();
    expect(marker.isHeld()).toBe(false);
  });
});
