/** A comparison in words: the table on standard output, and the page. */

import { isSignificant } from '../judge/interval.js';
import { withMarks } from '../lib/hidden-characters.js';
import { count, dollars, sanitize, plural, shortDuration, spent } from '../lib/text.js';
import type { CompareFigures, ContestantFigures, PairFigures } from './figures.js';

const HEADINGS = [
  '#',
  'Annotator',
  'Rating',
  '95 %',
  'Wins',
  'Ties',
  'Losses',
  '$/1,000 rows',
  'Dataset',
  'Median',
  'Truncated',
  'Refused',
  'Failed',
] as const;
/** Columns of text; the others are numbers. */
const TEXT_COLUMNS = 2;

/** The cells of an annotator's line. */
function cells(figures: ContestantFigures): string[] {
  const { rows, latency_ms: latency } = figures;
  const of = (state: string): number => rows[state] ?? 0;
  const money = (amount: number | null): string => (amount === null ? 'unknown' : dollars(amount));
  const [low, high] = figures.rating_interval_95;
  return [
    String(figures.rank),
    sanitize(figures.annotator, 60),
    count(Math.round(figures.rating)),
    `${count(Math.round(low))}–${count(Math.round(high))}`,
    ...[figures.wins, figures.ties, figures.losses].map((number) => count(number)),
    money(figures.cost_per_1000_rows_usd),
    money(figures.cost_of_dataset_usd),
    latency === null ? '' : shortDuration(latency.median),
    ...[of('truncated'), of('refused') + of('filtered'), of('failed') + of('pending')].map((number) =>
      count(number),
    ),
  ];
}

function describePair({ one, other, ...pair }: PairFigures): string {
  const names = `${sanitize(one, 60)} : ${sanitize(other, 60)}`;
  const score = `${count(pair.wins)} won, ${plural(pair.ties, 'tie')}, ${count(pair.losses)} lost`;
  const undecided = pair.undecided === 0 ? '' : `, ${count(pair.undecided)} undecided`;
  return `${names}  ${score}${undecided}; ${describeRate(pair)}`;
}

function describeRate({
  win_rate: rate,
  confidence_interval_95: interval,
}: Pick<PairFigures, 'win_rate' | 'confidence_interval_95'>): string {
  if (rate === null || interval === null) return 'no pair was decided';
  const [low, high] = interval;
  const shown = isSignificant(interval) ? '' : ' (not significant)';
  return `${percent(rate)} [${percent(low)}, ${percent(high)}]${shown}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function describeWhole({
  sample,
  dataset_rows: rows,
  dataset,
  judge,
  cost_usd: cost,
}: CompareFigures): string {
  const of = rows === null ? '' : ` of ${count(rows)}`;
  const paid = cost === null ? 'cost not known' : `${spent(cost, false)} in total`;
  return `${plural(sample, 'row')}${of} of ${sanitize(dataset, 120)}, judged by ${sanitize(judge.annotator, 60)} in both orders; ${paid}`;
}

/** The lines for standard output. */
export function compareTable(figures: CompareFigures): string {
  const lines = [[...HEADINGS], ...figures.annotators.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  const table = lines.map((line) =>
    line
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column < TEXT_COLUMNS ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
  return [describeWhole(figures), '', ...table, '', ...figures.pairs.map(describePair)].join('\n');
}

/** The page: one file without scripts, which needs no network. */
export function comparePage(figures: CompareFigures): string {
  const row = (tag: 'th' | 'td', texts: readonly string[]): string =>
    `<tr>${texts.map((text, column) => `<${tag}${column < TEXT_COLUMNS ? ' class="text"' : ''}>${escaped(text)}</${tag}>`).join('')}</tr>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Comparison of ${escaped(figures.annotators.map(({ annotator }) => annotator).join(', '))}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; }
.text { text-align: left; }
.wide { overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } th, td { border-color: #444; } }
</style>
<h1>Which annotator?</h1>
<p>${escaped(describeWhole(figures))}</p>
<div class="wide"><table>
${row('th', HEADINGS)}
${figures.annotators.map((one) => row('td', cells(one))).join('\n')}
</table></div>
<h2>Pairs</h2>
<ul>
${figures.pairs.map((pair) => `<li>${escaped(describePair(pair))}</li>`).join('\n')}
</ul>
<p>${escaped(figures.method)} ${escaped(figures.compared_at)}</p>
</html>
`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return withMarks(text).replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}
