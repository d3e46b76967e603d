/** What is promised of batches, tried with the API of each provider: over HTTP, against the simulator, without a program. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findInAccount } from '../../../src/batches/adopt.js';
import type { BatchApi } from '../../../src/batches/apis/batch-api.js';
import { openBatchApi } from '../../../src/batches/apis/index.js';
import { hasEnded, type Batch } from '../../../src/batches/batch.js';
import { cancelBatch } from '../../../src/batches/cancel.js';
import { newChunk, type Chunk } from '../../../src/batches/chunk.js';
import { download } from '../../../src/batches/download.js';
import { Ledger } from '../../../src/batches/ledger.js';
import { findMarkers, OnlineMarker } from '../../../src/batches/online-marker.js';
import { readResultLine } from '../../../src/batches/results.js';
import { submitChunks, type SubmitParts } from '../../../src/batches/submit.js';
import { readAddress } from '../../../src/http/address.js';
import { systemClock } from '../../../src/lib/clock.js';
import { BATCH_TERMS, type BatchApiName } from '../../../src/models/batch-terms.js';
import { runFolder } from '../../../src/run/folder.js';
import { Redactor } from '../../../src/secrets/redactor.js';
import type { BatchFault } from '../../../src/simulator/batch-faults.js';
import { basePathOf } from '../../../src/simulator/providers/index.js';
import type { Simulator } from '../../../src/simulator/server.js';
import { simulator, temporaryFolder } from '../../support/cli.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ANNOTATORS, PROVIDER_NAMES } from '../../support/provider-cli.js';

const RUN = '6f0a2f64-9f5c-4e5e-8d0a-3a9d1d6f1b11';
const CHUNKS = 2;
const LINES = 3;

interface Account {
  api: Simulator;
  client: BatchApi;
  ledger: Ledger;
  parts: SubmitParts;
  root: string;
}

/** A run with two batch files, and a client of a provider's API. */
async function account(
  provider: BatchApiName,
  batchPlans: BatchFault[][] = [],
  batchDurationMs = 0,
): Promise<Account> {
  const api = await simulator({ batchPlans, batchDurationMs });
  const root = temporaryFolder();
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), 'run');
  for (const path of [folder.save, folder.temp]) mkdirSync(path, { recursive: true });
  const annotator = ANNOTATORS[provider];
  const client = openBatchApi(
    provider,
    {
      address: readAddress(`${api.url}${basePathOf(provider)}`),
      apiKey: 'key-for-the-simulator-0123456789',
      timeout: 10_000,
      userAgent: 'test',
      redactor: new Redactor(),
      signal: new AbortController().signal,
    },
    { dataset: 'data.json', annotator },
  );
  onTestFinished(() => client.close());
  const ledger = Ledger.open(folder);
  const model = annotator.slice(annotator.indexOf('/') + 1);
  for (let number = 0; number < CHUNKS; number++) {
    const file = `jobs_batch_${number}.json`;
    const lines = Array.from({ length: LINES }, (_, line) => requestLine(number * LINES + line, model));
    writeFileSync(join(folder.temp, file), lines.join(''));
    const bytes = lines.join('').length;
    ledger.add([newChunk(number, file, { requests: LINES, bytes, tokens: 10 })]);
  }
  const parts = {
    ...{ ledger, client, waiting: WAITING },
    identity: {
      uuid: RUN,
      created: '2026_01_31-12_00_00',
      asked: { dataset: 'data.json', annotator },
      found: { revision: null },
    },
    reporter: { info: () => undefined, warning: () => undefined },
    isGivenUp: () => false,
    affordable: () => true,
  } as unknown as SubmitParts;
  return { api, client, ledger, parts, root };
}

const WAITING = { clock: systemClock, random: () => 0, signal: new AbortController().signal };

function requestLine(row: number, model: string): string {
  const body = { model, messages: [{ role: 'user', content: `Question ${row}` }], max_tokens: 50 };
  return `${JSON.stringify({ custom_id: String(row), method: 'POST', url: '/v1/chat/completions', body })}\n`;
}

/** Submits what is not submitted yet, one chunk after the other, so that each has the faults that are planned for it. */
async function submitted(one: Account): Promise<Chunk[]> {
  for (const chunk of one.ledger.unsubmitted) {
    const { failed } = await submitChunks([chunk], one.parts);
    expect(failed.map(({ reason }) => reason.message)).toEqual([]);
  }
  return [...one.ledger.chunks];
}

/** A batch once it has ended. */
async function ended(client: BatchApi, id: string): Promise<Batch> {
  for (let looks = 0; looks < 400; looks++) {
    const batch = await client.retrieve(id);
    if (hasEnded(batch)) return batch;
    await systemClock.sleep(5);
  }
  throw new Error(`${id} does not end`);
}

/** The lines of a batch's result files, by the row that each is about. */
async function rowsOf(one: Account, batch: Batch): Promise<string[]> {
  const rows: string[] = [];
  for (const file of [batch.outputFileId, batch.errorFileId]) {
    if (file === null) continue;
    const path = join(one.root, encodeURIComponent(file).slice(-40));
    const bounds = { bytes: 1 << 20, line: { bytes: 1 << 20, values: 10_000 } };
    await download(file, path, { client: one.client, waiting: WAITING, redactor: new Redactor(), bounds });
    for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
      rows.push(readResultLine(Buffer.from(line))?.id ?? '?');
    }
  }
  return rows.sort();
}

describe.each(PROVIDER_NAMES)('%s', (provider) => {
  it('--recover: its batches are found in the account, and say which chunks they are', async () => {
    const one = await account(provider);
    const made = (await submitted(one)).map(({ batch }) => batch?.id ?? '');
    for (const id of made) await ended(one.client, id);
    const wanted = { dataset: 'data.json', annotator: ANNOTATORS[provider], run: null, source: null };
    const { batches, doubt } = await findInAccount(one.client, wanted, WAITING, () => undefined);
    expect(doubt).toBeNull();
    expect(batches.map(({ id }) => id).sort()).toEqual([...made].sort());
    expect(batches.map(({ metadata }) => metadata['chunk']).sort()).toEqual(['0', '1']);
    expect(new Set(batches.map(({ metadata }) => metadata['run']))).toEqual(new Set([RUN]));
    const other = { ...wanted, dataset: 'other.json' };
    expect((await findInAccount(one.client, other, WAITING, () => undefined)).batches).toEqual([]);
  });

  it('--cancel: a running batch is stopped, and an ended one is not reported as stopped', async () => {
    const one = await account(provider, [['stuck']], 0);
    const [running, whole] = (await submitted(one)).map(({ batch }) => batch?.id ?? '');
    await ended(one.client, whole ?? '');
    const kinds = [
      (await cancelBatch(running ?? '', one.client, WAITING)).kind,
      (await cancelBatch(whole ?? '', one.client, WAITING)).kind,
    ];
    // OpenRouter has no call that cancels.
    expect(kinds).toEqual([provider === 'openrouter' ? 'not_stopped' : 'stopped', 'ended']);
    if (provider === 'openrouter') return;
    const batch = await ended(one.client, running ?? '');
    expect(batch.status).toBe('cancelled');
    // What it answered until then is paid for, and is there.
    expect((await rowsOf(one, batch)).filter((row) => row !== '?').length).toBeGreaterThan(0);
  });

  it('waves: a creation that the full queue refuses is made once, later', async () => {
    const one = await account(provider, [[], ['full_create']]);
    const first = await submitted(one);
    expect(first.map(({ state }) => state)).toEqual(['submitted', 'waiting']);
    expect(one.api.statistics().batchesCreated).toBe(1);
    const second = await submitted(one);
    expect(second.map(({ state }) => state)).toEqual(['submitted', 'submitted']);
    expect(one.api.statistics().batchesCreated).toBe(CHUNKS);
  });

  it('every row comes back under its own id, also from a batch that expired', async () => {
    const one = await account(provider, [['expire'], ['row_errors']]);
    const [half, whole] = await submitted(one);
    const expired = await ended(one.client, half?.batch?.id ?? '');
    // xAI counts what expired as failed.
    expect(expired.status).toBe(provider === 'xai' ? 'completed' : 'expired');
    const some = await rowsOf(one, expired);
    expect(new Set(some).size).toBe(some.length);
    expect(some.every((row) => ['0', '1', '2'].includes(row))).toBe(true);
    expect(some.length).toBeGreaterThan(0);
    expect(await rowsOf(one, await ended(one.client, whole?.batch?.id ?? ''))).toEqual(['3', '4', '5']);
  });

  it('files in the account keep two machines from sending at the same time, if the API lists them', async () => {
    const { client, root } = await account(provider);
    const { files } = client;
    const listsNone = ['mistral', 'anthropic', 'gemini', 'xai', 'openrouter', 'fireworks'].includes(provider);
    expect(files === undefined).toBe(listsNone);
    if (files === undefined) return;
    const path = join(root, 'marker.json');
    writeFileSync(path, '{}\n');
    const clock = new FakeClock();
    const waiting = { ...WAITING, clock: { now: clock.now, sleep: () => Promise.resolve() } };
    const claim = { run: RUN, path, files, waiting, wallClock: () => 0 };
    const held = await OnlineMarker.claim({ ...claim, token: 'aaaaaaaaaaaaaaaa' });
    expect(held.kind).toBe('held');
    const other = await OnlineMarker.claim({ ...claim, token: 'bbbbbbbbbbbbbbbb' });
    expect(other.kind).toBe('taken');
    if (held.kind === 'held') await held.marker.release();
    expect(await findMarkers(RUN, files, waiting)).toEqual([]);
  });
});

it('every provider with batches is tried', () => {
  expect([...PROVIDER_NAMES].sort()).toEqual(Object.keys(BATCH_TERMS).sort());
});
