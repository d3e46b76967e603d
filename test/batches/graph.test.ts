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
  it('are well-formed and hold numbers alone, whatever the batches', () => {
    fc.assert(
      fc.property(fc.array(times, { maxLength: 300 }), fc.string({ unit: 'binary' }), (batches, title) => {
        for (const chart of [durationsChart(batches, title), completionsChart(batches, title)]) {
          const svg = drawChart(chart);
          expect(svg).not.toMatch(/="[^"]*(?:NaN|Infinity|undefined)/);
          expectWellFormed(svg.replace(/<text[^>]*>[^<]*<\/text>/g, ''));
        }
      }),
      { numRuns: 50 },
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
    expect(drawChart(durations)).toContain('Time from submission to end (minutes)');
    const completions = completionsChart(batches, 'run');
    expect(completions.steps?.at(-1)).toEqual({ x: 70, y: 2100 });
    expect(drawChart(completions)).toContain('Requests answered');
  });

  it('say so where no batch has ended', () => {
    expect(drawChart(durationsChart([{ createdAt: 1, endedAt: null, completed: 0 }], 'run'))).toContain(
      'No batch has ended yet',
    );
  });

  it('keep a hostile name inert', () => {
    const svg = drawChart(durationsChart([], '</text><script>alert("1")</script>\u202e'));
    expect(svg).not.toContain('<script');
    expect(svg).not.toContain('\u202e');
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
      expect(png.subarray(1, 4).toString('latin1')).toBe('PNG');
      expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([1600, 900]);
      // Without its font a chart is lines alone.
      expect(png.length).toBeGreaterThan(20_000);
    }
  });
});
