import { describe, expect, it } from 'vitest';
import { readBatch } from '../../src/batches/batch.js';
import { CallFailed } from '../../src/batches/calls.js';
import type { BatchPage } from '../../src/batches/apis/batch-api.js';
import { UnreadableAnswer } from '../../src/batches/apis/transport.js';
import { TemporaryError } from '../../src/lib/errors.js';
import type { Verdict } from '../../src/requests/verdict.js';
import { refuseBatchesElsewhere, type PayingRun } from '../../src/session/before-paying.js';
import { FakeClock } from '../support/fake-clock.js';
import { watchCommandFor } from '../../src/session/watch-command.js';
import { settingsFor } from '../support/settings.js';

const RUN = '0b7c4f2e-run';

function page(runs: readonly string[], more: Partial<BatchPage> = {}): BatchPage {
  const batches = runs.flatMap((run, number) => {
    const metadata = { tool: 'reannotate', run, chunk: '0', dataset: 'd.json', annotator: 'gpt-4o-mini' };
    const batch = readBatch({ id: `batch_${number}`, status: 'in_progress', created_at: 1, metadata });
    return batch === null ? [] : [batch];
  });
  return { batches, unreadable: [], hasMore: false, next: null, ...more };
}

function failure(status: number | null, verdict: Partial<Verdict>, cause: unknown = null): CallFailed {
  return new CallFailed({ message: `${status ?? 'no answer'}`, wait: null, ...verdict } as never, status, {
    cause,
  });
}

const TRANSIENT: Partial<Verdict> = { kind: 'transient' };
const REFUSED: Partial<Verdict> = { kind: 'run', cause: 'key' };
const EMPTY = page([]);
const SPOILT = page(['another'], { unreadable: [{ id: null, isForeign: false }] });

const watchCommand = watchCommandFor(settingsFor({ dataset: 'd.json', annotator: 'gpt-4o-mini' }));

/** The result of the look-up: the run continues, has batches to collect, or must be started again later. */
type Outcome = 'goes on' | 'collect' | 'later';

async function lookUp(answer: BatchPage | CallFailed, mustKnow: boolean): Promise<Outcome> {
  const paying = {
    watchCommand,
    run: { identity: { uuid: RUN, created: '2026_01_31-12_00_00' } },
    ledger: { batches: [] },
    client: { list: () => (answer instanceof CallFailed ? Promise.reject(answer) : Promise.resolve(answer)) },
    waiting: { clock: new FakeClock(), random: () => 0, signal: new AbortController().signal, tries: 1 },
    reporter: { debug: () => undefined, info: () => undefined, warning: () => undefined },
  } as unknown as PayingRun;
  try {
    await refuseBatchesElsewhere(paying, mustKnow);
    return 'goes on';
  } catch (error) {
    if (error instanceof CallFailed || error instanceof TemporaryError) return 'later';
    expect(String(error)).toMatch(/Collect them first with: npx watch-batch --batch_ids/);
    return 'collect';
  }
}

describe('batches of a run whose folder shows none', () => {
  it.each<[string, BatchPage | CallFailed, Outcome, Outcome]>([
    // what the server says                    its own address  another server
    ['has one of this run', page(['another', RUN]), 'collect', 'collect'],
    ['has one, and an entry that cannot be read', { ...SPOILT, ...page([RUN]) }, 'collect', 'collect'],
    ['has those of other runs', page(['another']), 'goes on', 'goes on'],
    ['has none', EMPTY, 'goes on', 'goes on'],
    ['has an entry that cannot be read', SPOILT, 'later', 'goes on'],
    ['ends in the middle', page(['another'], { hasMore: true }), 'later', 'goes on'],
    ['is not there', failure(404, { kind: 'row' }), 'goes on', 'goes on'],
    ['is not built', failure(501, TRANSIENT), 'goes on', 'goes on'],
    ['is not for this key', failure(403, REFUSED), 'goes on', 'goes on'],
    ['fails', failure(500, TRANSIENT), 'later', 'goes on'],
    ['is out of reach', failure(null, TRANSIENT), 'later', 'goes on'],
    ['is a page', failure(200, TRANSIENT, new UnreadableAnswer('the list', '<html>')), 'later', 'goes on'],
  ])('where the list %s', async (_, answer, own, other) => {
    expect([await lookUp(answer, true), await lookUp(answer, false)]).toEqual([own, other]);
  });
});
