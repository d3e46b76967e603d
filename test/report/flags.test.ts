import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counter, risingEdges } from '../../src/report/distribution.js';
import { flagsOf } from '../../src/report/flags.js';
import { languageOf, scriptOf } from '../../src/report/language.js';
import { Selection } from '../../src/report/selection.js';
import { similarity } from '../../src/report/similarity.js';
import { latencyAt, readTimeline, Timeline } from '../../src/run/timeline.js';

describe('what is remarkable about an answer', () => {
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
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), (old, answer) => {
        flagsOf({ old, new: answer, state: 'ok', similarity: 0, agrees: null });
        const alike = similarity(old, answer);
        expect(alike).toBeGreaterThanOrEqual(0);
        expect(alike).toBeLessThanOrEqual(1);
        expect(similarity(answer, old)).toBeCloseTo(alike, 10);
        expect(similarity(old, old)).toBe(1);
      }),
    );
    const long = 'x'.repeat(1_000_000);
    expect(
      flagsOf({ old: long, new: long, state: 'ok', similarity: similarity(long, `${long}y`), agrees: null }),
    ).toContain('identical');
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
        expect(counter.median).not.toBeNull();
      }),
    );
    expect(new Counter(edges).median).toBeNull();
  });
});

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

  it('stay within their bound of bytes whatever their size', () => {
    const selection = new Selection(5000, []);
    const text = 'z'.repeat(12_000);
    for (let row = 0; row < 3000; row++) {
      selection.add(
        { row, state: 'ok', flags: ['refusal'], change: 1, ratio: 2 },
        () => ({ row, system: text, prompt: text, old: text, new: text, error: null }) as never,
      );
    }
    const bytes = selection.rows.length * 48_000;
    expect(bytes).toBeLessThanOrEqual(9 << 20);
    expect(bytes).toBeGreaterThan(8 << 20);
  });
});

describe('a timeline', () => {
  it('loses nothing as its steps grow, and goes on after what was written', () => {
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
    const pair = { old: 'It is 1.', new: 'It is 2, as I said.', state: 'ok' as const, similarity: 0 };
    expect(flagsOf({ ...pair, agrees: false })).toEqual(['disagrees']);
    expect(flagsOf({ ...pair, agrees: true })).toEqual([]);
    expect(flagsOf({ ...pair, agrees: null })).toEqual([]);
  });
});
