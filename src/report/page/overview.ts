import type { ReportData } from '../data.js';
import type { FlagName } from '../flags.js';
import { barList, latencyChart, lengthChart, ratioChart, throughputChart } from './charts.js';
import { element, number, percent } from './dom.js';

/** What each flag means, for people. */
export const FLAG_TEXTS: Readonly<Record<FlagName, { title: string; text: string }>> = {
  empty: { title: 'Empty', text: 'the new answer holds no text' },
  refusal: { title: 'Refusal', text: 'the new answer refuses, as its state or its first words say' },
  truncated: { title: 'Truncated', text: 'the new answer ended at --max_tokens' },
  disagrees: { title: 'Other answer', text: 'the final answer is not that of the original (--check answer)' },
  identical: { title: 'Nearly identical', text: 'at least 90 % of neighbouring words are the same' },
  'lost code': {
    title: 'Lost code block',
    text: 'the old answer had a fenced code block, the new one has none',
  },
  'new script': { title: 'Other script', text: 'most letters belong to another script' },
  'new language': { title: 'Other language', text: 'a guess by frequent words of seven European languages' },
};

const STATES = ['ok', 'truncated', 'refused', 'filtered', 'failed', 'pending'] as const;

/** Everything above the reader. */
export function overview(
  data: ReportData,
  show: (filter: { state?: string; flag?: string }) => void,
): HTMLElement[] {
  const parts = [header(data), ledger(data, show), changes(data, show)];
  if (data.judge !== null) parts.push(judgement(data));
  parts.push(charts(data), details(data));
  return parts;
}

function header(data: ReportData): HTMLElement {
  return element(
    'header',
    {},
    element(
      'div',
      { class: 'title' },
      element(
        'h1',
        {},
        element('bdi', {}, data.dataset),
        element('span', { class: 'arrow', 'aria-label': 'annotated by' }, ' → '),
        element('bdi', {}, data.annotator),
      ),
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

/** Every row is in one state. */
function ledger(data: ReportData, show: (filter: { state: string }) => void): HTMLElement {
  const states = STATES.map((state) => ({ state, rows: data.states[state] ?? 0 })).filter(
    ({ rows }) => rows > 0,
  );
  const said = states.map(({ state, rows }) => `${number(rows)} ${state}`).join(', ');
  return element(
    'section',
    { 'aria-labelledby': 'ledger' },
    element('h2', { id: 'ledger' }, 'Rows by state'),
    element(
      'div',
      { class: 'ledger', role: 'img', 'aria-label': said },
      ...states.map(({ state, rows }) => {
        const part = element('span', { class: `state-${state}`, title: `${number(rows)} ${state}` });
        part.style.flexGrow = String(rows);
        return part;
      }),
    ),
    element(
      'ul',
      { class: 'keys' },
      ...states.map(({ state, rows }) =>
        element(
          'li',
          {},
          element('i', { class: `mark state-${state}` }),
          element(
            'button',
            {
              type: 'button',
              class: 'link',
              onclick: () => {
                show({ state });
              },
            },
            `${number(rows)} ${state}`,
          ),
          ` (${percent(rows, data.rows)})`,
        ),
      ),
    ),
  );
}

function changes(data: ReportData, show: (filter: { flag: string }) => void): HTMLElement {
  return element(
    'section',
    { 'aria-labelledby': 'changes' },
    element('h2', { id: 'changes' }, 'What changed'),
    element('p', {}, lengthSentence(data)),
    element(
      'table',
      { class: 'flags' },
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          element('th', { scope: 'col' }, 'New answers that are'),
          element('th', { scope: 'col', class: 'right' }, 'Rows'),
          element('th', { scope: 'col', class: 'right' }, 'Share'),
          element('th', { scope: 'col' }, 'Which means'),
        ),
      ),
      element(
        'tbody',
        {},
        ...data.flags.map(({ name, rows }) =>
          element(
            'tr',
            { class: rows === 0 ? 'none' : null },
            element(
              'th',
              { scope: 'row' },
              rows === 0
                ? FLAG_TEXTS[name].title
                : element(
                    'button',
                    {
                      type: 'button',
                      class: 'link',
                      onclick: () => {
                        show({ flag: name });
                      },
                    },
                    FLAG_TEXTS[name].title,
                  ),
            ),
            element('td', { class: 'right' }, number(rows)),
            element('td', { class: 'right' }, percent(rows, data.compared)),
            element('td', { class: 'quiet' }, FLAG_TEXTS[name].text),
          ),
        ),
      ),
    ),
    element('p', { class: 'quiet' }, `Of ${number(data.compared)} rows that have an old and a new answer.`),
  );
}

function lengthSentence({ medians }: ReportData): string {
  const { old, new: now } = medians;
  if (old === null || now === null || old === 0)
    return 'Lengths cannot be compared: old or new answers are missing.';
  const factor = now / old;
  const sizes = `the median answer has ${number(now)} characters, the old one had ${number(old)}`;
  if (factor > 0.95 && factor < 1.05) return `Answers kept their length: ${sizes}.`;
  return factor > 1
    ? `Answers grew: ${sizes} (×${factor.toFixed(1)}).`
    : `Answers shrank: ${sizes} (×${factor.toFixed(2)}).`;
}

function judgement({ judge }: ReportData): HTMLElement {
  if (judge === null) return element('section');
  const { wins, ties, losses, undecided, winRate: rate, interval } = judge;
  const inPercent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const parts = [
    { name: 'new is better', rows: wins, style: 'state-ok' },
    { name: 'tie', rows: ties, style: 'state-pending' },
    { name: 'old is better', rows: losses, style: 'state-failed' },
  ].filter(({ rows }) => rows > 0);
  const isClear = interval !== null && (interval[0] > 0.5 || interval[1] < 0.5);
  return element(
    'section',
    { 'aria-labelledby': 'judge' },
    element('h2', { id: 'judge' }, 'A second opinion'),
    element(
      'p',
      {},
      element('bdi', {}, judge.annotator),
      ` compared ${number(judge.rows)} pairs of answers, blind and in both orders. `,
      rate === null || interval === null
        ? 'Nothing was decided.'
        : `The new answers win ${inPercent(rate)} (95 % confidence: ${inPercent(interval[0])} to ${inPercent(interval[1])})` +
            (isClear ? '.' : ': no difference is shown by so many pairs.'),
    ),
    element(
      'div',
      {
        class: 'ledger',
        role: 'img',
        'aria-label': parts.map(({ name, rows }) => `${name}: ${rows}`).join(', '),
      },
      ...parts.map(({ name, rows, style }) => {
        const part = element('span', { class: style, title: `${name}: ${rows}` });
        part.style.flexGrow = String(rows);
        return part;
      }),
    ),
    element(
      'ul',
      { class: 'keys' },
      ...parts.map(({ name, rows, style }) =>
        element('li', {}, element('i', { class: `mark ${style}` }), `${number(rows)} ${name}`),
      ),
      ...(undecided > 0 ? [element('li', { class: 'quiet' }, `${number(undecided)} undecided`)] : []),
    ),
  );
}

function charts(data: ReportData): HTMLElement {
  const drawn = [lengthChart(data.oldLengths, data.newLengths, lengthSentence(data))];
  if (data.ratios.counts.some((rows) => rows > 0)) drawn.push(ratioChart(data.ratios));
  if (data.timeline !== null) drawn.push(throughputChart(data.timeline), latencyChart(data.timeline));
  drawn.push(barList('How answers ended', data.finishReasons));
  if (data.batches.length > 0) {
    drawn.push(
      barList(
        'Minutes that batches took',
        data.batches
          .slice(0, 30)
          .map(({ id, status, queued, worked }) => [
            `${id.slice(-8)} ${status}`,
            (queued ?? 0) + (worked ?? 0),
          ]),
        'min',
      ),
    );
  }
  const missing =
    data.timeline === null && data.batches.length === 0
      ? element('p', { class: 'quiet' }, 'Throughput and latency over time were not recorded for this run.')
      : null;
  return element(
    'section',
    { 'aria-labelledby': 'charts' },
    element('h2', { id: 'charts' }, 'In figures'),
    element('div', { class: 'charts' }, ...drawn),
    missing,
  );
}

function details(data: ReportData): HTMLElement {
  const entries: (readonly [string, string])[] = [
    ...data.models.map(([model, answers]) => [`model ${model}`, `${number(answers)} answers`] as const),
    ...data.parameters,
    ['reannotate', data.version],
    ['report made', data.made.slice(0, 16).replace('T', ' ') + ' UTC'],
  ];
  return element(
    'section',
    { 'aria-labelledby': 'parameters' },
    element('h2', { id: 'parameters' }, 'Model and parameters'),
    element(
      'details',
      {},
      element(
        'summary',
        {},
        `${data.models.map(([model]) => model).join(', ') || data.annotator}, and how it was asked`,
      ),
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
