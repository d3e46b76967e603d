import { isSignificant } from '../../judge/interval.js';
import type { Judged, ReportData, ReportTable } from '../data.js';
import {
  barList,
  costChart,
  hasCounts,
  latencyChart,
  lengthChart,
  ratioChart,
  reasoningChart,
  throughputChart,
} from './charts.js';
import { element, number, percent, tableHead } from './dom.js';
import { FLAG_TEXTS } from './flag-texts.js';

const STATES = ['ok', 'truncated', 'refused', 'filtered', 'failed', 'pending'] as const;
const MOST_BATCHES = 30;

type Show = (filter: { state?: string; flag?: string }) => void;

/** Everything above the reader. */
export function overview(data: ReportData, show: Show): HTMLElement[] {
  const parts = [header(data), ledger(data, show), changes(data, show)];
  if (data.judge !== null) parts.push(judgement(data.judge));
  parts.push(charts(data), details(data));
  return parts;
}

function header(data: ReportData): HTMLElement {
  return element(
    'header',
    {},
    element(
      'h1',
      {},
      element('bdi', {}, data.dataset),
      element('span', { class: 'arrow' }, ' → '),
      element('bdi', {}, data.annotator),
    ),
    element(
      'dl',
      { class: 'figures' },
      figure('Rows', number(data.rows)),
      ...data.figures.map(([title, value]) => figure(title, value)),
    ),
  );
}

function figure(title: string, value: string): HTMLElement {
  return element('div', {}, element('dt', {}, title), element('dd', {}, value));
}

interface Share {
  name: string;
  rows: number;
  style: string;
  onClick?: () => void;
}

/** Parts of a whole as one bar, with their names and amounts. */
function shares(parts: readonly Share[], all: number, more: HTMLElement[] = []): HTMLElement[] {
  return [
    element(
      'div',
      {
        class: 'ledger',
        role: 'img',
        'aria-label': parts.map(({ name, rows }) => `${number(rows)} ${name}`).join(', '),
      },
      ...parts.map(({ name, rows, style }) => {
        const part = element('span', { class: style, title: `${number(rows)} ${name}` });
        part.style.flexGrow = String(rows);
        return part;
      }),
    ),
    element(
      'ul',
      { class: 'keys' },
      ...parts.map(({ name, rows, style, onClick }) => {
        const text = `${number(rows)} ${name}`;
        return element(
          'li',
          {},
          element('i', { class: `mark ${style}` }),
          onClick === undefined
            ? text
            : element('button', { type: 'button', class: 'link', onclick: onClick }, text),
          ` (${percent(rows, all)})`,
        );
      }),
      ...more,
    ),
  ];
}

/** Every row is in one state. */
function ledger(data: ReportData, show: Show): HTMLElement {
  const states = STATES.map((state) => ({
    name: state,
    rows: data.states[state] ?? 0,
    style: `state-${state}`,
    onClick: () => {
      show({ state });
    },
  })).filter(({ rows }) => rows > 0);
  return element(
    'section',
    { 'aria-labelledby': 'ledger' },
    element('h2', { id: 'ledger' }, 'Rows by state'),
    ...(data.rows === 0 ? [element('p', { class: 'quiet' }, 'No rows yet.')] : shares(states, data.rows)),
  );
}

function changes(data: ReportData, show: Show): HTMLElement {
  const flagged = data.flags.filter(({ rows }) => rows > 0);
  const none = data.flags
    .filter(({ rows }) => rows === 0)
    .map(({ name }) => FLAG_TEXTS[name].title.toLowerCase());
  return element(
    'section',
    { 'aria-labelledby': 'changes' },
    element('h2', { id: 'changes' }, 'What changed'),
    element('p', {}, lengthSentence(data)),
    ...(flagged.length === 0
      ? []
      : [
          element(
            'table',
            { class: 'flags' },
            tableHead(
              'New answers',
              ...['Rows', 'Share'].map((name) => element('th', { scope: 'col', class: 'right' }, name)),
            ),
            element('tbody', {}, ...flagged.map((flag) => flagRow(flag, show))),
          ),
        ]),
    element(
      'p',
      { class: 'quiet' },
      [
        none.length === 0 || data.lengths.new === null ? '' : `Checked and not found: ${none.join(', ')}.`,
        data.compared === 0
          ? 'No row has both an old and a new answer to compare.'
          : `Comparisons cover the ${data.compared === 1 ? 'one row that has' : `${number(data.compared)} rows that have`} an old and a new answer.`,
      ]
        .filter((sentence) => sentence !== '')
        .join(' '),
    ),
  );
}

function flagRow({ name, rows, of }: ReportData['flags'][number], show: Show): HTMLElement {
  const { title, text } = FLAG_TEXTS[name];
  const link = element(
    'button',
    {
      type: 'button',
      class: 'link',
      onclick: () => {
        show({ flag: name });
      },
    },
    title,
  );
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, link, element('span', { class: 'quiet' }, text)),
    element('td', { class: 'right' }, number(rows)),
    element('td', { class: 'right' }, percent(rows, of)),
  );
}

function lengthSentence({ lengths, compared, states }: ReportData): string {
  const { old, new: now } = lengths;
  if (now === null) return `There are no new answers${(states.pending ?? 0) > 0 ? ' yet' : ''}.`;
  const size = `the median new answer has ${number(now.median)} characters (p95 ${number(now.p95)})`;
  if (old === null || compared === 0 || old.median === 0)
    return `There are no old answers to compare with: ${size}.`;
  const factor = now.median / old.median;
  const sizes = `${size}, the median old one ${number(old.median)} (p95 ${number(old.p95)})`;
  if (factor > 0.95 && factor < 1.05) return `Answers kept their length: ${sizes}.`;
  return factor > 1
    ? `Answers grew: ${sizes}, ×${factor.toFixed(1)}.`
    : `Answers shrank: ${sizes}, ×${factor.toFixed(2)}.`;
}

/** `73.0 % (95 % confidence: 65.1 % to 79.5 %)` */
export function winText({ winRate, interval }: Pick<Judged, 'winRate' | 'interval'>): string {
  const inPercent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  if (winRate === null || interval === null) return 'nothing decided';
  return `${inPercent(winRate)} (95 % confidence: ${inPercent(interval[0])} to ${inPercent(interval[1])})`;
}

function judgement(judge: Judged): HTMLElement {
  const { rows, wins, ties, losses, undecided, winRate, interval } = judge;
  const parts = [
    { name: wins === 1 ? 'new win' : 'new wins', rows: wins, style: 'state-ok' },
    { name: ties === 1 ? 'tie' : 'ties', rows: ties, style: 'state-pending' },
    { name: losses === 1 ? 'old win' : 'old wins', rows: losses, style: 'state-failed' },
  ].filter((part) => part.rows > 0);
  const pairs = rows === 1 ? '1 pair' : `${number(rows)} pairs`;
  const isClear = interval !== null && isSignificant(interval);
  const found =
    winRate === null
      ? 'No pair was decided.'
      : `The new answers win ${winText(judge)}` + (isClear ? '.' : `: not significant with ${pairs}.`);
  const rest = undecided > 0 ? [element('li', { class: 'quiet' }, `${number(undecided)} undecided`)] : [];
  return element(
    'section',
    { 'aria-labelledby': 'judge' },
    element('h2', { id: 'judge' }, 'LLM-as-a-judge'),
    element(
      'p',
      {},
      element('bdi', {}, judge.annotator),
      ` compared ${pairs} of answers, blind and in both orders. ${found}`,
    ),
    ...shares(parts, rows, rest),
  );
}

function charts(data: ReportData): HTMLElement {
  const { time, batches, reasoningLengths: reasoning } = data;
  const drawn: HTMLElement[] = [];
  if (hasCounts(data.oldLengths) || hasCounts(data.newLengths))
    drawn.push(lengthChart(data.oldLengths, data.newLengths, lengthSentence(data)));
  if (hasCounts(data.ratios)) drawn.push(ratioChart(data.ratios));
  if (reasoning !== null) drawn.push(reasoningChart(reasoning));
  // A run of one step has nothing to show over time.
  if (time !== null && time.steps.length > 1) {
    // Batches answer all at once, when they end.
    if (time.steps.some(({ median }) => median !== null))
      drawn.push(throughputChart(time), latencyChart(time));
    if (time.steps.some(({ spent }) => spent !== null)) drawn.push(costChart(time));
  }
  if (data.finishReasons.length > 0) drawn.push(barList('Finish reasons', data.finishReasons));
  if (batches.length > 0) drawn.push(batchList(batches));
  drawn.push(...data.tables.map(smallTable));
  const missing =
    time === null && batches.length === 0
      ? element('p', { class: 'quiet below' }, 'Throughput and latency over time were not recorded.')
      : null;
  return element(
    'section',
    { 'aria-labelledby': 'charts' },
    element('h2', { id: 'charts' }, 'Charts'),
    element('div', { class: 'charts' }, ...drawn),
    missing,
  );
}

function batchList(batches: ReportData['batches']): HTMLElement {
  const more = batches.length > MOST_BATCHES ? ` (first ${MOST_BATCHES} of ${number(batches.length)})` : '';
  return barList(
    `Batch durations, in minutes${more}`,
    batches
      .slice(0, MOST_BATCHES)
      .map(({ id, status, queued, worked }) => [`${id.slice(-8)} ${status}`, (queued ?? 0) + (worked ?? 0)]),
    'min',
  );
}

export function smallTable({ title, head, rows }: ReportTable): HTMLElement {
  return element(
    'figure',
    { class: 'chart' },
    element('figcaption', {}, element('h3', {}, title)),
    element(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': title },
      element(
        'table',
        {},
        tableHead(...head),
        element(
          'tbody',
          {},
          ...rows.map(([name = '', ...cells]) =>
            element(
              'tr',
              {},
              element('th', { scope: 'row' }, element('bdi', {}, name)),
              ...cells.map((cell) => element('td', {}, cell)),
            ),
          ),
        ),
      ),
    ),
  );
}

function details(data: ReportData): HTMLElement {
  const entries: (readonly [string, string])[] = [
    ...data.parameters,
    ['reannotate', data.version],
    ['report made', `${data.made.slice(0, 16).replace('T', ' ')} UTC`],
  ];
  return element(
    'section',
    { 'aria-labelledby': 'parameters' },
    element('h2', { id: 'parameters' }, 'Model and parameters'),
    element(
      'details',
      {},
      element('summary', {}, `${data.annotator}: settings of the run`),
      element(
        'dl',
        { class: 'parameters' },
        ...entries.flatMap(([name, value]) => [
          element('dt', {}, name),
          element('dd', {}, element('bdi', {}, value)),
        ]),
      ),
    ),
  );
}
