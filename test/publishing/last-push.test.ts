import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ResultRow } from '../../src/exports/rows.js';
import { changesSince, digestsPath, recordOf, type LastPush } from '../../src/publishing/last-push.js';
import { describeChanges, RowDigests } from '../../src/publishing/row-digests.js';

const row = (prompt: string, answer: string | null): ResultRow => ({
  ...{ system_prompt: '', user_prompt: prompt, annotation_original: 'old', annotation: answer },
});

function digestsOf(rows: readonly ResultRow[]): { digests: RowDigests; text: string } {
  const digests = new RowDigests(rows.length);
  return { digests, text: rows.map((one) => `${digests.add(one)}\n`).join('') };
}

/** A push of some rows, as the next one finds it. */
function pushOf(rows: readonly ResultRow[]): {
  last: LastPush;
  read: (path: string) => Promise<string | null>;
} {
  const push = { rows: rows.length, digests: [digestsPath(0)], since_last_push: null };
  const summary = { finished_at: '2026-11-28T08:00:00.000Z', models: { 'model-a': 3 } };
  const files = new Map([[digestsPath(0), digestsOf(rows).text]]);
  return {
    last: { revision: 'r', data: null, summary, record: push },
    read: (path) => Promise.resolve(files.get(path) ?? null),
  };
}

describe('what changed since the last push', () => {
  it('is counted over any rows, equal prompts included', async () => {
    const rows = fc.array(fc.tuple(fc.constantFrom('p', 'q', 'r', 's'), fc.constantFrom('1', '2', null)), {
      maxLength: 12,
    });
    const timesIn = (list: readonly unknown[]): Map<string, number> => {
      const times = new Map<string, number>();
      for (const one of list) times.set(JSON.stringify(one), (times.get(JSON.stringify(one)) ?? 0) + 1);
      return times;
    };
    const common = (one: readonly unknown[], other: readonly unknown[]): number => {
      const times = timesIn(other);
      return [...timesIn(one)].reduce((sum, [key, count]) => sum + Math.min(count, times.get(key) ?? 0), 0);
    };
    await fc.assert(
      fc.asyncProperty(
        rows.filter((list) => list.length > 0),
        rows,
        async (before, now) => {
          const { last, read } = pushOf(before.map(([prompt, answer]) => row(prompt, answer)));
          const { digests } = digestsOf(now.map(([prompt, answer]) => row(prompt, answer)));
          const same = common(now, before);
          const kept = common(
            now.map(([prompt]) => prompt),
            before.map(([prompt]) => prompt),
          );
          expect(await changesSince(last, digests, read)).toEqual({
            rows: {
              new: now.length - kept,
              changed: kept - same,
              gone: before.length - kept,
              unchanged: same,
            },
            finished_at: '2026-11-28T08:00:00.000Z',
            models: { 'model-a': 3 },
          });
        },
      ),
    );
  });

  it('is a matter of prompts, tools and answers alone', () => {
    const one = row('p', 'a');
    const earlier = digestsOf([one, row('q', 'b')]).digests;
    const now = digestsOf([
      {
        ...one,
        annotation_original: 'another old one',
        metadata: { state: 'ok', model: 'm', finish_reason: null, usage: 1 },
      },
      { ...row('q', 'b'), tools: '[]' },
    ]).digests;
    expect(now.changesSince(earlier)).toEqual({ new: 1, changed: 0, gone: 1, unchanged: 1 });
    expect(describeChanges({ new: 5000, changed: 1, gone: 3, unchanged: 0 })).toBe(
      '5,000 rows are new, 1 has another answer, 3 were removed',
    );
  });

  const before = pushOf([row('p', 'a')]);
  const push = before.last.record as object;
  it.each<[string, unknown, (path: string) => Promise<string | null>]>([
    ['a push of an earlier version', null, before.read],
    ['another file', { version: 2 }, before.read],
    ['a file that is gone', push, () => Promise.resolve(null)],
    ['a file of another kind', push, () => Promise.resolve('<html>')],
    ['too few rows', push, () => Promise.resolve('\n')],
    ['too many rows', push, () => before.read(digestsPath(0)).then((text) => `${text ?? ''}${text ?? ''}`)],
    ['another path', { ...push, digests: ['../../api/token'] }, before.read],
    ['a number that is none', { ...push, rows: -1 }, before.read],
    ['more rows than can be', { ...push, rows: 1e12 }, before.read],
  ])('is not known from %s', async (_, record, read) => {
    const { digests } = digestsOf([row('p', 'a')]);
    expect((await changesSince({ ...before.last, record }, digests, read)).rows).toBeNull();
  });

  it('keeps its text if the same data are pushed again', () => {
    const since = {
      rows: { new: 1, changed: 2, gone: 3, unchanged: 4 },
      finished_at: null,
      models: { m: 1 },
    };
    const again = { rows: 1, digests: [], since_last_push: { ...since, models: { m: 1, n: 'x' } } };
    expect(recordOf({ ...before.last, record: again })?.since_last_push).toEqual(since);
  });
});
