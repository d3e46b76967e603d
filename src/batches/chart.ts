/** A small chart as SVG: bars or a step line over two axes with titles, units and round ticks. */

import { nice, ticks } from 'd3-array';
import { sanitize } from '../lib/text.js';

export const CHART_WIDTH = 800;
export const CHART_HEIGHT = 450;
const MARGIN = { left: 84, right: 28, top: 78, bottom: 62 };
const PLOT_WIDTH = CHART_WIDTH - MARGIN.left - MARGIN.right;
const PLOT_HEIGHT = CHART_HEIGHT - MARGIN.top - MARGIN.bottom;
const TICKS = 8;
/** Blue of the Okabe–Ito palette, whose colours people with any colour vision can distinguish. */
const COLOUR = '#0072b2';
const TEXT = '#222222';
const GRID = '#dddddd';
const TITLE_SIZE = 18;
const LONGEST_TEXT = 200;
/** Letters about as wide as they are high: M, W and their like, and what is neither Latin nor punctuation. */
const WIDE = /[MWmw@%]|[^\u0000-\u024f\u2010-\u2027]/u;

export interface Bar {
  from: number;
  to: number;
  height: number;
}

export interface Chart {
  title: string;
  subtitle: string;
  xTitle: string;
  yTitle: string;
  /** The range of the horizontal axis. */
  x: [number, number];
  /** The highest value; the vertical axis begins at 0. */
  yMaximum: number;
  bars?: readonly Bar[];
  /** Points of a line that steps up at each. */
  steps?: readonly { x: number; y: number }[];
  /** Shown in the middle where there is nothing to draw. */
  emptyNote?: string;
}

/** The chart as an SVG document. Texts are escaped, and cut where they would not fit. */
export function drawChart(given: Chart): string {
  // Axes end at a round value, so that the last tick is at their end.
  const [, yMaximum] = nice(0, given.yMaximum, TICKS);
  const chart: Chart = { ...given, x: nice(...given.x, TICKS), yMaximum };
  const toX = (value: number): number => MARGIN.left + share(value, chart.x[0], chart.x[1]) * PLOT_WIDTH;
  const toY = (value: number): number => MARGIN.top + (1 - share(value, 0, chart.yMaximum)) * PLOT_HEIGHT;
  const label = `${escape(chart.title)}. ${escape(chart.subtitle)}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${CHART_WIDTH}" height="${CHART_HEIGHT}" viewBox="0 0 ${CHART_WIDTH} ${CHART_HEIGHT}" role="img" aria-label="${label}" font-family="Varela, Helvetica, Arial, sans-serif" fill="${TEXT}">`,
    `<rect width="${CHART_WIDTH}" height="${CHART_HEIGHT}" fill="#ffffff"/>`,
    text(MARGIN.left, 32, fitTitle(chart.title), `font-size="${TITLE_SIZE}"`),
    text(MARGIN.left, 56, chart.subtitle, 'font-size="13" fill="#555555"'),
    ...(chart.emptyNote === undefined ? plot(chart, toX, toY) : [emptyNote(chart.emptyNote)]),
    '</svg>',
    '',
  ].join('\n');
}

function share(value: number, from: number, to: number): number {
  return to > from ? Math.min(1, Math.max(0, (value - from) / (to - from))) : 0;
}

function plot(chart: Chart, toX: (value: number) => number, toY: (value: number) => number): string[] {
  const bottom = MARGIN.top + PLOT_HEIGHT;
  const right = MARGIN.left + PLOT_WIDTH;
  const whole = ticks(0, chart.yMaximum, TICKS).filter(Number.isInteger);
  return [
    ...whole.map(
      (value) =>
        `<line x1="${MARGIN.left}" x2="${right}" y1="${at(toY(value))}" y2="${at(toY(value))}" stroke="${GRID}"/>` +
        text(
          MARGIN.left - 8,
          toY(value) + 4,
          label(value, chart.yMaximum),
          'font-size="12" text-anchor="end"',
        ),
    ),
    ...ticks(chart.x[0], chart.x[1], TICKS).map(
      (value) =>
        `<line x1="${at(toX(value))}" x2="${at(toX(value))}" y1="${bottom}" y2="${bottom + 5}" stroke="${TEXT}"/>` +
        text(toX(value), bottom + 20, label(value, chart.x[1]), 'font-size="12" text-anchor="middle"'),
    ),
    ...(chart.bars ?? []).map((bar) => rectangle(bar, toX, toY)),
    ...(chart.steps === undefined ? [] : [steps(chart.steps, toX, toY)]),
    `<line x1="${MARGIN.left}" x2="${right}" y1="${bottom}" y2="${bottom}" stroke="${TEXT}"/>`,
    text(
      MARGIN.left + PLOT_WIDTH / 2,
      CHART_HEIGHT - 16,
      chart.xTitle,
      'font-size="13" text-anchor="middle"',
    ),
    `<g transform="translate(20 ${at(MARGIN.top + PLOT_HEIGHT / 2)}) rotate(-90)">${text(0, 0, chart.yTitle, 'font-size="13" text-anchor="middle"')}</g>`,
  ];
}

function rectangle(bar: Bar, toX: (value: number) => number, toY: (value: number) => number): string {
  const left = toX(bar.from) + 0.5;
  const width = Math.max(1, toX(bar.to) - toX(bar.from) - 1);
  const height = Math.max(0, toY(0) - toY(bar.height));
  return `<rect class="bar" x="${at(left)}" y="${at(toY(bar.height))}" width="${at(width)}" height="${at(height)}" fill="${COLOUR}"/>`;
}

function steps(
  points: readonly { x: number; y: number }[],
  toX: (value: number) => number,
  toY: (value: number) => number,
): string {
  const path = points.map(({ x, y }) => `H${at(toX(x))}V${at(toY(y))}`).join('');
  return `<path class="steps" d="M${at(MARGIN.left)} ${at(toY(0))}${path}" fill="none" stroke="${COLOUR}" stroke-width="2"/>`;
}

function emptyNote(note: string): string {
  return text(CHART_WIDTH / 2, MARGIN.top + PLOT_HEIGHT / 2, note, 'font-size="16" text-anchor="middle"');
}

/** A hundredth of a pixel is finer than any screen. */
function at(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** From a million on an axis counts in `K` and `M`: longer numbers would run into its title. */
function label(value: number, largest: number): string {
  const notation = largest >= 1e6 ? 'compact' : 'standard';
  return value.toLocaleString('en-US', { maximumFractionDigits: 3, notation });
}

/** Cuts a title where it could leave the picture; widths are rather over-estimated, since fonts differ. */
function fitTitle(title: string): string {
  let width = 0;
  let kept = '';
  for (const character of sanitize(title, LONGEST_TEXT)) {
    width += TITLE_SIZE * (WIDE.test(character) ? 1.05 : /\p{Lu}/u.test(character) ? 0.75 : 0.6);
    if (width > PLOT_WIDTH) return `${kept}…`;
    kept += character;
  }
  return kept;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${at(x)}" y="${at(y)}" ${attributes}>${escape(content)}</text>`;
}

function escape(content: string): string {
  // Half a surrogate pair, as a cut leaves it, and these two characters are not allowed in XML.
  return sanitize(content, LONGEST_TEXT)
    .toWellFormed()
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
