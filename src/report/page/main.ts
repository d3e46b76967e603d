/** The script of a report's page: everything is drawn from the data that the page holds. */

import type { ReportData } from '../data.js';
import { redrawCharts } from './charts.js';
import { element } from './dom.js';
import { overview } from './overview.js';
import { Reader } from './reader.js';

const KEYS: readonly (readonly [key: string, what: string])[] = [
  ['j', 'next row'],
  ['k', 'row before'],
  ['v', 'differences, rendered, text'],
  ['/', 'search'],
  ['t', 'light or dark'],
  ['?', 'these keys'],
];

const data = JSON.parse(document.getElementById('data')?.textContent ?? '') as ReportData;
const reader = new Reader(data);
const help = element(
  'dialog',
  { 'aria-labelledby': 'keys' },
  element('h2', { id: 'keys' }, 'Keys'),
  element(
    'dl',
    {},
    ...KEYS.flatMap(([key, what]) => [element('dt', {}, element('kbd', {}, key)), element('dd', {}, what)]),
  ),
  element('form', { method: 'dialog' }, element('button', {}, 'Close')),
);
const tools = element(
  'nav',
  { class: 'tools', 'aria-label': 'Page' },
  element(
    'a',
    {
      href: '#reader',
      onclick: (event) => {
        event.preventDefault();
        reader.focusSearch();
      },
    },
    'Read answers',
  ),
  element('button', { type: 'button', onclick: switchTheme }, 'Light or dark'),
  element(
    'button',
    {
      type: 'button',
      onclick: () => {
        help.showModal();
      },
    },
    'Keys',
  ),
);

document.getElementById('report')?.append(
  tools,
  ...overview(data, (filter) => {
    reader.filter(filter);
  }),
  reader.root,
  help,
);

function switchTheme(): void {
  const isDark = getComputedStyle(document.documentElement).getPropertyValue('--is-dark').trim() === '1';
  document.documentElement.dataset['theme'] = isDark ? 'light' : 'dark';
  redrawCharts();
}

document.addEventListener('keydown', (event) => {
  const { target } = event;
  const isTyping = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
  if (event.key === 'Escape' && isTyping) target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const actions: Record<string, () => void> = {
    j: () => {
      reader.step(1);
    },
    k: () => {
      reader.step(-1);
    },
    v: () => {
      reader.turn();
    },
    '/': () => {
      reader.focusSearch();
    },
    t: switchTheme,
    '?': () => {
      help.showModal();
    },
  };
  const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
  if (action === undefined) return;
  event.preventDefault();
  action();
});

let resizing = 0;
window.addEventListener('resize', () => {
  clearTimeout(resizing);
  resizing = window.setTimeout(redrawCharts, 150);
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawCharts);
