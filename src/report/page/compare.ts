/** The page of several runs: figures side by side above the reader. */

import { isSignificant } from '../../judge/interval.js';
import type { ComparisonData, HeadToHead } from '../data.js';
import { comparedLengths, hasCounts } from './charts.js';
import { element, number, percent, tableHead } from './dom.js';

export function comparison(data: ComparisonData): HTMLElement[] {
  const { lengths, wins, parameters } = data;
  return [
    element(
      'header',
      {},
      element(
        'h1',
        {},
        element('bdi', {}, data.dataset),
        element('span', { class: 'arrow' }, ` → ${data.labels.length} runs`),
      ),
    ),
    section('figures', 'Side by side', table('Figure', data.labels, data.figures)),
    ...(data.ranking.length === 0 ? [] : [section('ranking', 'Ranking', ranking(data))]),
    ...(data.matches.length === 0 ? [] : [section('matches', 'Judged against each other', matches(data))]),
    ...(wins.length === 0 ? [] : [section('wins', 'Judged against the old answers', headToHead(data))]),
    ...(lengths.some(({ of }) => hasCounts(of))
      ? [section('charts', 'Charts', element('div', { class: 'charts' }, comparedLengths(lengths)))]
      : []),
    ...(parameters.length === 0
      ? []
      : [section('parameters', 'Settings that differ', table('Setting', data.labels, parameters))]),
    element(
      'p',
      { class: 'quiet' },
      `reannotate ${data.version}, ${data.made.slice(0, 16).replace('T', ' ')} UTC`,
    ),
  ];
}

function section(id: string, title: string, ...content: HTMLElement[]): HTMLElement {
  return element('section', { 'aria-labelledby': id }, element('h2', { id }, title), ...content);
}

function table(head: string, labels: readonly string[], rows: readonly (readonly string[])[]): HTMLElement {
  return element(
    'div',
    { class: 'scroll wide', tabindex: 0, role: 'region', 'aria-label': head },
    element(
      'table',
      { class: 'flags' },
      tableHead(head, ...labels.map((label) => element('th', { scope: 'col' }, element('bdi', {}, label)))),
      element(
        'tbody',
        {},
        ...rows.map(([title = '', ...values]) =>
          element(
            'tr',
            {},
            element('th', { scope: 'row' }, title),
            ...values.map((value) => element('td', {}, element('bdi', {}, value))),
          ),
        ),
      ),
    ),
  );
}

/** As `reannotate compare` ranks them. */
function ranking({ ranking: ranked, labels }: ComparisonData): HTMLElement {
  const rows = ranked.map(({ run, rating, interval: [low, high], wins, ties, losses }, place) => [
    `${place + 1}. ${labels[run] ?? ''}`,
    number(Math.round(rating)),
    `${number(Math.round(low))} to ${number(Math.round(high))}`,
    ...[wins, ties, losses].map(number),
  ]);
  return element(
    'div',
    {},
    table('Run', ['rating', '95 %', 'wins', 'ties', 'losses'], rows),
    element(
      'p',
      { class: 'quiet' },
      'Bradley–Terry ratings on the scale of Elo, where 1000 is the average. Overlapping intervals mean that the sample is ' +
        'too small to tell.',
    ),
  );
}

function matches({ matches: all, labels }: ComparisonData): HTMLElement {
  const name = (place: number): string => labels[place] ?? '';
  const rows = all.map(({ one, other, wins, ties, losses, winRate, interval }) => {
    const [low, high] = interval ?? [0, 1];
    const range = `${percent(low, 1)} to ${percent(high, 1)}`;
    return [
      `${name(one)} against ${name(other)}`,
      ...[wins, ties, losses].map(number),
      winRate === null
        ? 'nothing decided'
        : `${percent(winRate, 1)} (${range}${isSignificant([low, high]) ? '' : ', not significant'})`,
    ];
  });
  return element(
    'div',
    {},
    table('Runs', ['wins', 'ties', 'losses', 'win rate (95 %)'], rows),
    element(
      'p',
      { class: 'quiet' },
      'A judge compared the two answers to the same row, blind and in both orders. Ties count as half a win.',
    ),
  );
}

function headToHead({ wins, labels }: ComparisonData): HTMLElement {
  const name = (place: number): string => labels[place] ?? '';
  const line = ({ one, other, wins: won, ties, losses }: HeadToHead): string[] => {
    const all = won + ties + losses;
    return [
      `${name(one)} against ${name(other)}`,
      `${number(won)} (${percent(won, all)})`,
      `${number(ties)} (${percent(ties, all)})`,
      `${number(losses)} (${percent(losses, all)})`,
    ];
  };
  return element(
    'div',
    {},
    table('Runs', ['wins', 'ties', 'losses'], wins.map(line)),
    element(
      'p',
      { class: 'quiet' },
      'On the rows that a judge compared with the old answer in both runs: an answer that beat the old one wins over one that ' +
        'did not.',
    ),
  );
}
