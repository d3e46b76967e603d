/** The controls above the list of rows. */

import type { ReportData, ShownRow } from '../data.js';
import { element } from './dom.js';
import { FLAG_TEXTS } from './flag-texts.js';
import { columnsOf, SORTS, valuesOf, type Look } from './look.js';
import { preference } from './row-view.js';

type Name = Exclude<keyof Look, 'row' | 'view'>;
type Control = HTMLInputElement | HTMLSelectElement;

/** The rows that are filtered. */
interface Filtered {
  rows: readonly ShownRow[];
  flags: ReportData['flags'];
  /** True where rows can be marked. */
  hasMarks: boolean;
}

export class Filters {
  readonly root: HTMLElement;
  readonly search: HTMLInputElement;
  readonly #pattern: HTMLButtonElement;
  readonly #controls = new Map<Name, Control>();
  readonly #values = element('datalist', { id: 'values' });
  readonly #more: HTMLDetailsElement;

  constructor(
    private readonly of: Filtered,
    private readonly onChange: (change: Partial<Look>) => void,
  ) {
    this.search = this.#input('q', 'Search prompts and answers', {
      type: 'search',
      placeholder: 'Search prompts and answers',
    });
    this.#pattern = this.#patternToggle();
    const usual = [this.search, this.#pattern, this.#stateSelect(), this.#flagSelect(), this.#sortSelect()];
    this.#more = element(
      'details',
      { class: 'more' },
      element('summary', {}, 'More filters'),
      element(
        'div',
        { class: 'filters' },
        ...this.#columnControls(),
        ...this.#lengthInputs(),
        ...this.#markSelect(),
        ...this.#verdictSelect(),
      ),
    );
    this.root = element(
      'div',
      { role: 'search', 'aria-label': 'Rows' },
      element('div', { class: 'filters' }, ...usual),
      this.#more,
    );
  }

  /** Whether the search is a regular expression. */
  #patternToggle(): HTMLButtonElement {
    const toggle = element(
      'button',
      {
        type: 'button',
        class: 'toggle',
        'aria-pressed': 'false',
        'aria-label': 'Regular expression',
        title: 'Regular expression',
        onclick: () => {
          this.onChange({ re: toggle.getAttribute('aria-pressed') === 'true' ? '' : '1' });
        },
      },
      '.*',
    );
    return toggle;
  }

  #stateSelect(): Node {
    const states = [...new Set(this.of.rows.map(({ state }) => state))];
    return this.#select('state', 'State', [['', 'All states'], ...states.map((one) => [one, one] as const)]);
  }

  #flagSelect(): Node {
    const { rows, flags } = this.of;
    const found = flags.filter(({ name }) => rows.some((row) => row.flags.includes(name)));
    return this.#select('flag', 'Flag', [
      ['', 'All flags'],
      ...found.map(({ name }) => [name, FLAG_TEXTS[name].title] as const),
    ]);
  }

  #sortSelect(): Node {
    const orders = Object.entries(SORTS).map(([name, { title }]) => [name, title] as const);
    return this.#select('sort', 'Order', orders);
  }

  /** Nothing where rows keep no columns. */
  #columnControls(): Node[] {
    const columns = columnsOf(this.of.rows);
    if (columns.length === 0) return [];
    return [
      this.#select('column', 'Column', [['', 'Any column'], ...columns.map((one) => [one, one] as const)]),
      this.#input('value', 'Value of the column', { placeholder: 'contains …', list: 'values' }),
      this.#values,
    ];
  }

  #lengthInputs(): Node[] {
    return [
      this.#input('min', 'Characters of the new answer, at least', {
        placeholder: 'Min. characters',
        inputmode: 'numeric',
      }),
      this.#input('max', 'Characters of the new answer, at most', {
        placeholder: 'Max. characters',
        inputmode: 'numeric',
      }),
    ];
  }

  /** Nothing where rows cannot be marked. */
  #markSelect(): Node[] {
    if (!this.of.hasMarks) return [];
    return [
      this.#select('mark', 'Your review', [
        ['', 'Any review'],
        ['accept', 'accepted'],
        ['reject', 'rejected'],
        ['edit', 'edited'],
        ['comment', 'with a comment'],
        ['none', 'not reviewed'],
      ]),
    ];
  }

  /** Nothing where no judge compared answers. */
  #verdictSelect(): Node[] {
    const verdicts = this.of.rows.flatMap(({ verdict }) => (verdict === null ? [] : [verdict.preferred]));
    if (verdicts.length === 0) return [];
    return [
      this.#select('verdict', 'Judge', [
        ['', 'Any verdict'],
        ...[...new Set(verdicts)].map((one) => [one, preference(one)] as const),
      ]),
    ];
  }

  /** Whether all filters are shown. */
  get isOpen(): boolean {
    return this.#more.open;
  }

  set isOpen(isOpen: boolean) {
    this.#more.open = isOpen;
  }

  /** Shows what is chosen. */
  show(look: Look): void {
    for (const [name, control] of this.#controls)
      if (control.value !== look[name]) control.value = look[name];
    this.#pattern.setAttribute('aria-pressed', String(look.re !== ''));
    const values = look.column === '' ? [] : valuesOf(this.of.rows, look.column);
    this.#values.replaceChildren(...values.map((value) => element('option', { value })));
    const { column, value, min, max, mark, verdict } = look;
    if ([column, value, min, max, mark, verdict].some((text) => text !== '')) this.#more.open = true;
  }

  #input(name: Name, label: string, attributes: Record<string, string>): HTMLInputElement {
    const made = element('input', {
      'aria-label': label,
      ...attributes,
      oninput: () => {
        this.onChange({ [name]: made.value });
      },
    });
    this.#controls.set(name, made);
    return made;
  }

  #select(name: Name, label: string, entries: readonly (readonly [string, string])[]): HTMLSelectElement {
    const made = element(
      'select',
      {
        'aria-label': label,
        onchange: () => {
          this.onChange({ [name]: made.value });
        },
      },
      ...entries.map(([value, text]) => element('option', { value }, text)),
    );
    this.#controls.set(name, made);
    return made;
  }
}
