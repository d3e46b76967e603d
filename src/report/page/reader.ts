import { diffWordsWithSpace } from 'diff';
import DOMPurify from 'dompurify';
import { marked } from 'marked';
import type { ReportData, ShownRow } from '../data.js';
import { element, number, Passages, plainText, revealHidden } from './dom.js';
import { FLAG_TEXTS } from './overview.js';

/** Longer pairs are not compared word by word: it would take seconds. */
const DIFF_TIMEOUT_MS = 400;
const RENDER_TIMEOUT_MS = 1000;
const VIEWS = [
  ['differences', 'Differences'],
  ['rendered', 'Rendered'],
  ['text', 'Text'],
] as const;
type View = (typeof VIEWS)[number][0];

const SORTS: Readonly<Record<string, { title: string; key: (row: ShownRow) => number }>> = {
  row: { title: 'Dataset order', key: ({ row }) => row },
  changed: { title: 'changed most first', key: ({ change }) => -(change ?? -1) },
  same: { title: 'changed least first', key: ({ change }) => change ?? 2 },
  longer: { title: 'grew most first', key: ({ lengths }) => lengths.old - lengths.new },
  shorter: { title: 'shrank most first', key: ({ lengths }) => lengths.new - lengths.old },
};

/** What is looked at; it is in the address, so that it can be sent to somebody. */
interface Look {
  row: number | null;
  state: string;
  flag: string;
  sort: string;
  query: string;
  view: View;
}

export class Reader {
  readonly root: HTMLElement;
  #look: Look = { row: null, state: '', flag: '', sort: 'row', query: '', view: 'differences' };
  #found: ShownRow[] = [];
  readonly #list = element('ol', { class: 'rows', 'aria-label': 'Rows' });
  readonly #detail = element('article', { class: 'row', tabindex: -1, 'aria-live': 'polite' });
  readonly #count = element('p', { class: 'quiet', role: 'status' });
  readonly #search = element('input', {
    type: 'search',
    placeholder: 'Search prompts and answers',
    'aria-label': 'Search prompts and answers',
    oninput: () => {
      this.#change({ query: this.#search.value, row: null });
    },
  });
  readonly #state: HTMLSelectElement;
  readonly #flag: HTMLSelectElement;
  readonly #sort: HTMLSelectElement;

  constructor(private readonly data: ReportData) {
    const states = [...new Set(data.shown.map(({ state }) => state))];
    const flags = data.flags.filter(({ name }) => data.shown.some((row) => row.flags.includes(name)));
    this.#state = this.#select('State', 'state', [
      ['', 'all states'],
      ...states.map((state) => [state, state] as const),
    ]);
    this.#flag = this.#select('What is remarkable', 'flag', [
      ['', 'All flags'],
      ...flags.map(({ name }) => [name, FLAG_TEXTS[name].title] as const),
    ]);
    this.#sort = this.#select(
      'Order',
      'sort',
      Object.entries(SORTS).map(([name, { title }]) => [name, title] as const),
    );
    this.root = element(
      'section',
      { class: 'reader', 'aria-labelledby': 'reader' },
      element('h2', { id: 'reader' }, 'Old and new answers'),
      element('p', { class: 'quiet' }, data.choice),
      element('div', { class: 'filters', role: 'search' }, this.#search, this.#state, this.#flag, this.#sort),
      this.#count,
      element('div', { class: 'panes' }, this.#list, this.#detail),
    );
    window.addEventListener('hashchange', () => {
      this.#read();
    });
    this.#read();
  }

  /** Shows the rows of a filter and goes to them. */
  filter(filter: { state?: string; flag?: string }): void {
    this.#change({ state: '', flag: '', query: '', ...filter, row: null });
    this.root.scrollIntoView();
    this.#search.focus({ preventScroll: true });
  }

  /** The row after or before the one that is shown. */
  step(by: number): void {
    const place = this.#found.findIndex(({ row }) => row === this.#look.row);
    const next = this.#found[Math.max(0, Math.min(this.#found.length - 1, place + by))];
    if (next === undefined) return;
    this.#change({ row: next.row });
    this.#list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  }

  focusSearch(): void {
    this.root.scrollIntoView();
    this.#search.focus({ preventScroll: true });
    this.#search.select();
  }

  /** The next way to look at a row. */
  turn(): void {
    const place = VIEWS.findIndex(([view]) => view === this.#look.view);
    this.#change({ view: (VIEWS[(place + 1) % VIEWS.length] ?? VIEWS[0])[0] });
  }

  #select(
    label: string,
    name: 'state' | 'flag' | 'sort',
    entries: readonly (readonly [string, string])[],
  ): HTMLSelectElement {
    const made = element(
      'select',
      {
        'aria-label': label,
        onchange: () => {
          this.#change({ [name]: made.value, row: null });
        },
      },
      ...entries.map(([value, text]) => element('option', { value }, text)),
    );
    return made;
  }

  #change(change: Partial<Look>): void {
    this.#look = { ...this.#look, ...change };
    this.#show();
    const { row, state, flag, sort, query, view } = this.#look;
    const address = new URLSearchParams();
    if (row !== null) address.set('row', String(row));
    if (state !== '') address.set('state', state);
    if (flag !== '') address.set('flag', flag);
    if (sort !== 'row') address.set('sort', sort);
    if (query !== '') address.set('q', query);
    if (view !== 'differences') address.set('view', view);
    history.replaceState(null, '', `#${address.toString()}`);
  }

  #read(): void {
    const address = new URLSearchParams(location.hash.slice(1));
    const row = Number(address.get('row') ?? NaN);
    const view = VIEWS.find(([name]) => name === address.get('view'))?.[0] ?? 'differences';
    const sort = address.get('sort') ?? 'row';
    this.#look = {
      row: Number.isSafeInteger(row) ? row : null,
      state: address.get('state') ?? '',
      flag: address.get('flag') ?? '',
      sort: Object.hasOwn(SORTS, sort) ? sort : 'row',
      query: address.get('q') ?? '',
      view,
    };
    this.#show();
    if (this.#look.row !== null) this.root.scrollIntoView();
  }

  #show(): void {
    const { state, flag, sort, query, row } = this.#look;
    if (this.#search.value !== query) this.#search.value = query;
    this.#state.value = state;
    this.#flag.value = flag;
    this.#sort.value = sort;
    const wanted = query.trim().toLowerCase();
    const key = (SORTS[sort] ?? { key: (one: ShownRow) => one.row }).key;
    this.#found = this.data.shown
      .filter((one) => state === '' || one.state === state)
      .filter((one) => flag === '' || one.flags.some((name) => name === flag))
      .filter((one) => wanted === '' || matches(one, wanted))
      .sort((a, b) => key(a) - key(b) || a.row - b.row);
    const shown = row === null ? this.#found[0] : this.data.shown.find((one) => one.row === row);
    if (row === null && shown !== undefined) this.#look.row = shown.row;
    this.#count.textContent = `${number(this.#found.length)} of ${number(this.data.shown.length)} rows`;
    this.#list.replaceChildren(...this.#found.map((one) => this.#entry(one)));
    this.#detail.replaceChildren(
      ...(shown === undefined ? [element('p', { class: 'quiet' }, this.#nothing(row))] : this.#row(shown)),
    );
  }

  #nothing(row: number | null): string {
    if (row === null || row >= this.data.rows) return 'No matching rows.';
    return `Row ${row} is not among those that this report shows; make one with --rows ${row}.`;
  }

  #entry(one: ShownRow): HTMLElement {
    const isCurrent = one.row === this.#look.row;
    return element(
      'li',
      {},
      element(
        'button',
        {
          type: 'button',
          'aria-current': isCurrent ? 'true' : null,
          onclick: () => {
            this.#change({ row: one.row });
          },
        },
        element('i', { class: `mark state-${one.state}`, title: one.state }),
        element('span', { class: 'row-number' }, String(one.row)),
        element('span', { class: 'start', dir: 'auto' }, ...plainText(startOf(one.prompt))),
      ),
    );
  }

  #row(one: ShownRow): Node[] {
    const views = VIEWS.map(([view, title]) =>
      element(
        'button',
        {
          type: 'button',
          'aria-pressed': String(view === this.#look.view),
          onclick: () => {
            this.#change({ view });
          },
        },
        title,
      ),
    );
    const remarks = [
      one.state,
      ...one.flags.map((flag) => FLAG_TEXTS[flag].title.toLowerCase()),
      ...(one.change === null ? [] : [`${Math.round(one.change * 100)} % changed`]),
      ...(one.verdict === null
        ? []
        : [`judge: ${one.verdict === 'tie' ? 'tie' : `${one.verdict} is better`}`]),
    ];
    return [
      element(
        'div',
        { class: 'head' },
        element('h3', {}, element('a', { href: `#row=${one.row}` }, `Row ${one.row}`)),
        element('ul', { class: 'remarks' }, ...remarks.map((remark) => element('li', {}, remark))),
        element('div', { class: 'views', role: 'group', 'aria-label': 'How to show the answers' }, ...views),
      ),
      ...(one.system === '' ? [] : [block('System prompt', one.system, one.system.length)]),
      block('Prompt', one.prompt, one.lengths.prompt),
      ...(one.error === null ? [] : [block('Error', one.error, one.error.length)]),
      ...(one.reasoning === null ? [] : [folded('Reasoning', one.reasoning, one.lengths.reasoning)]),
      element('div', { class: 'pair' }, ...this.#answers(one)),
    ];
  }

  #answers(one: ShownRow): HTMLElement[] {
    const { old, new: now } = one;
    const parts =
      this.#look.view === 'differences' && old !== null && now !== null ? differences(old, now) : null;
    return (
      [
        ['Old answer', old, one.lengths.old, parts?.old],
        ['New answer', now, one.lengths.new, parts?.new],
      ] as const
    ).map(([title, text, length, different]) => {
      const body = element('div', { class: 'text', dir: 'auto' });
      if (text === null) body.append(element('p', { class: 'quiet' }, 'none'));
      else if (this.#look.view === 'rendered') body.append(rendered(text));
      else body.append(...(different ?? plainText(text)));
      if (text !== null && this.#look.view !== 'rendered') body.classList.add('raw');
      return element('section', {}, heading(title, text ?? '', length), body);
    });
  }
}

/** How a prompt begins, without the words that stand before every instruction of the Alpaca format. */
function startOf(prompt: string): string {
  const instruction =
    /^Below is an instruction[^]{0,200}?### Instruction:\s*([^]+)/.exec(prompt)?.[1] ?? prompt;
  return instruction.trim().slice(0, 90).replace(/\s+/g, ' ');
}

function matches(one: ShownRow, wanted: string): boolean {
  return [one.prompt, one.old, one.new, one.reasoning, one.error, String(one.row)].some((text) =>
    (text ?? '').toLowerCase().includes(wanted),
  );
}

function heading(title: string, text: string, length: number): HTMLElement {
  const isCut = text.length < length;
  const size = `${number(length)} characters${isCut ? `, of which ${number(text.length)} are shown` : ''}`;
  return element('h4', {}, title, element('span', { class: 'quiet' }, ` ${size}`));
}

function block(title: string, text: string, length: number): HTMLElement {
  return element(
    'section',
    {},
    heading(title, text, length),
    element('div', { class: 'text raw short', dir: 'auto', tabindex: 0 }, ...plainText(text)),
  );
}

/** A block that opens when it is asked to. */
function folded(title: string, text: string, length: number): HTMLElement {
  return element(
    'details',
    { class: 'table' },
    element('summary', {}, `${title} (${number(length)} characters)`),
    element('div', { class: 'text raw', dir: 'auto', tabindex: 0 }, ...plainText(text)),
  );
}

/** Both texts with what only one of them has; null where comparing them takes too long. */
function differences(old: string, now: string): { old: Node[]; new: Node[] } | null {
  const changes = diffWordsWithSpace(old, now, { timeout: DIFF_TIMEOUT_MS });
  if (changes === undefined) return null;
  const sides = { old: [] as Node[], new: [] as Node[] };
  const [before, after] = [new Passages(old), new Passages(now)];
  for (const { value, added, removed } of changes) {
    if (added) sides.new.push(element('ins', {}, ...after.next(value.length)));
    else if (removed) sides.old.push(element('del', {}, ...before.next(value.length)));
    else {
      sides.old.push(...before.next(value.length));
      sides.new.push(...after.next(value.length));
    }
  }
  return sides;
}

const ALLOWED_TAGS =
  'p br hr h1 h2 h3 h4 h5 h6 strong em b i u s del code pre blockquote ul ol li table thead tbody tr th td a sup sub'.split(
    ' ',
  );

/** Markup in an answer is text like any other, and images would be asked for. */
const escaped = ({ text }: { text: string }): string =>
  text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
/** Looked at wherever the parser begins a block or a piece of a line: a text can be made to take minutes. */
let parsingEnds = Infinity;
const stopWhenLate = (): false => {
  if (performance.now() > parsingEnds) throw new Error('formatting takes too long');
  return false;
};
marked.use({
  renderer: { html: escaped, image: escaped },
  tokenizer: { space: stopWhenLate, escape: stopWhenLate },
});

/** Markdown as formatted text; as it is where it can't be formatted, or not soon enough. */
function rendered(text: string): DocumentFragment {
  try {
    return formatted(text);
  } catch {
    const fragment = document.createDocumentFragment();
    const note = 'This text is not shown as Markdown: it is nested too deeply, or takes too long.';
    fragment.append(
      element('p', { class: 'quiet' }, note),
      element('div', { class: 'raw' }, ...plainText(text)),
    );
    return fragment;
  }
}

/** What is left has no scripts, styles, images or frames. @throws where the text is nested too deeply, or takes too long */
function formatted(text: string): DocumentFragment {
  parsingEnds = performance.now() + RENDER_TIMEOUT_MS;
  const html = marked.parse(text, { async: false, gfm: true });
  const clean = DOMPurify.sanitize(html, {
    ALLOWED_TAGS,
    ALLOWED_ATTR: ['href', 'start', 'align'],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of clean.querySelectorAll('a')) {
    link.rel = 'noopener noreferrer nofollow';
    link.target = '_blank';
  }
  for (const code of clean.querySelectorAll('pre')) code.tabIndex = 0;
  revealHidden(clean);
  return clean;
}
