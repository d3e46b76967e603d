/** The script of a report's page: everything is drawn from the data that the page holds. */

import type { ComparisonData, ReportData } from '../data.js';
import { forgetCharts, redrawCharts } from './charts.js';
import { comparison } from './compare.js';
import { element } from './dom.js';
import { follow, liveStatus } from './live.js';
import { overview } from './overview.js';
import { Reader, type ReaderData } from './reader.js';

const data = JSON.parse(document.getElementById('data')?.textContent ?? '') as ReportData | ComparisonData;
const reader = new Reader(readerData(data));

function readerData(of: ReportData | ComparisonData): ReaderData {
  return of.kind === 'run'
    ? { ...of, marked: { id: of.id, run: of.run }, labels: [] }
    : { ...of, marked: null, labels: of.labels, command: null, flags: flagsOf(of) };
}

/** The flags that some of the rows have. */
function flagsOf({ shown }: ComparisonData): ReportData['flags'] {
  return [...new Set(shown.flatMap(({ flags }) => flags))].map((name) => ({ name, rows: 1, of: 1 }));
}

interface Key {
  key: string;
  what: string;
  does: () => void;
}

const KEYS: readonly Key[] = [
  {
    key: 'j',
    what: 'next row',
    does: () => {
      reader.step(1);
    },
  },
  {
    key: 'k',
    what: 'previous row',
    does: () => {
      reader.step(-1);
    },
  },
  {
    key: 'v',
    what: 'differences, Markdown, plain text',
    does: () => {
      reader.turn();
    },
  },
  {
    key: 'm',
    what: 'monospace',
    does: () => {
      reader.switchFont();
    },
  },
  {
    key: 'c',
    what: 'copy the new answer',
    does: () => {
      reader.copyAnswer();
    },
  },
  {
    key: 'a',
    what: 'accept',
    does: () => {
      reader.mark('accept');
    },
  },
  {
    key: 'x',
    what: 'reject',
    does: () => {
      reader.mark('reject');
    },
  },
  {
    key: 'e',
    what: 'edit',
    does: () => {
      reader.mark('edit');
    },
  },
  {
    key: '/',
    what: 'search',
    does: () => {
      reader.focusSearch();
    },
  },
  { key: 't', what: 'light or dark', does: switchTheme },
  {
    key: '?',
    what: 'these keys',
    does: () => {
      help.showModal();
    },
  },
];

const help = element(
  'dialog',
  { 'aria-labelledby': 'keys' },
  element('h2', { id: 'keys' }, 'Keys'),
  element(
    'dl',
    {},
    ...KEYS.flatMap(({ key, what }) => [element('dt', {}, element('kbd', {}, key)), element('dd', {}, what)]),
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
const top = element('div', { class: 'overview' });

/** Draws everything above the reader. */
function drawOverview(now: ReportData | ComparisonData): void {
  forgetCharts();
  top.replaceChildren(
    ...(now.kind === 'comparison'
      ? comparison(now)
      : overview(now, (filter) => {
          reader.filter(filter);
        })),
  );
}

drawOverview(data);
const root = document.getElementById('report');
root?.append(tools, top, reader.root, help);
const live = root?.dataset['live'];
if (live !== undefined && data.kind === 'run') {
  tools.before(liveStatus);
  void follow(live, data, (now) => {
    const open = new Set([...top.querySelectorAll('details[open] > summary')].map(keyOf));
    drawOverview(now);
    for (const summary of top.querySelectorAll('details > summary'))
      if (open.has(keyOf(summary))) summary.parentElement?.setAttribute('open', '');
    reader.update(readerData(now));
  });
}

/** What a part that can be opened is known by when it is drawn again. */
function keyOf(summary: Element): string {
  return `${summary.closest('figure')?.querySelector('h3')?.textContent ?? ''} ${summary.textContent}`;
}

// Charts are drawn in the next frame, and move what is below them.
requestAnimationFrame(() => {
  requestAnimationFrame(() => {
    reader.reveal();
  });
});

function isDark(): boolean {
  return getComputedStyle(document.documentElement).getPropertyValue('--is-dark').trim() === '1';
}

function setTheme(theme: string | undefined): void {
  if (theme === undefined) delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  redrawCharts();
}

function switchTheme(): void {
  setTheme(isDark() ? 'light' : 'dark');
}

let themeBeforePrint: string | undefined;
window.addEventListener('beforeprint', () => {
  themeBeforePrint = document.documentElement.dataset['theme'];
  setTheme('light');
});
window.addEventListener('afterprint', () => {
  setTheme(themeBeforePrint);
});

document.addEventListener('keydown', (event) => {
  const { target } = event;
  const isTyping =
    target instanceof HTMLInputElement ||
    target instanceof HTMLSelectElement ||
    target instanceof HTMLTextAreaElement;
  if (event.key === 'Escape' && isTyping) target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const found = KEYS.find(({ key }) => key === event.key);
  if (found === undefined) return;
  event.preventDefault();
  found.does();
});

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawCharts);
let resized: ReturnType<typeof setTimeout> | undefined;
window.addEventListener('resize', () => {
  clearTimeout(resized);
  resized = setTimeout(redrawCharts, 150);
});
