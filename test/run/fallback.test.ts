import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fallbackCall } from '../../src/run/fallback.js';
import { JournalIndex, JournalWriter, scanJournal, type ScannedEntry } from '../../src/run/journal.js';
import { originFields, readOrigin, type Origin } from '../../src/run/origin.js';
import { Totals } from '../../src/run/totals.js';
import { forAnnotator } from '../../src/session/further-rounds.js';
import type { RowState } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';
import { completion } from '../support/scripted-api.js';
import { settingsFor } from '../support/settings.js';

const BODY = Buffer.from('{"model":"a","messages":[{"role":"user","content":"hi"}]}');
const ROWS = 3;
const OTHERS = ['gpt-4o', 'groq/"odd",{"name'] as const;

/** What an annotator makes of a request. */
const OUTCOMES = ['ok', 'truncated', 'refused', 'filtered', 'failed', 'partial'] as const;
type Outcome = (typeof OUTCOMES)[number];

interface Sent {
  row: number;
  /** Null for the run's own. */
  annotator: string | null;
  outcome: Outcome;
}

const sent: fc.Arbitrary<Sent> = fc.record({
  row: fc.nat(ROWS - 1),
  annotator: fc.constantFrom(null, ...OTHERS),
  outcome: fc.constantFrom(...OUTCOMES),
});

function append(journal: JournalWriter, { row, annotator, outcome }: Sent, number: number): void {
  const origin: Origin | null = annotator === null ? null : { kind: 'fallback', annotator };
  if (outcome === 'failed' || outcome === 'filtered') {
    journal.appendFailure(BODY, { errors: ['no'], filtered: outcome === 'filtered' }, { row, origin });
    return;
  }
  const finish = { ok: 'stop', truncated: 'length', refused: 'stop', partial: 'weird' }[outcome];
  const text = outcome === 'refused' ? null : `text ${number}`;
  const answer = completion(text, { finish }) as { choices: { message: object }[] };
  if (outcome === 'refused')
    Object.assign(answer.choices[0]?.message ?? {}, { refusal: `I can’t ${number}.` });
  journal.appendAnswer(BODY, Buffer.from(JSON.stringify(answer)), { row, origin });
}

async function read(lines: readonly Sent[]): Promise<{ index: JournalIndex; entries: ScannedEntry[] }> {
  const path = join(temporaryFolder(), 'output.jsonl');
  writeFileSync(path, '');
  const journal = new JournalWriter(path, (error) => {
    throw error;
  });
  for (const [number, line] of lines.entries()) append(journal, line, number);
  journal.close();
  const index = new JournalIndex(ROWS);
  const entries: ScannedEntry[] = [];
  await scanJournal(path, index, { onEntry: (entry) => entries.push(entry) });
  return { index, entries };
}

const WORTH = { pending: 0, failed: 0, filtered: 1, refused: 1, truncated: 2, ok: 3 } as const;

/** What a row comes to, by the rules in docs/costs.md. */
function expected(lines: readonly Sent[], row: number): { state: RowState; by: string | null } {
  let state: RowState = 'pending';
  let by: string | null = null;
  let isAnswered = false;
  for (const one of lines) {
    if (one.row !== row || one.outcome === 'partial') continue;
    const isAnswer = one.outcome !== 'failed' && one.outcome !== 'filtered';
    // Another annotator that has no answer either leaves the row as it is.
    if (one.annotator !== null && WORTH[one.outcome] < 2) continue;
    if (isAnswered && (!isAnswer || WORTH[one.outcome] <= WORTH[state])) continue;
    state = one.outcome;
    by = one.annotator;
    isAnswered = isAnswer;
  }
  return { state, by };
}

describe('rows that were sent to another annotator', () => {
  it('the journal records who answered each row, who was sent what, and who is paid, whatever the result', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { maxLength: 12 }), async (lines) => {
        const { index, entries } = await read(lines);
        for (let row = 0; row < ROWS; row++) {
          const { state, by } = expected(lines, row);
          expect(index.state(row)).toBe(state);
          expect(index.origins.answeredBy(row)).toBe(by);
          for (const annotator of OTHERS) {
            const own = lines.filter((one) => one.row === row && one.annotator === annotator);
            const isDone = own.some(({ outcome }) => outcome !== 'failed' && outcome !== 'partial');
            const hasFailed = own.some(({ outcome }) => outcome === 'failed');
            const mayFallBack = (retriesFailed: boolean): boolean =>
              index.origins.mayFallBack(row, { annotator, retriesFailed });
            expect(mayFallBack(true)).toBe(!isDone);
            expect(mayFallBack(false)).toBe(!isDone && !hasFailed);
          }
        }
        for (const annotator of [undefined, ...OTHERS]) {
          const paid = lines.filter(
            (one) =>
              (one.annotator ?? undefined) === annotator && !['failed', 'filtered'].includes(one.outcome),
          );
          expect(entries.filter(({ origin }) => origin?.annotator === annotator)).toHaveLength(paid.length);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('metadata of every origin is read as it was written', () => {
    const annotator = fc.option(fc.string({ minLength: 1 }), { nil: undefined });
    const origin = fc.oneof(
      fc.tuple(fc.string(), annotator).map(([run, by]) => ({ kind: 'reused' as const, run, by })),
      fc.tuple(fc.nat(), annotator).map(([row, by]) => ({ kind: 'duplicate' as const, row, by })),
      fc.tuple(fc.nat(), annotator).map(([factor, by]) => ({ kind: 'escalated' as const, factor, by })),
      fc.string({ minLength: 1 }).map((by) => ({ kind: 'fallback' as const, by })),
    );
    fc.assert(
      fc.property(origin, ({ by, ...rest }) => {
        const one = { ...rest, ...(by === undefined ? {} : { annotator: by }) } as Origin;
        expect(readOrigin(originFields(one))).toEqual(one);
      }),
    );
  });

  it('costs are kept by annotator, and a price that is unknown is unknown in the sum', async () => {
    const { entries } = await read([
      { row: 0, annotator: null, outcome: 'refused' },
      { row: 0, annotator: 'gpt-4o', outcome: 'ok' },
      { row: 1, annotator: null, outcome: 'refused' },
      { row: 1, annotator: 'gpt-4o', outcome: 'refused' },
      { row: 2, annotator: null, outcome: 'ok' },
    ]);
    const path = join(temporaryFolder(), 'counters.json');
    const totals = new Totals(path, null, new Date(0));
    for (const entry of entries) totals.addEntry(entry);
    const { call } = settingsFor({ dataset: 'x.json', annotator: 'gpt-4o-mini' });
    await totals.accountOf(null).findPrice(call.annotator);
    expect(totals.cost).toBe(null);
    await totals.findOtherPrices();
    const [own, other] = [
      totals.accountOf(null).cost?.amount ?? 0,
      totals.accountOf('gpt-4o').cost?.amount ?? 0,
    ];
    expect(own).toBeGreaterThan(0);
    expect(other).toBeGreaterThan(own);
    expect(totals.cost).toBeCloseTo(own + other, 12);

    totals.accountOf('gpt-4o').addWasted({ ...totals.accountOf(null).usage, promptTokens: 7 });
    totals.save();
    const next = new Totals(path, null, new Date(0));
    expect(next.accountOf('gpt-4o').usage.promptTokens).toBe(7);
    expect(next.accountOf(null).usage.promptTokens).toBe(0);
  });
});

describe('the call of another annotator', () => {
  const flags = { dataset: 'x.json', annotator: 'gpt-4o-mini' };

  it.each([
    [
      'a model of the same provider shares its address and key',
      { base_url: 'http://a/v1', api_key_env: 'K' },
      'gpt-4o',
      'http://a/v1',
      'K',
    ],
    [
      'any name of a model on a server of one’s own',
      { base_url: 'http://a/v1' },
      'my-model',
      'http://a/v1',
      null,
    ],
    ['another provider has its own', { base_url: 'http://a/v1', api_key_env: 'K' }, 'groq/llama', null, null],
    [
      'flags name an address and a key',
      { fallback_base_url: 'http://b/v1', fallback_api_key_env: 'L' },
      'my-model',
      'http://b/v1',
      'L',
    ],
  ])('%s', (_, more, name, baseUrl, apiKeyVariable) => {
    const { call: own, policy } = settingsFor({ ...flags, ...more, fallback_annotator: name });
    const call = fallbackCall(own, policy);
    expect(call).toMatchObject({ baseUrl, apiKeyVariable });
    expect(call?.annotator.name).toBe(name);
  });

  it.each([
    [{ fallback_annotator: 'gtp-4' }, /Unknown fallback_annotator "gtp-4".*nearest/],
    [{ fallback_annotator: 'nowhere/model' }, /Unknown provider "nowhere" in --fallback_annotator/],
    [{ fallback_annotator: 'gpt-4o-mini' }, /is the annotator itself/],
    [{ fallback_annotator: 'openai/gpt-4o-mini' }, /is the annotator itself/],
    [{ fallback_base_url: 'http://b/v1' }, /--fallback_base_url requires --fallback_annotator/],
    [{ fallback_annotator: 'none', fallback_api_key_env: 'K' }, /--fallback_api_key_env requires/],
  ])('%o is a wrong command line', (more, message) => {
    expect(() => settingsFor({ ...flags, ...more })).toThrow(message);
  });

  it('a job becomes the other annotator’s own request, without what only one provider knows', () => {
    const settings = settingsFor({
      ...flags,
      ...{ fallback_annotator: 'anthropic/claude-haiku-4-5', max_tokens: '9', extra_body: '{"top_k":3}' },
      temperature: '0.5',
    });
    const call = fallbackCall(settings.call, settings.policy);
    if (call === null) throw new Error('there is one');
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const job = {
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: 'hi' }],
      tools,
      seed: 42,
      top_k: 3,
    };
    const body = JSON.parse(forAnnotator(call)(Buffer.from(JSON.stringify(job))).toString('utf8')) as object;
    expect(body).toEqual({
      ...{ model: 'claude-haiku-4-5', messages: job.messages, tools, temperature: 0.5, max_tokens: 9 },
    });
  });
});
