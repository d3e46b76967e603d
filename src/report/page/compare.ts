/** The page of several runs: figures side by side above the reader. */

import type { ComparisonData, HeadToHead } from '../data.js';
import { comparedLengths, hasCounts } from './charts.js';
import { element, number, percent } from './dom.js';

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
    ...(wins.length === 0 ? [] : [section('wins', 'Head to head', headToHead(data))]),
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
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          element('th', { scope: 'col' }, head),
          ...labels.map((label) => element('th', { scope: 'col' }, element('bdi', {}, label))),
        ),
      ),
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
