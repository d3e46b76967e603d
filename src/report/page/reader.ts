/** The reader: a list of rows, and one of them. */

import type { ReportData, ShownRow } from '../data.js';
import { copy, copyButton } from './copy.js';
import { element, number } from './dom.js';
import { Filters } from './filters.js';
import {
  hashOf,
  listed,
  NO_FILTER,
  readLook,
  sharedWords,
  startOf,
  VIEWS,
  type Look,
  type View,
} from './look.js';
import { Marks, type MarkKind } from './marks.js';
import { reviewOf, toggleMark } from './review.js';
import { rowView } from './row-view.js';
import { PatternSearch } from './search.js';

/** What the reader shows, of one run or of several. */
export type ReaderData = Pick<ReportData, 'rows' | 'shown' | 'choice' | 'hub' | 'flags'> & {
  /** Null where nothing is marked: the rows of several runs. */
  marked: { id: string; run: string } | null;
  /** The command that makes a page with more rows; null where there is none. */
  command: string | null;
  /** What the runs are called, where there are several. */
  labels: readonly string[];
};

export class Reader {
  readonly root: HTMLElement;
  #look = readLook(location.hash);
  #rows: ShownRow[] = [];
  #isMonospaced = false;
  /** What the regular expression in the search field found. */
  #found: { pattern: string; rows: ReadonlySet<number> } | null = null;
  #problem = '';
  #shared: { start: number; end: number };
  /** What the row that is shown looked like: it is only drawn again where it changed. */
  #drawn = '';
  readonly #marks: Marks;
  readonly #search: PatternSearch;
  #filters: Filters;
  readonly #list = element('ol', { class: 'rows', 'aria-label': 'Rows', tabindex: 0 });
  readonly #detail = element('article', { class: 'row', tabindex: -1, 'aria-label': 'Row' });
  readonly #count = element('p', { class: 'quiet', role: 'status' });
  readonly #choice = element('p', { class: 'quiet' });
  readonly #saved = element('div', { class: 'saved' });

  constructor(private data: ReaderData) {
    this.#marks = new Marks(data.marked?.id ?? null);
    this.#search = new PatternSearch(data.shown);
    this.#filters = this.#newFilters();
    this.#shared = sharedWords(data.shown);
    this.root = element(
      'section',
      { class: 'reader', 'aria-labelledby': 'reader' },
      element('h2', { id: 'reader' }, 'Old and new answers'),
      this.#choice,
      this.#filters.root,
      this.#count,
      this.#saved,
      element('div', { class: 'panes' }, this.#list, this.#detail),
    );
    window.addEventListener('hashchange', () => {
      this.#look = readLook(location.hash);
      this.#show();
      this.reveal();
    });
    this.#show();
  }

  /** Shows the rows of a report that was made again; the row that is read stays. */
  update(data: ReaderData): void {
    this.data = data;
    this.#search.update(data.shown);
    this.#found = null;
    this.#shared = sharedWords(data.shown);
    const { search } = this.#filters;
    const isTyping = this.#filters.root.contains(document.activeElement);
    if (!isTyping) {
      const filters = this.#newFilters();
      filters.isOpen = this.#filters.isOpen;
      this.#filters.root.replaceWith(filters.root);
      this.#filters = filters;
    } else search.focus();
    const { scrollTop } = this.#list;
    this.#show();
    this.#list.scrollTop = scrollTop;
  }

  /** Scrolls to the row that the address names, if it names one. */
  reveal(): void {
    if (new URLSearchParams(location.hash.slice(1)).get('row') === null) return;
    this.#detail.scrollIntoView();
    this.#detail.focus({ preventScroll: true });
    this.#list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }

  /** Shows the rows of a filter and goes to them. */
  filter(filter: { state?: string; flag?: string }): void {
    this.#goTo({ ...NO_FILTER, ...filter, row: '' });
    this.focusSearch();
  }

  /** The row after or before the one that is shown. */
  step(by: number): void {
    const place = this.#rows.findIndex(({ row }) => String(row) === this.#look.row);
    const next = this.#rows[Math.max(0, Math.min(this.#rows.length - 1, place + by))];
    if (next === undefined) return;
    this.#change({ row: String(next.row) });
    this.#list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }

  focusSearch(): void {
    this.root.scrollIntoView();
    this.#filters.search.focus({ preventScroll: true });
    this.#filters.search.select();
  }

  /** The next way to look at a row. */
  turn(): void {
    const place = VIEWS.findIndex(([view]) => view === this.#view);
    this.#change({ view: (VIEWS[(place + 1) % VIEWS.length] ?? VIEWS[0])[0] });
  }

  switchFont(): void {
    this.#isMonospaced = !this.#isMonospaced;
    this.#show();
  }

  /** Marks the row that is shown. */
  mark(kind: MarkKind): void {
    const one = this.#current;
    if (one === undefined || this.data.marked === null) return;
    toggleMark(one, this.#marks, kind);
    this.#show();
  }

  /** Copies the new answer of the row that is shown. */
  copyAnswer(): void {
    const text = this.#current?.new ?? null;
    if (text !== null) void copy(text);
  }

  get #view(): View {
    return VIEWS.find(([name]) => name === this.#look.view)?.[0] ?? 'differences';
  }

  get #current(): ShownRow | undefined {
    return this.data.shown.find(({ row }) => String(row) === this.#look.row);
  }

  #newFilters(): Filters {
    const { shown, flags, marked } = this.data;
    return new Filters({ rows: shown, flags, hasMarks: marked !== null }, (change) => {
      this.#change({ ...change, row: '' });
    });
  }

  #change(change: Partial<Look>): void {
    this.#look = { ...this.#look, ...change };
    this.#show();
    history.replaceState(null, '', hashOf(this.#look));
  }

  /** The same as a step that the browser's back button takes back: a click, and no key of many. */
  #goTo(change: Partial<Look>): void {
    // The present look has its address, the row that was chosen for it included.
    history.replaceState(null, '', hashOf(this.#look));
    history.pushState(null, '', hashOf({ ...this.#look, ...change }));
    this.#change(change);
  }

  #show(): void {
    const { look } = { look: this.#look };
    this.#filters.show(look);
    this.#findPattern();
    const found = this.#found?.pattern === look.q ? this.#found.rows : null;
    this.#rows = listed(this.data.shown, look, (row) => this.#marks.of(row), found);
    const [first] = this.#rows;
    if (look.row === '' && first !== undefined) look.row = String(first.row);
    const total = this.data.shown.length;
    this.#choice.textContent = this.data.choice;
    this.#count.textContent =
      this.#problem === ''
        ? `${number(this.#rows.length)} of ${number(total)} ${total === 1 ? 'row' : 'rows'}`
        : this.#problem;
    keepFocus(this.#list, () => {
      this.#list.replaceChildren(...this.#rows.map((one) => this.#entry(one)));
    });
    this.#showSaved();
    this.#showRow();
  }

  /** Starts a search by a regular expression unless its result is there. */
  #findPattern(): void {
    const { q: pattern, re } = this.#look;
    if (re === '' || pattern === '') this.#problem = '';
    if (re === '' || pattern === '' || this.#found?.pattern === pattern) return;
    this.#search.find(pattern, (found) => {
      this.#problem = 'problem' in found ? found.problem : '';
      // Until it can be used, it finds nothing.
      this.#found = { pattern, rows: 'rows' in found ? found.rows : new Set() };
      this.#look.row = '';
      this.#show();
    });
  }

  #showRow(): void {
    const one = this.#current;
    const mark = one === undefined ? null : this.#marks.of(one.row);
    const { comment: _, ...shown } = mark ?? { comment: '' };
    const key = JSON.stringify([
      one ?? this.#look.row,
      this.#view,
      this.#isMonospaced,
      shown,
      this.#rows.length === 0,
    ]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const actions = {
      view: this.#view,
      isMonospaced: this.#isMonospaced,
      labels: this.data.labels,
      onView: (view: View) => {
        this.#change({ view });
      },
      onMonospace: () => {
        this.switchFont();
      },
    };
    keepFocus(this.#detail, () => {
      this.#detail.replaceChildren(
        ...(one === undefined
          ? this.#nothing()
          : rowView(one, this.data, {
              ...actions,
              review:
                this.data.marked === null
                  ? null
                  : reviewOf(one, this.#marks, () => {
                      this.#show();
                    }),
            })),
      );
    });
  }

  #nothing(): HTMLElement[] {
    const row = this.#look.row === '' ? NaN : Number(this.#look.row);
    if (!Number.isSafeInteger(row) || row < 0 || row >= this.data.rows) {
      const isFiltered = this.data.shown.length > 0;
      const clear = element(
        'button',
        {
          type: 'button',
          class: 'link',
          onclick: () => {
            this.#goTo({ ...NO_FILTER, row: '' });
          },
        },
        'Clear filters',
      );
      return [
        element(
          'p',
          { class: 'quiet' },
          Number.isSafeInteger(row) && row >= 0
            ? `There is no row ${number(row)}: rows are counted from 0, and this run has ${number(this.data.rows)}. `
            : isFiltered
              ? 'No matching rows. '
              : 'There are no rows to show yet.',
          isFiltered ? clear : null,
        ),
      ];
    }
    if (this.data.command === null)
      return [element('p', { class: 'quiet' }, `Row ${row} is not on this page.`)];
    const command = `${this.data.command} ${row}`;
    return [
      element('p', { class: 'quiet' }, `Row ${row} is not on this page. This command makes a page with it:`),
      element('div', { class: 'heading' }, element('code', {}, command), copyButton('command', command)),
    ];
  }

  #entry(one: ShownRow): HTMLElement {
    const { mark, comment } = this.#marks.of(one.row);
    return element(
      'li',
      {},
      element(
        'button',
        {
          type: 'button',
          'aria-current': String(one.row) === this.#look.row ? 'true' : null,
          onclick: () => {
            this.#goTo({ row: String(one.row) });
          },
        },
        element('i', { class: `mark state-${one.state}`, title: one.state, 'aria-hidden': 'true' }),
        element('span', { class: 'row-number' }, String(one.row)),
        element('span', { class: 'start', dir: 'auto' }, startOf(one.prompt, this.#shared)),
        mark === null && comment === ''
          ? null
          : element('span', { class: 'marked', title: mark ?? 'comment' }, SIGNS[mark ?? 'comment']),
      ),
    );
  }

  /** How many marks there are, and the way to save them. */
  #showSaved(): void {
    const { size, isKept } = this.#marks;
    if (size === 0) {
      this.#saved.replaceChildren();
      return;
    }
    const save = element(
      'button',
      {
        type: 'button',
        class: 'link',
        onclick: () => {
          download(`${this.data.marked?.run ?? 'rows'}-review.jsonl`, this.#marks.lines);
        },
      },
      'Save as JSONL',
    );
    const note = isKept ? '' : ' This browser does not keep them; save them before you close the page.';
    this.#saved.replaceChildren(
      element(
        'p',
        { class: 'quiet' },
        `You reviewed ${number(size)} ${size === 1 ? 'row' : 'rows'}.${note} `,
        save,
      ),
    );
  }
}

/** Draws a part of the page again; what had the focus in it is found by its text. */
function keepFocus(root: HTMLElement, draw: () => void): void {
  const focused = document.activeElement;
  const text = focused instanceof HTMLButtonElement && root.contains(focused) ? focused.textContent : null;
  draw();
  if (text === null) return;
  const again = [...root.querySelectorAll('button')].find((button) => button.textContent === text);
  again?.focus({ preventScroll: true });
}

const SIGNS: Readonly<Record<MarkKind | 'comment', string>> = {
  accept: '✓',
  reject: '✗',
  edit: '✎',
  comment: '…',
};

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'application/jsonl' }));
  element('a', { href: address, download: name }).click();
  setTimeout(() => {
    URL.revokeObjectURL(address);
  }, 1000);
}
