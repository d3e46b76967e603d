import uPlot from 'uplot';
import type { Distribution, OverTime } from '../data.js';
import { tableHead } from './dom.js';
import { compactNumber, dollars, element, number, plainAmount, seconds, timeText } from './format.js';

const HEIGHT = 220;
/** Steps of an axis that counts whole things. */
const WHOLE_STEPS = [1, 2, 5]
  .flatMap((digit) => Array.from({ length: 10 }, (_, zeros) => digit * 10 ** zeros))
  .sort((a, b) => a - b);
const drawn: { plot: uPlot; redraw: () => uPlot }[] = [];

interface Series {
  label: string;
  /** A variable of the style sheet. */
  color: string;
  /** One for each class or step. */
  values: (number | null)[];
  /** Bars are drawn behind lines. */
  isBars?: boolean;
}

interface Chart {
  title: string;
  /** What it shows, as a sentence for those who can't see it. */
  sentence: string;
  /** Where classes or steps begin, and where the last one ends. */
  edges: number[];
  /** How the start of a class is named; of the class itself, for the table and on hover. */
  edgeText: (place: number) => string;
  classText: (place: number) => string;
  amountText: (amount: number) => string;
  series: Series[];
  /** What the vertical axis reaches at least. */
  least: number;
  /** True where amounts are whole. */
  isWhole: boolean;
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

/** Forgets the charts of a page that is drawn again. */
export function forgetCharts(): void {
  for (const { plot } of drawn) plot.destroy();
  drawn.length = 0;
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A chart with its values on hover and as a table. */
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
    if (place.isConnected) drawn.push({ plot: redraw(), redraw });
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
  const classes = one.edges.length - 1;
  const bars = uPlot.paths.bars?.({ size: [0.9, Infinity], align: 1 });
  const steps = uPlot.paths.stepped?.({ align: 1 });
  const options: uPlot.Options = {
    width: Math.max(200, place.clientWidth),
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
    hooks: { setCursor: [tooltip(one, place)] },
    scales: {
      x: { time: false, range: [0, classes] },
      y: { range: (_, __, most) => [0, Math.max(one.least, most * 1.05)] },
    },
    axes: [
      {
        ...axis,
        incrs: WHOLE_STEPS,
        values: (_, values) => values.map((value) => one.edgeText(value)),
        space: 70,
      },
      {
        ...axis,
        ...(one.isWhole ? { incrs: WHOLE_STEPS } : {}),
        values: (_, values) => values.map((value) => one.amountText(value)),
        size: 62,
      },
    ],
    series: [
      {},
      ...(one.series.map(({ label, color: name, isBars = false }) => ({
        label,
        stroke: color(name),
        width: isBars ? 0 : 2,
        fill: isBars ? color(name) + 'aa' : undefined,
        paths: isBars ? bars : steps,
        points: { show: false },
      })) as uPlot.Series[]),
    ],
  };
  // The end of the last class is a point of its own, or there would be no room for what is drawn from its start.
  const data = one.series.map(({ values, isBars = false }) => [
    ...values,
    isBars ? null : (values.at(-1) ?? null),
  ]);
  return new uPlot(options, [one.edges.map((_, index) => index), ...data] as uPlot.AlignedData, place);
}

/** Shows the amounts of the class under the pointer. */
function tooltip(one: Chart, place: HTMLElement): (plot: uPlot) => void {
  const box = element('div', { class: 'tooltip', hidden: true, 'aria-hidden': 'true' });
  place.append(box);
  return (plot) => {
    const { left = -1 } = plot.cursor;
    const at = Math.floor(plot.posToVal(left, 'x'));
    box.hidden = left < 0 || at < 0 || at >= one.edges.length - 1;
    if (box.hidden) return;
    const lines = one.series.map(({ label, values }) => {
      const value = values[at] ?? null;
      return element('div', {}, `${label}: ${value === null ? '–' : one.amountText(value)}`);
    });
    box.replaceChildren(element('strong', {}, one.classText(at)), ...lines);
    const edge = place.clientWidth - box.offsetWidth - 4;
    box.style.left = `${Math.max(0, Math.min(edge, left + 74))}px`;
  };
}

function table({ head, edges, classText, amountText, series }: Chart): HTMLElement {
  const rows = edges.slice(0, -1).map((_, place) =>
    element(
      'tr',
      {},
      element('th', { scope: 'row' }, classText(place)),
      ...series.map(({ values }) => {
        const cell = values[place] ?? null;
        return element('td', {}, cell === null ? '–' : amountText(cell));
      }),
    ),
  );
  return element(
    'details',
    { class: 'table' },
    element('summary', {}, 'Data table'),
    element(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': head },
      element(
        'table',
        {},
        tableHead(head, ...series.map(({ label }) => label)),
        element('tbody', {}, ...rows),
      ),
    ),
  );
}

/** The classes of distributions that hold anything, with an empty one on each side. */
function used(distributions: readonly Distribution[]): { from: number; to: number } {
  const [first] = distributions;
  const places = distributions.flatMap(({ counts }) =>
    counts.flatMap((rows, place) => (rows > 0 ? [place] : [])),
  );
  return {
    from: Math.max(0, Math.min(...places) - 1),
    to: Math.min(first?.counts.length ?? 0, Math.max(...places) + 2),
  };
}

interface NamedDistribution {
  label: string;
  color: string;
  of: Distribution;
  isBars?: boolean;
}

/** Counts of rows by classes that all distributions share. */
function distributionChart(
  { title, sentence, head }: Pick<Chart, 'title' | 'sentence' | 'head'>,
  named: readonly NamedDistribution[],
  amount: (edge: number) => string,
): HTMLElement {
  const { from, to } = used(named.map(({ of }) => of));
  const bounds = named[0]?.of.edges ?? [];
  const edgeText = (place: number): string =>
    Number.isInteger(place) ? amount(bounds[from + place] ?? bounds.at(-1) ?? 0) : '';
  return chart({
    ...{ title, sentence, head, edgeText },
    edges: bounds.slice(from, to + 1),
    classText: (place) => `${edgeText(place)} to ${edgeText(place + 1)}`,
    amountText: (rows) => compactNumber(rows),
    least: 1,
    isWhole: true,
    series: named.map(({ of, label, color: name, isBars = false }) => ({
      ...{ label, color: name, isBars },
      values: of.counts.slice(from, to),
    })),
  });
}

/** True where something was counted. */
export function hasCounts({ counts }: Distribution): boolean {
  return counts.some((rows) => rows > 0);
}

export function lengthChart(before: Distribution, after: Distribution, sentence: string): HTMLElement {
  const [hasOld, hasNew] = [hasCounts(before), hasCounts(after)];
  const which =
    hasOld === hasNew ? 'Answer length' : hasOld ? 'Length of the old answers' : 'Length of the new answers';
  return distributionChart(
    { title: `${which}, in characters`, sentence, head: 'Characters' },
    [
      ...(hasOld ? [{ label: 'old', color: '--old', of: before, isBars: true }] : []),
      ...(hasNew ? [{ label: 'new', color: '--new', of: after }] : []),
    ],
    compactNumber,
  );
}

const RUN_COLORS = ['--new', '--violet', '--good', '--bad', '--warn', '--grey'];

/** The old answers' lengths, and those of each run. */
export function comparedLengths(lengths: readonly { label: string; of: Distribution }[]): HTMLElement {
  return distributionChart(
    {
      title: 'Answer length, in characters',
      sentence: 'How many answers of each run have each length, beside the old answers.',
      head: 'Characters',
    },
    lengths
      .filter(({ of }) => hasCounts(of))
      .map(({ label, of }, place) =>
        label === 'old'
          ? { label, of, color: '--old', isBars: true }
          : { label, of, color: RUN_COLORS[(place - 1 + RUN_COLORS.length) % RUN_COLORS.length] ?? '--new' },
      ),
    compactNumber,
  );
}

export function reasoningChart(lengths: Distribution): HTMLElement {
  return distributionChart(
    {
      title: 'Reasoning length, in characters',
      sentence: 'How many answers have reasoning of each length.',
      head: 'Characters',
    },
    [{ label: 'rows', color: '--violet', of: lengths, isBars: true }],
    compactNumber,
  );
}

export function ratioChart(ratios: Distribution): HTMLElement {
  return distributionChart(
    {
      title: 'New length as a multiple of the old one',
      sentence: 'How many answers became shorter or longer, and by what factor.',
      head: 'Factor',
    },
    [{ label: 'rows', color: '--new', of: ratios, isBars: true }],
    (factor) => `×${plainAmount(factor)}`,
  );
}

interface TimeSeries extends Omit<Series, 'values'> {
  of: (step: OverTime['steps'][number]) => number | null;
}

function timeChart(
  { step, steps }: OverTime,
  parts: Pick<Chart, 'title' | 'sentence' | 'amountText' | 'least' | 'isWhole'>,
  series: readonly TimeSeries[],
): HTMLElement {
  const start = (place: number): string => (Number.isInteger(place) ? timeText((place * step) / 1000) : '');
  return chart({
    ...parts,
    edges: [...steps.map((_, place) => place), steps.length],
    edgeText: start,
    classText: (place) => `${start(place)} to ${start(place + 1)}`,
    head: 'Time since the start',
    series: series.map(({ label, color: name, of }) => ({ label, color: name, values: steps.map(of) })),
  });
}

export function throughputChart(time: OverTime): HTMLElement {
  const rate =
    (name: 'answers' | 'throttled' | 'failures'): TimeSeries['of'] =>
    (step) =>
      (step[name] * 60_000) / step.length;
  const has = (name: 'throttled' | 'failures'): boolean => time.steps.some((step) => step[name] > 0);
  return timeChart(
    time,
    {
      title: 'Answers per minute',
      sentence:
        'How many answers arrived per minute over time, and how many requests were throttled or failed.',
      amountText: (amount) => compactNumber(Math.round(amount)),
      least: 1,
      isWhole: true,
    },
    [
      { label: 'answers', color: '--new', of: rate('answers') },
      ...(has('throttled') ? [{ label: '429', color: '--warn', of: rate('throttled') }] : []),
      ...(has('failures') ? [{ label: 'failures', color: '--bad', of: rate('failures') }] : []),
    ],
  );
}

export function latencyChart(time: OverTime): HTMLElement {
  return timeChart(
    time,
    {
      title: 'Latency',
      sentence: 'Median and 95th percentile of the answers’ latency over time.',
      amountText: (milliseconds) => seconds(milliseconds),
      least: 10,
      isWhole: false,
    },
    [
      { label: 'median', color: '--new', of: ({ median }) => median },
      { label: 'p95', color: '--old', of: ({ p95 }) => p95 },
    ],
  );
}

export function costChart(time: OverTime): HTMLElement {
  return timeChart(
    time,
    {
      title: 'Cost so far',
      sentence: 'US dollars spent since the start.',
      amountText: (amount) => dollars(amount),
      least: 1e-6,
      isWhole: false,
    },
    [{ label: 'spent', color: '--good', of: ({ spent }) => spent }],
  );
}

/** Bars of names and amounts, in text that everybody can read. */
export function barList(
  title: string,
  entries: readonly (readonly [name: string, amount: number])[],
  unit = '',
): HTMLElement {
  const most = Math.max(1e-9, ...entries.map(([, amount]) => amount));
  return element(
    'figure',
    { class: 'chart' },
    element('figcaption', {}, element('h3', {}, title)),
    element(
      'ul',
      { class: 'bars' },
      ...entries.map(([name, amount]) => {
        const text = unit === '' ? number(amount) : `${plainAmount(amount)} ${unit}`;
        return element(
          'li',
          {},
          element('span', { class: 'name' }, name),
          element('meter', {
            min: 0,
            max: most,
            value: amount,
            'aria-label': `${name}: ${text}`,
            title: text,
          }),
          element('span', { class: 'amount' }, text),
        );
      }),
    ),
  );
}
