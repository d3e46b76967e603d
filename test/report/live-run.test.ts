import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, onTestFinished } from 'vitest';
import { Hours } from '../../src/models/hours.js';
import type { Price } from '../../src/models/prices.js';
import { addFigures } from '../../src/report/answer-figures.js';
import type { ReportedRun } from '../../src/report/collect.js';
import type { ReportData, ShownRow } from '../../src/report/data.js';
import { LiveRun } from '../../src/report/live-run.js';
import { serveReport } from '../../src/report/watch-server.js';
import { runFolder } from '../../src/run/folder.js';
import { latenciesIn } from '../../src/run/latencies.js';
import { temporaryFolder } from '../support/cli.js';

const NOW = new Date(0);
const OPTIONS = { sample: 100, rows: [], isPublic: false, version: '0' };

function lineOf(row: number, content: string, finish = 'stop'): string {
  const message = { role: 'assistant', content };
  const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
  const answer = { model: 'm-1', choices: [{ index: 0, message, finish_reason: finish }], usage };
  return `${JSON.stringify([{ model: 'm' }, answer, { request_idx: row }])}\n`;
}

function failureOf(row: number): string {
  return `${JSON.stringify([{ model: 'm' }, ['500 at http://gpu7.corp:8000/v1'], { request_idx: row }])}\n`;
}

interface Run {
  run: ReportedRun;
  journal: string;
  rows: string;
}

/** A run of some rows whose working files are there, without any answer. */
function begun(rows: number, config: Record<string, unknown> = {}): Run {
  const root = temporaryFolder();
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), 'run');
  mkdirSync(folder.temp, { recursive: true });
  writeFileSync(folder.rows, rowLines(rows));
  const part = { start: 0, rows, folder: folder.temp, rowsPath: folder.rows, isSegmented: false };
  return {
    run: {
      folder,
      ...{ dataset: 'a/b', annotator: 'm', config: { params: config } },
      parts: [part],
      pricing: { price: null, isBatch: false },
    },
    journal: folder.journal,
    rows: folder.rows,
  };
}

function rowLines(rows: number): string {
  const line = (row: number): string =>
    JSON.stringify({ system_prompt: '', user_prompt: `Question ${row}`, annotation_original: `Old ${row}` });
  return Array.from({ length: rows }, (_, row) => `${line(row)}\n`).join('');
}

async function looked(live: LiveRun): Promise<ReportData> {
  await live.update();
  return live.report(NOW);
}

it('counts answers as they arrive, and each row once even if it had an earlier answer', async () => {
  const { run, journal } = begun(5);
  const live = new LiveRun(run, OPTIONS);
  expect((await looked(live)).states).toMatchObject({ ok: 0, pending: 5 });
  appendFileSync(journal, lineOf(1, 'One') + failureOf(2) + lineOf(3, 'It goes on', 'length'));
  const first = await looked(live);
  expect(first.states).toMatchObject({ ok: 1, failed: 1, truncated: 1, pending: 2 });
  expect(first.shown.map(({ row, new: answer }) => [row, answer])).toEqual([
    [1, 'One'],
    [2, null],
    [3, 'It goes on'],
  ]);
  // Retried, and a line that is still being written.
  appendFileSync(journal, lineOf(2, 'Two') + lineOf(3, 'Three, whole') + lineOf(4, 'Four').slice(0, 40));
  const second = await looked(live);
  expect(second.states).toMatchObject({ ok: 3, failed: 0, truncated: 0, pending: 2 });
  expect(second.shown.map(({ new: answer }) => answer)).toEqual(['One', 'Two', 'Three, whole']);
  expect(second.figures).toContainEqual(['Tokens', '40 in, 20 out']);
  appendFileSync(journal, lineOf(4, 'Four').slice(40));
  expect((await looked(live)).states).toMatchObject({ ok: 4, pending: 1 });
  expect(await live.update()).toBe(false);
  expect(live.report(NOW).status).toBe('stopped');
  mkdirSync(run.folder.save, { recursive: true });
  writeFileSync(run.folder.batchObjects, '[{"id":"batch_1","status":"in_progress","created_at":1}]');
  expect((await looked(live)).status).toBe('running');
});

it('gives the same result however the journal is split into reads', async () => {
  const entry = fc.record({
    row: fc.nat(9),
    kind: fc.constantFrom('ok', 'cut', 'failure'),
    text: fc.string(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 30 }), fc.array(fc.nat(4000)), async (entries, cuts) => {
      const bytes = Buffer.from(
        entries
          .map(({ row, kind, text }) =>
            kind === 'failure' ? failureOf(row) : lineOf(row, text || 'x', kind === 'ok' ? 'stop' : 'length'),
          )
          .join(''),
      );
      const whole = begun(10);
      writeFileSync(whole.journal, bytes);
      const pieces = begun(10);
      const live = new LiveRun(pieces.run, OPTIONS);
      let from = 0;
      for (const to of [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)) {
        appendFileSync(pieces.journal, bytes.subarray(from, to));
        from = to;
        await live.update();
      }
      const expected = await looked(new LiveRun(whole.run, OPTIONS));
      expect(live.report(NOW)).toEqual(expected);
    }),
    { numRuns: 20 },
  );
});

it('starts over where the run was started over, or got more rows', async () => {
  const { run, journal, rows } = begun(3);
  const live = new LiveRun(run, OPTIONS);
  appendFileSync(journal, lineOf(0, 'Zero') + lineOf(1, 'One'));
  await live.update();
  writeFileSync(journal, lineOf(2, 'Two'));
  expect((await looked(live)).states).toMatchObject({ ok: 1, pending: 2 });
  writeFileSync(rows, rowLines(8));
  expect((await looked(live)).rows).toBe(8);
});

it('reads the shards of a plan, and leaves servers out of a public page', async () => {
  const { run } = begun(0);
  const parts = [0, 1].map((shard) => {
    const folder = join(run.folder.temp, String(shard));
    mkdirSync(folder);
    writeFileSync(join(folder, 'rows.jsonl'), rowLines(2));
    return { start: 2 * shard, rows: 2, folder, rowsPath: join(folder, 'rows.jsonl'), isSegmented: true };
  });
  writeFileSync(join(parts[0]?.folder ?? '', 'output.1.jsonl'), lineOf(0, 'Zero'));
  writeFileSync(join(parts[1]?.folder ?? '', 'output.1.jsonl'), lineOf(1, 'Cut', 'length'));
  writeFileSync(join(parts[1]?.folder ?? '', 'output.2.jsonl'), lineOf(1, 'Three, whole') + failureOf(0));
  const data = await looked(new LiveRun({ ...run, parts }, { ...OPTIONS, isPublic: true }));
  expect(data.states).toMatchObject({ ok: 2, failed: 1, pending: 1 });
  expect(data.shown.map(({ row, new: answer }) => [row, answer])).toEqual([
    [0, 'Zero'],
    [2, null],
    [3, 'Three, whole'],
  ]);
  expect(data.shown[1]?.error).toBe('500 at [server]');
});

interface OnlineResult {
  host?: string;
  method?: string;
  headers?: Record<string, string>;
}

it('is served to this machine alone, to anyone who knows the address', async () => {
  const data = { rows: 1 } as ReportData;
  const server = await serveReport({
    version: () => '7',
    data: () => data,
    page: (live) => `page of ${live}`,
  });
  onTestFinished(() => server.close());
  const { port, pathname } = new URL(server.url);
  const ask = (
    path: string,
    { host = `127.0.0.1:${port}`, method = 'GET', headers = {} }: OnlineResult = {},
  ) =>
    new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve) => {
      request({ host: '127.0.0.1', port, path, method, headers: { ...headers, host } }, (response) => {
        let body = '';
        response.on('data', (text) => (body += String(text)));
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      }).end();
    });
  const page = await ask(pathname);
  expect([page.status, page.body]).toEqual([200, 'page of data.json']);
  expect(page.headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
  expect(page.headers).not.toHaveProperty('access-control-allow-origin');
  const json = await ask(`${pathname}data.json`);
  expect([json.status, json.body]).toEqual([200, '{"rows":1}']);
  const cases: [path: string, asked: OnlineResult, status: number][] = [
    [`${pathname}data.json`, { headers: { 'if-none-match': '"7"' } }, 304],
    [pathname, { host: `localhost:9999` }, 200],
    [pathname, { host: 'attacker.example' }, 403],
    [pathname, { host: `127.0.0.1.attacker.example:${port}` }, 403],
    [pathname, { headers: { 'sec-fetch-site': 'cross-site' } }, 403],
    [pathname, { method: 'POST' }, 405],
    ['/', {}, 404],
    ['/data.json', {}, 404],
    [`${pathname.slice(0, -2)}x/data.json`, {}, 404],
    [`${pathname}../../etc/passwd`, {}, 404],
  ];
  for (const [path, asked, status] of cases) expect((await ask(path, asked)).status, path).toBe(status);
});

it('puts a row together from the requests that it took: turns of a chat, and answers one by one', async () => {
  const chat = [
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: 'An old hello' },
    { role: 'user', content: 'And now?' },
  ];
  const turn = (content: string, number: number): string => {
    const messages =
      number === 0 ? chat.slice(0, 1) : [chat[0], { role: 'assistant', content: 'First' }, chat[2]];
    const [, answer] = JSON.parse(lineOf(0, content)) as unknown[];
    return `${JSON.stringify([{ model: 'm', messages }, answer, { request_idx: 0, turn: number }])}\n`;
  };
  const turns = begun(1, { turns: 'all' });
  const row = { system_prompt: '', user_prompt: 'And now?', annotation_original: 'Old', messages: chat };
  writeFileSync(turns.rows, `${JSON.stringify(row)}\n`);
  const live = new LiveRun(turns.run, OPTIONS);
  appendFileSync(turns.journal, turn('First', 0));
  expect((await looked(live)).states).toMatchObject({ ok: 0, pending: 1 });
  appendFileSync(turns.journal, turn('Second', 1));
  const [shown] = (await looked(live)).shown;
  expect([shown?.new, shown?.turns.map(({ text }) => text)]).toEqual(['Second', ['Hello', 'First']]);
  expect(shown?.figures?.promptTokens).toBe(20);

  const several = begun(1, { n: 2 });
  const prompt = { messages: [{ role: 'user', content: 'Question 0' }] };
  const choice = (content: string, number: number): string => {
    const [, answer] = JSON.parse(lineOf(0, content)) as unknown[];
    return `${JSON.stringify([{ model: 'm', ...prompt }, answer, { request_idx: 0, choice: number }])}\n`;
  };
  appendFileSync(several.journal, choice('One', 0) + choice('Two', 1));
  const [both] = (await looked(new LiveRun(several.run, OPTIONS))).shown;
  expect([both?.new, both?.others]).toEqual(['One', ['Two']]);
});

/** A model that costs half from midnight to one o'clock, UTC. */
const HOURLY: Price = {
  ...{ input: 1, cachedInput: 1, cacheWriteInput: 1, output: 1 },
  offPeak: {
    rates: { input: 0.5, cachedInput: 0.5, cacheWriteInput: 0.5, output: 0.5 },
    hours: new Hours([{ start: 0, end: 60 }]),
  },
  ...{ batchShare: 1, highestBatchShare: 1, tiers: { flex: 0.5, priority: 2 } },
};
const NIGHT = Date.UTC(2026, 0, 5, 0, 30);
const DAY = Date.UTC(2026, 0, 5, 12, 0);

it.each<[string, Record<string, unknown>, [number | null, number | null][]]>([
  [
    'one request for each row',
    {},
    [
      [400, 7.5],
      [250, 15],
      [5, null],
      [null, null],
    ],
  ],
  [
    'several',
    { n: 2 },
    [
      [650, 22.5],
      [250, 30],
      [5, null],
      [null, null],
    ],
  ],
])(
  'has the latency and the cost of each row as the finished report does: %s',
  async (_, params, expected) => {
    const { run, journal } = begun(4, params);
    run.pricing = { price: HOURLY, isBatch: false };
    const isSeveral = params['n'] === 2;
    const choiceOf = (row: number, choice: number): string =>
      lineOf(row, 'A')
        .replace('{"model":"m"}', `{"model":"m","messages":[{"role":"user","content":"Question ${row}"}]}`)
        .replace('}]\n', `,"choice":${choice}}]\n`);
    for (const row of [0, 1, 2, 3])
      appendFileSync(journal, isSeveral ? choiceOf(row, 0) + choiceOf(row, 1) : lineOf(row, 'A'));
    const [first, second] = isSeveral ? ['0', '1'] : ['', '9'];
    const sent = [
      `0,${first},900,${DAY}`,
      // The same request again: this answer counts.
      `0,${first},400,${NIGHT}`,
      `0,${second},250,${DAY}`,
      `1,${first},${isSeveral ? 100 : 250},${DAY}`,
      `1,${second},150,${DAY}`,
      // A run of an earlier version.
      `2,${first},5`,
    ];
    const wanted = isSeveral ? sent : sent.filter((one) => !one.includes(',9,'));
    writeFileSync(latenciesIn(run.folder.temp), `request_idx,part,milliseconds\n${wanted.join('\n')}\n`);
    const live = new LiveRun(run, OPTIONS);
    const { shown } = await looked(live);
    const figuresIn = (rows: readonly ShownRow[]): unknown[] =>
      rows.map(({ figures }) => [figures?.latency, figures?.cost]);
    expect(figuresIn(shown)).toEqual(expected);
    const finished = shown.map((row) => ({ ...row, figures: null }));
    await addFigures(run.parts, finished, run.pricing);
    expect(figuresIn(finished)).toEqual(expected);
  },
);
