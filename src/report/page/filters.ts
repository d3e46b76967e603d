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
    const { rows, flags, hasMarks } = of;
    this.search = this.#input('q', 'Search prompts and answers', {
      type: 'search',
      placeholder: 'Search prompts and answers',
    });
    this.#pattern = element(
      'button',
      {
        type: 'button',
        class: 'toggle',
        'aria-pressed': 'false',
        'aria-label': 'Regular expression',
        title: 'Regular expression',
        onclick: () => {
          onChange({ re: this.#pattern.getAttribute('aria-pressed') === 'true' ? '' : '1' });
        },
      },
      '.*',
    );
    const states = [...new Set(rows.map(({ state }) => state))];
    const known = flags.filter(({ name }) => rows.some((row) => row.flags.includes(name)));
    const verdicts = [
      ...new Set(rows.flatMap(({ verdict }) => (verdict === null ? [] : [verdict.preferred]))),
    ];
    const columns = columnsOf(rows);
    this.#more = element(
      'details',
      { class: 'more' },
      element('summary', {}, 'More filters'),
      element(
        'div',
        { class: 'filters' },
        ...(columns.length === 0
          ? []
          : [
              this.#select('column', 'Column', [
                ['', 'Any column'],
                ...columns.map((one) => [one, one] as const),
              ]),
              this.#input('value', 'Value of the column', { placeholder: 'contains …', list: 'values' }),
              this.#values,
            ]),
        this.#input('min', 'Characters of the new answer, at least', {
          placeholder: 'Min. characters',
          inputmode: 'numeric',
        }),
        this.#input('max', 'Characters of the new answer, at most', {
          placeholder: 'Max. characters',
          inputmode: 'numeric',
        }),
        ...(hasMarks
          ? [
              this.#select('mark', 'Your review', [
                ['', 'Any review'],
                ['accept', 'accepted'],
                ['reject', 'rejected'],
                ['edit', 'edited'],
                ['comment', 'with a comment'],
                ['none', 'not reviewed'],
              ]),
            ]
          : []),
        ...(verdicts.length === 0
          ? []
          : [
              this.#select('verdict', 'Judge', [
                ['', 'Any verdict'],
                ...verdicts.map((one) => [one, preference(one)] as const),
              ]),
            ]),
      ),
    );
    this.root = element(
      'div',
      { role: 'search', 'aria-label': 'Rows' },
      element(
        'div',
        { class: 'filters' },
        this.search,
        this.#pattern,
        this.#select('state', 'State', [['', 'All states'], ...states.map((one) => [one, one] as const)]),
        this.#select('flag', 'Flag', [
          ['', 'All flags'],
          ...known.map(({ name }) => [name, FLAG_TEXTS[name].title] as const),
        ]),
        this.#select(
          'sort',
          'Order',
          Object.entries(SORTS).map(([name, { title }]) => [name, title] as const),
        ),
      ),
      this.#more,
    );
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
