/** Elements made of code alone: no markup is ever parsed, so that nothing in a text can become one. */

type Child = Node | string | null;

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
    else made.setAttribute(key, value === true ? '' : String(value));
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** What moves, hides or reorders text. */
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu;
const TO_NOTHING = /\r(?=\n)/g;

/** A text as it is, with signs that nobody sees made visible. */
export function plainText(text: string): Node[] {
  const clean = text.replace(TO_NOTHING, '');
  const nodes: Node[] = [];
  let end = 0;
  for (const match of clean.matchAll(INVISIBLE)) {
    if (match.index > end) nodes.push(document.createTextNode(clean.slice(end, match.index)));
    const code = `U+${(match[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
    nodes.push(element('span', { class: 'sign', title: 'a sign that cannot be seen' }, code));
    end = match.index + match[0].length;
  }
  if (end < clean.length) nodes.push(document.createTextNode(clean.slice(end)));
  return nodes;
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
