import uPlot from 'uplot';
import { latencyAt, type RecordedTimeline } from '../../run/timeline.js';
import type { Distribution } from '../data.js';
import { element, number } from './dom.js';

const HEIGHT = 220;
const drawn: { plot: uPlot; place: HTMLElement; redraw: () => uPlot }[] = [];

interface Series {
  label: string;
  /** A variable of the style sheet. */
  color: string;
  values: (number | null)[];
  bars?: boolean;
}

interface Chart {
  title: string;
  /** What it shows, as a sentence for those who don't see it. */
  sentence: string;
  x: number[];
  xLabel: (value: number) => string;
  yLabel: (value: number) => string;
  series: Series[];
  /** What the vertical axis reaches at least. */
  least: number;
  /** The heading of the first column of the table. */
  head: string;
}

/** Redraws all charts, in the colours and the width of the moment. */
export function redrawCharts(): void {
  for (const one of drawn) {
    one.plot.destroy();
    one.plot = one.redraw();
  }
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A chart with its table. */
function chart(one: Chart): HTMLElement {
  const place = element('div', { class: 'plot', role: 'img', 'aria-label': one.sentence });
  const legend = element(
    'p',
    { class: 'legend', 'aria-hidden': 'true' },
    ...(one.series.length > 1
      ? one.series.map(({ label, color: name }) => {
          const mark = element('i', { class: `mark ${name.slice(2)}` });
          return element('span', {}, mark, label);
        })
      : []),
  );
  const figure = element(
    'figure',
    { class: 'chart' },
    element('figcaption', {}, element('h3', {}, one.title), legend),
    place,
    table(one),
  );
  const redraw = (): uPlot => draw(one, place);
  requestAnimationFrame(() => {
    drawn.push({ plot: redraw(), place, redraw });
  });
  return figure;
}

function draw(one: Chart, place: HTMLElement): uPlot {
  const axis = {
    stroke: color('--quiet'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { stroke: color('--line'), width: 1 },
    font: '12px system-ui, sans-serif',
  };
  const bars = uPlot.paths.bars?.({ size: [0.9, 60], align: 1 });
  const options: uPlot.Options = {
    width: Math.max(240, place.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(one.least, most * 1.05)] } },
    axes: [
      { ...axis, values: (_, values) => values.map((value) => one.xLabel(value)), space: 70 },
      { ...axis, values: (_, values) => values.map((value) => one.yLabel(value)), size: 62 },
    ],
    series: [
      {},
      ...(one.series.map(({ label, color: name, bars: isBars = false }) => ({
        label,
        stroke: color(name),
        width: isBars ? 0 : 2,
        fill: isBars ? color(name) + 'aa' : undefined,
        paths: isBars ? bars : undefined,
        points: { show: !isBars && one.x.length < 3 },
      })) as uPlot.Series[]),
    ],
  };
  return new uPlot(options, [one.x, ...one.series.map(({ values }) => values)] as uPlot.AlignedData, place);
}

function table({ head, x, xLabel, yLabel, series }: Chart): HTMLElement {
  const rows = x.map((value, place) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, xLabel(value)),
      ...series.map(({ values }) => {
        const cell = values[place] ?? null;
        return element('td', {}, cell === null ? '–' : yLabel(cell));
      }),
    ),
  );
  return element(
    'details',
    { class: 'table' },
    element('summary', {}, 'Figures'),
    element(
      'div',
      { class: 'scroll', tabindex: 0 },
      element(
        'table',
        {},
        element(
          'thead',
          {},
          element(
            'tr',
            {},
            element('th', { scope: 'col' }, head),
            ...series.map(({ label }) => element('th', { scope: 'col' }, label)),
          ),
        ),
        element('tbody', {}, ...rows),
      ),
    ),
  );
}

/** The classes of two distributions that hold anything. */
function used(distributions: readonly Distribution[]): { from: number; to: number } {
  const places = distributions.flatMap(({ counts }) =>
    counts.flatMap((rows, place) => (rows > 0 ? [place] : [])),
  );
  return { from: Math.max(0, Math.min(...places) - 1), to: Math.max(...places) + 1 };
}

export function lengthChart(before: Distribution, after: Distribution, sentence: string): HTMLElement {
  const { from, to } = used([before, after]);
  const x = before.edges.slice(from, to + 1).map((_, place) => place);
  const edge = (place: number): string =>
    Number.isInteger(place) ? compact(before.edges[from + place] ?? before.edges.at(-1) ?? 0) : '';
  return chart({
    title: 'Length of the answers, in characters',
    sentence,
    x,
    least: 1,
    head: 'From characters',
    xLabel: edge,
    yLabel: (rows) => compact(rows),
    series: [
      { label: 'old', color: '--old', values: before.counts.slice(from, to + 1), bars: true },
      { label: 'new', color: '--new', values: after.counts.slice(from, to + 1) },
    ],
  });
}

export function ratioChart({ edges, counts }: Distribution): HTMLElement {
  const { from, to } = used([{ edges, counts }]);
  return chart({
    title: 'New length as a multiple of the old one',
    sentence: 'How many answers became shorter or longer, and by which factor.',
    x: counts.slice(from, to + 1).map((_, place) => place),
    least: 1,
    head: 'From factor',
    xLabel: (place) => (Number.isInteger(place) ? `×${trimmed(edges[from + place] ?? 0)}` : ''),
    yLabel: (rows) => compact(rows),
    series: [{ label: 'rows', color: '--new', values: counts.slice(from, to + 1), bars: true }],
  });
}

export function throughputChart({ step, steps }: RecordedTimeline): HTMLElement {
  const minutes = step / 60_000;
  const series: Series[] = [
    { label: 'answers a minute', color: '--new', values: steps.map(({ answers }) => answers / minutes) },
  ];
  if (steps.some(({ throttled }) => throttled > 0)) {
    series.push({
      label: '429 a minute',
      color: '--warn',
      values: steps.map(({ throttled }) => throttled / minutes),
    });
  }
  if (steps.some(({ failures }) => failures > 0)) {
    series.push({
      label: 'failures a minute',
      color: '--bad',
      values: steps.map(({ failures }) => failures / minutes),
    });
  }
  return chart({
    title: 'Answers a minute over time',
    least: 1,
    sentence: 'How many answers came in each minute, and how many requests failed or were throttled.',
    x: steps.map((_, place) => (place * step) / 1000),
    head: 'After',
    xLabel: time,
    yLabel: (amount) => compact(Math.round(amount)),
    series,
  });
}

export function latencyChart({ step, steps }: RecordedTimeline): HTMLElement {
  const at = (share: number): (number | null)[] =>
    steps.map(({ latencies }) => {
      const latency = latencyAt(share, latencies);
      return latency === null ? null : latency / 1000;
    });
  return chart({
    title: 'Time of an answer, in seconds',
    least: 0.01,
    sentence: 'How long half of the answers and 95 % of them took at most, over time.',
    x: steps.map((_, place) => (place * step) / 1000),
    head: 'After',
    xLabel: time,
    yLabel: (seconds) => `${trimmed(seconds)} s`,
    series: [
      { label: 'half of them', color: '--new', values: at(0.5) },
      { label: '95 %', color: '--old', values: at(0.95) },
    ],
  });
}

/** Bars of names and amounts, in text that everybody can read. */
export function barList(
  title: string,
  entries: readonly (readonly [name: string, amount: number])[],
  unit = '',
): HTMLElement {
  const most = Math.max(1, ...entries.map(([, amount]) => amount));
  return element(
    'figure',
    { class: 'chart' },
    element('figcaption', {}, element('h3', {}, title)),
    element(
      'ul',
      { class: 'bars' },
      ...entries.map(([name, amount]) => {
        const text = unit === '' ? number(amount) : `${trimmed(amount)} ${unit}`;
        return element(
          'li',
          {},
          element('span', { class: 'name' }, name),
          element('meter', { min: 0, max: most, value: amount, 'aria-label': `${name}: ${text}` }),
          element('span', { class: 'amount' }, text),
        );
      }),
    ),
  );
}

function compact(amount: number): string {
  if (amount < 10_000) return number(Math.round(amount));
  return amount < 1e6 ? `${trimmed(amount / 1000)}k` : `${trimmed(amount / 1e6)}M`;
}

function trimmed(amount: number): string {
  return String(Number(amount.toPrecision(amount < 100 ? 2 : 3)));
}

function time(seconds: number): string {
  if (seconds < 120) return `${trimmed(seconds)} s`;
  return seconds < 7200 ? `${trimmed(seconds / 60)} min` : `${trimmed(seconds / 3600)} h`;
}
