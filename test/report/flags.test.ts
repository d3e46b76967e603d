import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counter, risingEdges } from '../../src/report/distribution.js';
import { flagsOf, type Answered } from '../../src/report/flags.js';
import { languageOf, scriptOf } from '../../src/lib/language.js';
import { Selection } from '../../src/report/selection.js';
import { similarity } from '../../src/lib/similarity.js';
import { overTime } from '../../src/report/over-time.js';
import { latencyAt, readTimeline, Timeline, type RecordedTimeline } from '../../src/run/timeline.js';
import { codePoint } from '../support/code-point.js';

const NO_PAIR: Answered = {
  ...{ old: null, new: null, state: 'ok', similarity: null, agrees: null },
  callsTools: false,
};

describe('what is remarkable about an answer', () => {
  it.each([
    ['refused without a text', { state: 'refused' }, ['refusal']],
    ['truncated without an original', { state: 'truncated', new: 'It goes on' }, ['truncated']],
    ['empty', { new: '' }, ['empty']],
    ['a call of a tool alone', { new: '', callsTools: true }, []],
    ['failed', { state: 'failed', old: 'x' }, []],
  ] as const)('a row without a pair of answers: %s', (_, row, flags) => {
    expect(flagsOf({ ...NO_PAIR, ...row })).toEqual(flags);
  });

  it.each([
    ['I’m sorry, but I can’t help with that.', ['refusal']],
    ["I'm sorry, but as an AI language model I have no body.", ['refusal']],
    ['I cannot assist with this request.', ['refusal']],
    ['Es tut mir leid, aber ich kann dabei nicht helfen.', ['refusal']],
    ['I’m sorry to hear that! Here is what you can do.', []],
    ['I can’t help but smile at this question. Here goes.', ['refusal']],
    ['Sorry is a word of five letters.', []],
    ['   \n', ['empty']],
  ])('%j is %j', (answer, flags) => {
    expect(
      flagsOf({
        old: 'Something else, with other words.',
        new: answer,
        state: 'ok',
        similarity: 0,
        agrees: null,
        callsTools: false,
      }),
    ).toEqual(flags);
  });

  it.each([
    ['The quick brown fox jumps over the lazy dog.', 'Latin'],
    ['Это русский текст, довольно длинный.', 'Cyrillic'],
    ['これは日本語の文章です。漢字も含まれています。', 'Japanese'],
    ['这是一个中文句子，没有假名。', 'Han'],
    ['안녕하세요 이것은 한국어 문장입니다 그리고 조금 더 깁니다', 'Hangul'],
    ['1 + 2 = 3', null],
    ['', null],
  ])('%j is written in %s', (text, script) => {
    expect(scriptOf(text)).toBe(script);
  });

  it.each([
    ['The cat is on the mat and it is with the dog that you are looking for.', 'English'],
    ['Das ist nicht der Hund, und die Katze ist auch nicht auf dem Tisch mit der Maus.', 'German'],
    ['Les chats sont dans une maison pour les gens qui vivent avec des chiens et des oiseaux.', 'French'],
    ['El perro es una mascota para los niños y las niñas, pero como más con el gato.', 'Spanish'],
    ['lorem ipsum dolor', null],
  ])('%j is %s', (text, language) => {
    expect(languageOf(text)).toBe(language);
  });

  it('is found in any text, quickly and without an error', () => {
    fc.assert(
      fc.property(fc.string({ unit: codePoint }), fc.string({ unit: 'grapheme' }), (old, answer) => {
        flagsOf({ ...NO_PAIR, old, new: answer, similarity: 0 });
        const alike = similarity(old, answer);
        expect(alike).toBeGreaterThanOrEqual(0);
        expect(alike).toBeLessThanOrEqual(1);
        expect(similarity(answer, old)).toBeCloseTo(alike, 10);
        expect(similarity(old, old)).toBe(1);
      }),
    );
    const long = 'x'.repeat(1_000_000);
    expect(flagsOf({ ...NO_PAIR, old: long, new: long, similarity: similarity(long, `${long}y`) })).toContain(
      'identical',
    );
  });
});

describe('a distribution', () => {
  it('counts every amount once, and has the median in its class', () => {
    const edges = risingEdges(10, 1000, 1.5);
    fc.assert(
      fc.property(fc.array(fc.nat(5000), { minLength: 1 }), (amounts) => {
        const counter = new Counter(edges);
        for (const amount of amounts) counter.add(amount);
        const { counts } = counter.distribution;
        expect(counts.reduce((sum, rows) => sum + rows, 0)).toBe(amounts.length);
        for (const [place, rows] of counts.slice(0, -1).entries()) {
          const within = amounts.filter((one) => one >= (edges[place] ?? 0) && one < (edges[place + 1] ?? 0));
          expect(rows).toBe(within.length);
        }
        expect(counter.quantiles?.p95).toBeGreaterThanOrEqual(counter.quantiles?.median ?? Infinity);
        for (const amount of amounts) counter.add(amount, -1);
        expect(counter.distribution).toEqual(new Counter(edges).distribution);
      }),
    );
    expect(new Counter(edges).quantiles).toBeNull();
  });
});

const MADE = { others: [], images: [], turns: [], source: {} };

describe('the rows to read', () => {
  const shown = (row: number, size = 10): Parameters<Parameters<Selection['add']>[1]>[never] =>
    ({ row, size }) as never;

  it('are a sample, those asked for and the most remarkable, each once and in order', () => {
    const selection = new Selection(50, [777]);
    for (let row = 0; row < 10_000; row++) {
      const candidate = {
        row,
        state: row === 5000 ? 'failed' : 'ok',
        flags: [],
        change: row / 10_000,
        ratio: 1,
      };
      selection.add(
        candidate,
        () =>
          ({
            ...(shown(row) as object),
            row,
            system: '',
            prompt: '',
            old: '',
            new: '',
            error: null,
            ...MADE,
          }) as never,
      );
    }
    const rows = selection.rows.map(({ row }) => row);
    expect(rows).toEqual([...new Set(rows)].sort((a, b) => a - b));
    expect(rows).toContain(777);
    expect(rows).toContain(5000);
    expect(rows).toContain(9999);
    expect(rows.length).toBeGreaterThan(80);
    expect(rows.length).toBeLessThan(100);
  });

  it('stay within their byte limit at any size', () => {
    const selection = new Selection(5000, []);
    const text = 'z'.repeat(12_000);
    for (let row = 0; row < 3000; row++) {
      selection.add(
        { row, state: 'ok', flags: ['refusal'], change: 1, ratio: 2 },
        () => ({ ...MADE, row, system: text, prompt: text, old: text, new: text, error: null }) as never,
      );
    }
    const bytes = selection.rows.length * 48_000;
    expect(bytes).toBeLessThanOrEqual(9 << 20);
    expect(bytes).toBeGreaterThan(8 << 20);
  });
});

describe('a run over time', () => {
  const steps = (answers: readonly number[]): RecordedTimeline['steps'] =>
    answers.map((one) => ({
      answers: one,
      tokens: one * 10,
      throttled: 1,
      failures: 0,
      latencies: [0, one],
    }));

  it.each([
    ['a second', 100, 9, 5],
    ['21 seconds of few answers', 100, 210, 1],
    ['a minute', 400, 150, 4],
    ['an hour', 16_000, 225, 40],
    ['a week', 2_560_000, 236, 4],
    ['slow: an answer a minute', 60_000, 200, 1],
  ])('has steps wide enough to be read: %s', (_, step, recorded, perStep) => {
    const list = steps(Array.from({ length: recorded }, () => perStep));
    const time = overTime({ step, length: step * recorded, steps: list }, 2);
    const made = time?.steps ?? [];
    const sum = (of: (one: (typeof made)[number]) => number): number =>
      made.reduce((total, one) => total + of(one), 0);
    expect(made.length).toBeLessThanOrEqual(41);
    expect(sum(({ answers }) => answers)).toBe(recorded * perStep);
    expect(sum(({ throttled }) => throttled)).toBe(recorded);
    expect(sum(({ length }) => length)).toBe(step * recorded);
    expect(made.at(-1)?.spent).toBeCloseTo(2, 9);
    expect(time?.step).toBeGreaterThanOrEqual(1000);
    if (made.length > 2) expect(made[0]?.answers ?? 0).toBeGreaterThanOrEqual(15);
  });

  it('is nothing where nothing was recorded', () => {
    expect(overTime({ step: 100, length: 0, steps: [] }, 1)).toBeNull();
  });
});

describe('a timeline', () => {
  it('loses nothing as its steps grow, and continues after what was written', () => {
    let now = 0;
    let timeline = new Timeline(null, () => now);
    for (let answer = 0; answer < 5000; answer++) {
      now += 500;
      timeline.exchanged(100 + (answer % 100), answer % 50 === 0 ? 'throttle' : 'answer');
      timeline.spent(10);
      if (answer === 2500) {
        timeline = new Timeline(JSON.parse(JSON.stringify(timeline.record)), () => now);
      }
    }
    const record = readTimeline(JSON.parse(JSON.stringify(timeline.record)));
    const steps = record?.steps ?? [];
    const sum = (name: 'answers' | 'throttled' | 'tokens'): number =>
      steps.reduce((all, step) => all + step[name], 0);
    expect([sum('answers'), sum('throttled'), sum('tokens')]).toEqual([4900, 100, 50_000]);
    expect(steps.length).toBeLessThanOrEqual(240);
    const latency = latencyAt(0.5, steps[3]?.latencies ?? []) ?? 0;
    expect(latency).toBeGreaterThan(100);
    expect(latency).toBeLessThan(220);
  });

  it('reads anything else as none', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(new Timeline(value).record).toBe(readTimeline(value));
      }),
    );
    expect(readTimeline({ step: 1000, length: 1e12, steps: [] })).toBeNull();
  });

  it('is one of another final answer only where it is known to be', () => {
    const pair = { ...NO_PAIR, old: 'It is 1.', new: 'It is 2, as I said.', similarity: 0 };
    expect(flagsOf({ ...pair, agrees: false })).toEqual(['disagrees']);
    expect(flagsOf({ ...pair, agrees: true })).toEqual([]);
    expect(flagsOf({ ...pair, agrees: null })).toEqual([]);
  });
});
