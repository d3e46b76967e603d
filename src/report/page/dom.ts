/**
 * Elements built by code alone: no markup is ever parsed, so that no text can become an element, and no text can hide
 * or reorder what is beside it.
 */

import { hiddenRuns, markOf, withMarks } from '../../lib/hidden-characters.js';

type Child = Node | string | null;

/** Attributes that people read. */
const SHOWN = new Set(['title', 'aria-label', 'placeholder']);

/** Makes an element. Names that begin with `on` are listeners; null and false leave an attribute out. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string | number | boolean | null | ((event: Event) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (typeof value === 'function') made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else made.setAttribute(key, SHOWN.has(key) ? withMarks(String(value)) : String(value));
  }
  for (const child of children) {
    if (typeof child === 'string') made.append(...plainText(child));
    else if (child !== null) made.append(child);
  }
  return made;
}

/** The head of a table. */
export function tableHead(...columns: (string | HTMLElement)[]): HTMLElement {
  const cells = columns.map((column) =>
    typeof column === 'string' ? element('th', { scope: 'col' }, column) : column,
  );
  return element('thead', {}, element('tr', {}, ...cells));
}

/** A text as it is, with characters that nobody sees shown by their code points. */
export function plainText(text: string): Node[] {
  return new Passages(text).next(text.length);
}

/** A text that is shown piece by piece. Whether a character is hidden depends on its neighbours in the whole text. */
export class Passages {
  readonly #hidden: RegExpExecArray[];
  #at = 0;
  #mark = 0;

  constructor(private readonly text: string) {
    this.#hidden = hiddenRuns(text);
  }

  /** The next piece, of this many UTF-16 units. */
  next(length: number): Node[] {
    const end = this.#at + length;
    const nodes: Node[] = [];
    for (let found = this.#hidden[this.#mark]; found !== undefined; found = this.#hidden[this.#mark]) {
      const from = Math.max(found.index, this.#at);
      const to = found.index + found[0].length;
      if (from >= end) break;
      this.#push(nodes, from);
      const run = this.text.slice(from, Math.min(to, end));
      // The first half of a Windows line end.
      if (!(run === '\r' && this.text[from + 1] === '\n')) nodes.push(sign(run));
      this.#at = from + run.length;
      if (to > end) return nodes;
      this.#mark += 1;
    }
    this.#push(nodes, end);
    return nodes;
  }

  #push(nodes: Node[], end: number): void {
    if (end > this.#at) nodes.push(document.createTextNode(this.text.slice(this.#at, end)));
    this.#at = end;
  }
}

function sign(run: string): HTMLElement {
  const made = document.createElement('span');
  made.className = 'sign';
  made.title = 'a character that cannot be seen';
  made.textContent = markOf(run);
  return made;
}

/** Shows the hidden characters of everything in a piece of a document. */
export function revealHidden(root: DocumentFragment): void {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const texts: Text[] = [];
  while (walker.nextNode() !== null) texts.push(walker.currentNode as Text);
  for (const text of texts) {
    if (hiddenRuns(text.data).length > 0) text.replaceWith(...plainText(text.data));
  }
}

export function number(amount: number): string {
  return amount.toLocaleString('en-US');
}

/** `0 %`, `<1 %`, `12 %`. */
export function percent(part: number, all: number): string {
  if (all === 0 || part === 0) return '0 %';
  const share = (part / all) * 100;
  return share < 1 ? '<1 %' : `${share > 99 && part < all ? '>99' : Math.round(share)} %`;
}
