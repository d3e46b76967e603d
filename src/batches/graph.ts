/** `--graph`: how long a run's batches took, and when their answers came, as SVG and PNG. */

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bin, max, median, quantile, range, tickStep } from 'd3-array';
import { replaceFile } from '../lib/files.js';
import { duration, plural } from '../lib/text.js';
import { CHART_WIDTH, drawChart, type Bar, type Chart } from './chart.js';

/** Sharp on dense screens. */
const PNG_SCALE = 2;
const MAXIMUM_BARS = 24;

/** When a batch began and ended. */
export interface BatchTimes {
  /** Seconds since 1970. */
  createdAt: number;
  /** Seconds since 1970; null while it is in progress. */
  endedAt: number | null;
  /** Requests that were answered. */
  completed: number;
}

/**
 * Saves both graphs of a run's batches.
 * @param title the run's name
 * @returns the paths written
 */
export async function saveBatchGraphs(
  folder: string,
  batches: readonly BatchTimes[],
  title: string,
): Promise<string[]> {
  const graphs = {
    batch_durations: durationsChart(batches, title),
    batch_completions: completionsChart(batches, title),
  };
  const toPng = await pngRenderer();
  const paths: string[] = [];
  for (const [name, chart] of Object.entries(graphs)) {
    const svg = drawChart(chart);
    for (const [extension, content] of [
      ['svg', svg],
      ['png', toPng(svg)],
    ] as const) {
      const path = join(folder, `${name}.${extension}`);
      await replaceFile(path, (file) => {
        file.write(content);
      });
      paths.push(path);
    }
  }
  return paths;
}

/** Draws SVG as PNG with a font that comes along: a server often has none. */
async function pngRenderer(): Promise<(svg: string) => Uint8Array> {
  const { initWasm, Resvg } = await import('@resvg/resvg-wasm');
  const { resolve } = createRequire(import.meta.url);
  const font = await readFile(resolve('@expo-google-fonts/varela/Varela_400Regular.ttf'));
  try {
    await initWasm(await readFile(resolve('@resvg/resvg-wasm/index_bg.wasm')));
  } catch (error) {
    // It can be initialised once in a process, and that has been done.
    if (!/already initialized/i.test(String(error))) throw error;
  }
  return (svg) => {
    const image = new Resvg(svg, {
      fitTo: { mode: 'width', value: CHART_WIDTH * PNG_SCALE },
      font: { fontBuffers: [font], defaultFontFamily: 'Varela', loadSystemFonts: false },
    }).render();
    try {
      return image.asPng();
    } finally {
      image.free();
    }
  };
}

/** The unit in which a time reads best. */
function unitFor(seconds: number): { name: string; seconds: number } {
  if (seconds <= 180) return { name: 'seconds', seconds: 1 };
  return seconds <= 3 * 3600 ? { name: 'minutes', seconds: 60 } : { name: 'hours', seconds: 3600 };
}

function ended(batches: readonly BatchTimes[]): (BatchTimes & { endedAt: number })[] {
  return batches.filter((batch): batch is BatchTimes & { endedAt: number } => batch.endedAt !== null);
}

/** The number comes first: a long name is cut at its end. */
function titleFor(batches: readonly BatchTimes[], name: string): string {
  return `${plural(batches.length, 'batch', 'batches')} of ${name}`;
}

function empty(title: string): Chart {
  return {
    title,
    subtitle: '',
    xTitle: '',
    yTitle: '',
    x: [0, 1],
    yMaximum: 1,
    emptyNote: 'No batch has ended yet',
  };
}

/** Bars of equal width at round values; a duration on an edge counts to the right of it, also the longest. */
function barsOf(durations: readonly number[], longest: number, unitSeconds: number): Bar[] {
  const wanted = Math.min(MAXIMUM_BARS, Math.max(8, Math.ceil(Math.sqrt(durations.length))));
  // In whole seconds, so that no rounding moves an edge.
  const step = Math.max(1, Math.round(tickStep(0, Math.max(longest / unitSeconds, 1), wanted) * unitSeconds));
  const end = (Math.floor(longest / step) + 1) * step;
  const bins = bin()
    .domain([0, end])
    .thresholds(range(step, end, step))(durations);
  return bins.map((one) => ({
    from: (one.x0 ?? 0) / unitSeconds,
    to: (one.x1 ?? end) / unitSeconds,
    height: one.length,
  }));
}

/** How many batches took how long. */
export function durationsChart(batches: readonly BatchTimes[], name: string): Chart {
  const title = titleFor(batches, name);
  const durations = ended(batches).map(({ createdAt, endedAt }) => Math.max(0, endedAt - createdAt));
  const longest = max(durations);
  if (longest === undefined) return empty(title);
  const unit = unitFor(longest);
  const bars = barsOf(durations, longest, unit.seconds);
  const told = [
    `median ${duration((median(durations) ?? 0) * 1000)}`,
    `90 % within ${duration((quantile(durations, 0.9) ?? 0) * 1000)}`,
    `longest ${duration(longest * 1000)}`,
  ];
  return {
    title,
    subtitle: `${plural(durations.length, 'batch', 'batches')} ended: ${told.join(', ')}`,
    xTitle: `Time from submission to end (${unit.name})`,
    yTitle: 'Batches',
    x: [0, bars.at(-1)?.to ?? 1],
    yMaximum: Math.max(1, ...bars.map(({ height }) => height)),
    bars,
  };
}

/** How many requests were answered by when. */
export function completionsChart(batches: readonly BatchTimes[], name: string): Chart {
  const title = titleFor(batches, name);
  const inOrder = ended(batches).sort((a, b) => a.endedAt - b.endedAt);
  const last = inOrder.at(-1);
  if (last === undefined) return empty(title);
  const start = Math.min(...batches.map(({ createdAt }) => createdAt));
  const span = Math.max(0, last.endedAt - start);
  const unit = unitFor(span);
  let answered = 0;
  const steps = inOrder.map(({ endedAt, completed }) => {
    answered += completed;
    return { x: Math.max(0, endedAt - start) / unit.seconds, y: answered };
  });
  return {
    title,
    subtitle: `${plural(answered, 'request')} answered in ${plural(inOrder.length, 'batch', 'batches')} within ${duration(span * 1000)}`,
    xTitle: `Time since the first submission (${unit.name})`,
    yTitle: 'Requests answered',
    x: [0, Math.max(1, span / unit.seconds)],
    yMaximum: Math.max(1, answered),
    steps,
  };
}
