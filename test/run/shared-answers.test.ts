import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FinishRules } from '../../src/models/finish-reason.js';
import { answersOf } from '../../src/run/answer-source.js';
import { assemble } from '../../src/run/assemble.js';
import { runFolder, type RunFolder } from '../../src/run/folder.js';
import { readJobs, writeJobs } from '../../src/run/jobs.js';
import { JournalIndex, JournalWriter, scanJournal, type ScannedEntry } from '../../src/run/journal.js';
import { requestShape } from '../../src/run/prepare.js';
import { DigestSet } from '../../src/lib/digests.js';
import { findAnswerSources } from '../../src/session/answer-sources.js';
import { RequestTable } from '../../src/run/request-table.js';
import { fanOut, reuseAnswers, spareRows, type CopyTarget } from '../../src/run/shared-answers.js';
import { Totals } from '../../src/run/totals.js';
import { withMoreTokens } from '../../src/session/further-rounds.js';
import { temporaryFolder } from '../support/cli.js';
import { completion } from '../support/scripted-api.js';
import { settingsFor } from '../support/settings.js';

const READING = { choices: 1, rules: new FinishRules([]), escalation: 1, fallback: null };

interface Plan {
  reuse?: string[];
  dedupe?: boolean;
  maxTokens?: number;
  /** Prompts whose answers are cut off. */
  truncated?: (prompt: string) => boolean;
}

/** A server that answers a request the same way every time, and keeps a ledger of what it was sent. */
class Ledger {
  readonly sent: string[] = [];

  answer(body: Buffer, isTruncated: boolean): Buffer {
    const text = body.toString('utf8');
    this.sent.push(text);
    const answer = `answer ${createHash('sha256').update(text).digest('hex')}`;
    return Buffer.from(JSON.stringify(completion(answer, { finish: isTruncated ? 'length' : 'stop' })));
  }
}

/** The part of a run between its rows and its results, without the network. */
async function run(
  root: string,
  name: string,
  prompts: readonly string[],
  ledger: Ledger,
  { reuse = [], dedupe = false, maxTokens = 100, truncated = () => false }: Plan = {},
): Promise<{ folder: RunFolder; results: string; totals: Totals; index: JournalIndex }> {
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), name);
  mkdirSync(folder.temp, { recursive: true });
  mkdirSync(folder.save, { recursive: true });
  const lines = prompts.map((prompt) =>
    JSON.stringify({ system_prompt: '', user_prompt: prompt, annotation_original: null }),
  );
  writeFileSync(folder.rows, lines.map((line) => `${line}\n`).join(''));
  const { call } = settingsFor({ dataset: 'x.json', max_tokens: String(maxTokens) });
  await writeJobs(folder.rows, folder.jobs, requestShape(call), () => undefined);
  const totals = new Totals(folder.counters, null, new Date(0));
  const index = new JournalIndex(prompts.length);
  const onEntry = (entry: ScannedEntry): void => {
    totals.addEntry(entry);
  };
  await scanJournal(folder.journal, index, { rules: READING.rules, onEntry });
  const table = await RequestTable.read(folder.jobs, prompts.length, () => undefined);
  const target: CopyTarget = {
    ...{ folder, table, index, retry: ['failed'], reading: READING },
    onCopy: (answer, origin, part) => {
      if (answer !== null) totals.addCopy(answer, origin, part);
    },
  };
  for (const path of reuse)
    for (const source of await findAnswerSources(path, join(root, 'temp')))
      await reuseAnswers(source, target);
  table.close();
  if (dedupe) {
    await fanOut(target);
    index.setAside(spareRows(table, index, target.retry));
  }
  const journal = new JournalWriter(folder.journal, (error) => {
    throw error;
  });
  for (const { requestIdx, body } of readJobs(folder.jobs)) {
    if (!index.isWanted(requestIdx, target.retry)) continue;
    const isTruncated = truncated(prompts[requestIdx] ?? '');
    const place = journal.appendAnswer(body, ledger.answer(body, isTruncated), { row: requestIdx });
    index.record(requestIdx, isTruncated ? 'truncated' : 'ok', place.offset, place.length);
  }
  journal.close();
  if (dedupe) await fanOut(target);
  const assembled = await assemble(folder, index, {
    ...{ includeMetadata: false, several: false, reasoning: 'separate' },
    onProgress: () => undefined,
  });
  expect(assembled.damaged).toEqual([]);
  return { folder, results: readFileSync(folder.reannotated, 'utf8'), totals, index };
}

const prompt = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'd'),
  fc.string({ minLength: 1 }),
  fc.constantFrom(',{"reused_from":"x","request_idx":3}]', '"request_idx":1}', 'ü\n🙂'),
);

type Edit = (rows: readonly string[]) => string[];

/** What people do to a dataset between two runs. */
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.array(prompt, { minLength: 1, maxLength: 4 }).map((more): Edit => (rows) => [...rows, ...more]),
  fc.tuple(fc.nat(), prompt).map(
    ([at, one]): Edit =>
      (rows) =>
        rows.toSpliced(at % (rows.length + 1), 0, one),
  ),
  fc.nat().map(
    (at): Edit =>
      (rows) =>
        rows.toSpliced(at % Math.max(rows.length, 1), 1),
  ),
  fc.tuple(fc.nat(), prompt).map(
    ([at, one]): Edit =>
      (rows) =>
        rows.with(at % rows.length, one),
  ),
  fc.constant<Edit>((rows) => rows.toReversed()),
  fc.constant<Edit>((rows) => [...rows, ...rows]),
  fc.nat().map(
    (at): Edit =>
      (rows) =>
        rows.slice(at % rows.length),
  ),
);

describe('answers that are reused', () => {
  it('any edits and re-runs with --reuse give the results of a full run, for exactly the new requests', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(prompt, { minLength: 1, maxLength: 8 }),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.boolean(),
        async (start, edits, dedupe, allRuns) => {
          const root = temporaryFolder();
          const ledger = new Ledger();
          let rows = [...start];
          const runs = [(await run(root, 'run-0', rows, ledger, { dedupe })).folder.temp];
          let known = new Set(rows);
          for (const [place, change] of edits.entries()) {
            const changed = change(rows);
            rows = changed.length === 0 ? rows : changed;
            const reuse = allRuns ? runs : runs.slice(-1);
            const before = ledger.sent.length;
            const { results, folder } = await run(root, `run-${place + 1}`, rows, ledger, { reuse, dedupe });
            const fresh = rows.filter((row) => !known.has(row));
            const expected = dedupe ? [...new Set(fresh)] : fresh;
            const sent = ledger.sent.slice(before).map(promptOf);
            expect(sent.toSorted()).toEqual(expected.toSorted());
            const full = await run(temporaryFolder(), 'full', rows, new Ledger());
            expect(results).toBe(full.results);
            known = new Set(allRuns ? [...known, ...rows] : rows);
            runs.push(folder.temp);
          }
        },
      ),
      { numRuns: 8 },
    );
  });

  it('a journal with copies reads back as it was written, at no cost', async () => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a', 'b', 'a'], new Ledger());
    const reuse = [first.folder.save];
    const ledger = new Ledger();
    const second = await run(root, 'second', ['b', 'a', 'x', 'x'], ledger, { reuse, dedupe: true });
    expect(ledger.sent).toHaveLength(1);
    expect(second.totals.copied).toEqual({ reused: 2, duplicate: 1 });
    const again = await run(root, 'second', ['b', 'a', 'x', 'x'], ledger, { reuse, dedupe: true });
    expect(ledger.sent).toHaveLength(1);
    expect(again.totals.copied).toEqual({ reused: 2, duplicate: 1 });
    expect(again.totals.tokens).toEqual(usageOf(1));
    expect(again.results).toBe(second.results);
    expect(readFileSync(second.folder.journal, 'utf8')).toContain(
      '{"reused_from":"first","request_idx":0}]\n',
    );
    expect(readFileSync(second.folder.journal, 'utf8')).toContain('{"same_as":2,"request_idx":3}]\n');
  });

  it('equal rows take different answers as long as the earlier run has some', async () => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a', 'a'], new Ledger());
    const text = readFileSync(first.folder.journal, 'utf8').split('\n');
    const other = (text[1] ?? '').replace('answer ', 'another ');
    writeFileSync(first.folder.journal, `${text[0] ?? ''}\n${other}\n`);
    const second = await run(root, 'second', ['a', 'a', 'a'], new Ledger(), { reuse: [first.folder.temp] });
    const answers = (JSON.parse(second.results) as { annotation: string }[]).map(({ annotation }) =>
      annotation.slice(0, 7),
    );
    expect(answers).toEqual(['answer ', 'another', 'answer ']);
  });

  it('uses only complete answers to exactly the same request', async () => {
    const root = temporaryFolder();
    const truncated = (text: string): boolean => text === 'b';
    const first = await run(root, 'first', ['a', 'b', 'c'], new Ledger(), { truncated });
    const reuse = [first.folder.temp];
    const ledger = new Ledger();
    await run(root, 'second', ['a', 'b', 'c'], ledger, { reuse });
    expect(ledger.sent.map(promptOf)).toEqual(['b']);
    const otherParameters = new Ledger();
    await run(root, 'third', ['a', 'b', 'c'], otherParameters, { reuse, maxTokens: 50 });
    expect(otherParameters.sent).toHaveLength(3);
  });

  it('parameters that the model refused make no difference', async () => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a'], new Ledger());
    const journal = readFileSync(first.folder.journal, 'utf8');
    const renamed = journal.replace('"max_tokens"', '"max_completion_tokens"');
    expect(renamed).not.toBe(journal);
    writeFileSync(first.folder.journal, renamed);
    const ledger = new Ledger();
    await run(root, 'second', ['a'], ledger, { reuse: [first.folder.temp] });
    expect(ledger.sent).toEqual([]);
  });

  it.each([
    ['a row number that was changed', (text: string) => text.replace('"request_idx":0}', '"request_idx":1}')],
    ['a torn line', (text: string) => text.slice(0, text.indexOf('\n') - 5)],
    ['another prompt', (text: string) => text.replace('"content":"a"', '"content":"z"')],
    ['no lines', () => ''],
  ])('a damaged journal gives no wrong answers: %s', async (_, damage) => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a', 'b'], new Ledger());
    const [line = ''] = readFileSync(first.folder.journal, 'utf8').split('\n');
    writeFileSync(first.folder.journal, damage(`${line}\n`));
    const ledger = new Ledger();
    const second = await run(root, 'second', ['a', 'b'], ledger, { reuse: [first.folder.temp] });
    expect(ledger.sent).toHaveLength(2);
    expect(second.results).toBe((await run(root, 'full', ['a', 'b'], new Ledger())).results);
  });

  it('never changes the earlier run, even one with a torn end', async () => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a', 'b'], new Ledger());
    const text = readFileSync(first.folder.journal, 'utf8').slice(0, -7);
    writeFileSync(first.folder.journal, text);
    await run(root, 'second', ['a', 'b'], new Ledger(), { reuse: [first.folder.temp] });
    expect(readFileSync(first.folder.journal, 'utf8')).toBe(text);
  });

  it.each<[string, (jobs: string[]) => string, number]>([
    [
      'lines in the middle',
      (jobs) =>
        jobs
          .with(1, 'xx')
          .with(2, (jobs[2] ?? '').slice(0, 30))
          .join('\n'),
      2,
    ],
    ['its last line', (jobs) => jobs.join('\n').slice(0, -20), 3],
    ['all of it', () => '', 0],
  ])('reuses what a damaged jobs.json still says: without %s', async (_, damage, reused) => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a', 'b', 'c', 'd'], new Ledger());
    const jobs = readFileSync(first.folder.jobs, 'utf8').trimEnd().split('\n');
    writeFileSync(first.folder.jobs, damage(jobs));
    const ledger = new Ledger();
    const again = await run(root, 'again', ['a', 'b', 'c', 'd'], ledger, { reuse: [first.folder.temp] });
    expect(ledger.sent).toHaveLength(4 - reused);
    expect(again.index.count('ok')).toBe(4);
  });

  it('takes the answers of all shards of a planned run, whole or not', async () => {
    const root = temporaryFolder();
    const sent: string[][] = [['a', 'b'], ['c']];
    for (const [shard, prompts] of sent.entries()) {
      const { folder } = await run(root, `shard-${shard}`, prompts, new Ledger());
      const own = join(root, 'temp', 'planned', 'shards', String(shard));
      mkdirSync(own, { recursive: true });
      copyFileSync(folder.jobs, join(own, 'jobs.json'));
      // Of the second attempt there is only what the first one lacked.
      const [line = '', ...others] = readFileSync(folder.journal, 'utf8').split('\n');
      writeFileSync(join(own, 'output.1.jsonl'), `${line}\n`);
      writeFileSync(join(own, 'output.2.jsonl'), others.join('\n'));
    }
    mkdirSync(join(root, 'temp', 'planned', 'shards', '2'));
    const ledger = new Ledger();
    const planned = join(root, 'temp', 'planned');
    await run(root, 'again', ['c', 'new', 'a', 'b'], ledger, { reuse: [planned] });
    expect(ledger.sent).toHaveLength(1);
    expect(ledger.sent[0]).toContain('"new"');
  });

  it('is found by the folder of its results, and a folder without answers is an error', async () => {
    const root = temporaryFolder();
    const { folder } = await run(root, 'first', ['a'], new Ledger());
    const [here] = await findAnswerSources(folder.save, join(root, 'temp'));
    expect(here).toMatchObject({
      journal: folder.journal,
    });
    writeFileSync(folder.config, `params:\n  temp_dir: ${JSON.stringify(join(root, 'temp'))}\n`);
    expect(await findAnswerSources(folder.save, 'elsewhere')).toMatchObject([{ journal: folder.journal }]);
    await expect(findAnswerSources(join(root, 'nothing'), 'elsewhere')).rejects.toThrow('--reuse');
  });

  it('equal rows fail together, and are sent once again together', async () => {
    const root = temporaryFolder();
    const { folder } = await run(root, 'first', ['a', 'a', 'a'], new Ledger());
    const journal = join(root, 'failed.jsonl');
    const body = [...readJobs(folder.jobs)][0]?.body ?? Buffer.alloc(0);
    writeFileSync(journal, `[${body.toString()},["500: no"],{"request_idx":0}]\n`);
    copyFileSync(journal, folder.journal);
    const index = new JournalIndex(3);
    await scanJournal(folder.journal, index);
    const table = await RequestTable.read(folder.jobs, 3, () => undefined);
    table.close();
    const copied: unknown[] = [];
    const target: CopyTarget = {
      ...{ folder, table, index, retry: ['failed'], reading: READING },
      onCopy: (answer) => copied.push(answer),
    };
    expect(await fanOut(target)).toBe(2);
    expect(copied).toEqual([null, null]);
    expect([0, 1, 2].map((row) => index.state(row))).toEqual(['failed', 'failed', 'failed']);
    expect(await fanOut(target)).toBe(0);
    expect([...spareRows(table, index, ['failed'])]).toEqual([0, 1, 1]);
    index.hold(Uint8Array.of(1, 0, 0));
    expect([...spareRows(table, index, ['failed'])]).toEqual([0, 1, 1]);
    expect(existsSync(folder.journal)).toBe(true);
  });

  it('more tokens for truncated rows need a bound', () => {
    expect(() => settingsFor({ dataset: 'x.json', escalate_truncated: '2', max_tokens: 'none' })).toThrow(
      '--escalate_truncated multiplies --max_tokens',
    );
  });

  it('answers that needed more tokens are reused by runs that would give them as many', async () => {
    const root = temporaryFolder();
    const first = await run(root, 'first', ['a'], new Ledger());
    const line = readFileSync(first.folder.journal, 'utf8');
    const longer = withMoreTokens([...readJobs(first.folder.jobs)][0]?.body ?? Buffer.alloc(0), 4).toString();
    expect(JSON.parse(longer)).toMatchObject({ max_tokens: 400 });
    const response = line.slice(line.indexOf('},{"id"') + 1, line.lastIndexOf(',{"request_idx"'));
    writeFileSync(first.folder.journal, `[${longer}${response},{"escalated":4,"request_idx":0}]\n`);
    const [source] = await findAnswerSources(first.folder.temp, 'elsewhere');
    if (source === undefined) throw new Error('no source');
    for (const [escalation, found] of [
      [1, 0],
      [2, 0],
      [4, 1],
    ] as const) {
      let answers = 0;
      for (const { body } of await answersOf(source, { ...READING, escalation }))
        answers += Math.min(body.length, 1);
      expect(answers).toBe(found);
    }
  });

  it('a set of digests holds what was added to it, zeros included', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ high: fc.nat(3), low: fc.nat(900) }), { maxLength: 3000 }), (all) => {
        const set = new DigestSet();
        const known = new Set<string>();
        for (const digest of [{ high: 0, low: 0 }, ...all]) {
          // 0 and 0 counts as 0 and 1, which is one collision more in 2^64.
          const key = digest.high === 0 && digest.low === 0 ? '0 1' : `${digest.high} ${digest.low}`;
          expect(set.add(digest)).toBe(!known.has(key));
          known.add(key);
          expect(set.has(digest)).toBe(true);
        }
        expect(set.size).toBe(known.size);
      }),
      { numRuns: 20 },
    );
  });
});

function promptOf(body: string): string {
  const { messages } = JSON.parse(body) as { messages: { content: string }[] };
  return messages[0]?.content ?? '';
}

/** What `completion` reports. */
function usageOf(answers: number): { prompt: number; completion: number } {
  return { prompt: 100 * answers, completion: 50 * answers };
}
