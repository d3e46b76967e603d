import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawChart } from '../../src/batches/chart.js';
import {
  completionsChart,
  durationsChart,
  saveBatchGraphs,
  type BatchTimes,
} from '../../src/batches/graph.js';
import { codePoint } from '../support/code-point.js';
import { temporaryFolder } from '../support/cli.js';

const times = fc.record({
  createdAt: fc.integer({ min: 1_000_000_000, max: 2_000_000_000 }),
  endedAt: fc.option(fc.integer({ min: 1_000_000_000, max: 2_000_000_000 })),
  completed: fc.integer({ min: 0, max: 50_000 }),
});

/** Every tag of an SVG is closed in the order in which it was opened. */
function expectWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, close, name, empty] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (close === '/') expect(open.pop()).toBe(name);
    else if (empty !== '/') open.push(name ?? '');
  }
  expect(open).toEqual([]);
}

describe('the graphs of batches', () => {
  it('are well-formed and contain only numbers, for any batches', () => {
    fc.assert(
      fc.property(fc.array(times, { maxLength: 100 }), fc.string({ unit: codePoint }), (batches, title) => {
        for (const chart of [durationsChart(batches, title), completionsChart(batches, title)]) {
          const svg = drawChart(chart);
          expect(svg).not.toMatch(/="[^"]*(?:NaN|Infinity|undefined)/);
          expect(svg).not.toMatch(/[\ufffe\uffff]/);
          expect(svg.isWellFormed()).toBe(true);
          expectWellFormed(svg);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('show every batch in a bar, with axes, units and figures', () => {
    const batches: BatchTimes[] = Array.from({ length: 7 }, (_, index) => ({
      createdAt: 1_000_000_000,
      endedAt: 1_000_000_000 + 600 * (index + 1),
      completed: 300,
    }));
    const durations = durationsChart(batches, 'run');
    expect((durations.bars ?? []).reduce((sum, { height }) => sum + height, 0)).toBe(7);
    expect(durations.subtitle).toBe(
      '7 batches ended: median 40 min 0 s, 90 % within 1 h 4 min, longest 1 h 10 min',
    );
    // Of equal width: from 0 to 10 minutes, and so on up to the one that begins with the longest.
    expect(durations.bars?.map(({ from, to, height }) => [from, to, height])).toEqual(
      Array.from({ length: 8 }, (_, index) => [10 * index, 10 * (index + 1), index === 0 ? 0 : 1]),
    );
    const svg = drawChart(durations);
    expect(svg.match(/class="bar"/g)).toHaveLength(8);
    expect(svg).toContain('>7 batches of run</text>');
    expect(svg).toContain('Time from submission to end (minutes)');
    const completions = completionsChart(batches, 'run');
    expect(completions.steps?.at(-1)).toEqual({ x: 70, y: 2100 });
    expect(drawChart(completions)).toContain('Requests answered');
  });

  it('say so if no batch has ended', () => {
    expect(drawChart(durationsChart([{ createdAt: 1, endedAt: null, completed: 0 }], 'run'))).toContain(
      'No batch has ended yet',
    );
  });

  it('count every batch once, in whole bars, from a second to a day', () => {
    const durations = fc.array(fc.integer({ min: 0, max: 86_400 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(durations, (seconds) => {
        const batches = seconds.map((taken) => ({ createdAt: 0, endedAt: taken, completed: 1 }));
        const bars = durationsChart(batches, 'run').bars ?? [];
        expect(bars.reduce((sum, { height }) => sum + height, 0)).toBe(seconds.length);
        expect(bars.length).toBeLessThanOrEqual(40);
        const widths = bars.map(({ from, to }) => to - from);
        expect(Math.max(...widths) - Math.min(...widths)).toBeLessThan(1e-9);
      }),
      { numRuns: 50 },
    );
  });

  it('shorten millions, which would run into the title of the axis', () => {
    const svg = drawChart(completionsChart([{ createdAt: 0, endedAt: 60, completed: 15_000_000 }], 'run'));
    expect(svg).toContain('>14M</text>');
    expect(svg).not.toContain('14,000,000');
  });

  it('sanitize a hostile name, and truncate a long one', () => {
    const svg = drawChart(durationsChart([], '</text><script>alert("1")</script>\u202e'));
    expect(svg).not.toContain('<script');
    expect(svg).not.toContain('\u202e');
    expect(drawChart(durationsChart([], 'W'.repeat(300)))).toMatch(/>0 batches of W{20,40}…<\/text>/);
  });

  it('are drawn with any name, also with characters that XML does not know', async () => {
    const names = ['\uffff\ufffe\u0000 \ud800 ]]>&#0;&', `${'x'.repeat(185)}${'😀'.repeat(20)}`];
    for (const name of names) {
      await expect(saveBatchGraphs(temporaryFolder(), [], name)).resolves.toHaveLength(4);
    }
  });

  it('are saved as SVG and as PNG of twice the size, with text', async () => {
    const folder = temporaryFolder();
    const paths = await saveBatchGraphs(folder, [{ createdAt: 1, endedAt: 61, completed: 5 }], 'run');
    expect(paths.map((path) => path.slice(folder.length + 1))).toEqual([
      'batch_durations.svg',
      'batch_durations.png',
      'batch_completions.svg',
      'batch_completions.png',
    ]);
    for (const path of paths.filter((name) => name.endsWith('.png'))) {
      const png = readFileSync(path);
      expect(png.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1600, 900]);
      // Without its font a chart is lines alone.
      expect(png.length).toBeGreaterThan(20_000);
    }
  });
});
