/** Texts of rows: as they are with code in its own font, with what changed, or as Markdown. */

import { diffWordsWithSpace } from 'diff';
import DOMPurify from 'dompurify';
import { marked } from 'marked';
import { element, Passages, plainText, revealHidden } from './dom.js';

/** Longer pairs are not compared word by word: it would take seconds. */
const DIFF_TIMEOUT_MS = 400;
const RENDER_TIMEOUT_MS = 1000;
/** A text without fences is code if at least this share, and this number, of its lines look like code. */
const CODE_SHARE = 0.5;
const FEWEST_CODE_LINES = 3;
const LINES_LOOKED_AT = 200;
const FENCE = /^ {0,3}(```+|~~~+)/;
const CODE_LINE =
  /[;{}]\s*$|^\s*(?:def|class|import|from|return|function|const|let|var|if\s*\(|for\s*\(|while\s*\(|#include|public|private|SELECT|INSERT|UPDATE|CREATE)\b|^\s{4,}\S|^\s*[\w.[\]]{1,60}\s?(?:=|\+=|:=)\s?\S|\w\(.{0,100}\)\s?[:{]?\s*$|^\s*<\/?\w[^>]{0,200}>/;

/** What prose hardly ends in, or begins with: a text of one or two lines is code where all of them are like this. */
const SURE_CODE = /[;{}]\s*$|\w\(.{0,100}\)\s?[:{]?\s*$|^\s*[\w.[\]]{1,60} ?= ?\S/;

/** A part of a text, and what happened to it. */
interface Piece {
  length: number;
  kind: 'same' | 'ins' | 'del';
}

/** A text as it is, its code in a font of its own. */
export function laidOut(text: string): Node[] {
  return withCode(text, [{ length: text.length, kind: 'same' }]);
}

/** Both texts with what only one of them has; null where comparing them takes too long. */
export function differences(old: string, now: string): { old: Node[]; new: Node[] } | null {
  const changes = diffWordsWithSpace(old, now, { timeout: DIFF_TIMEOUT_MS });
  if (changes === undefined) return null;
  const sides = { old: [] as Piece[], new: [] as Piece[] };
  for (const { value, added, removed } of changes) {
    if (!added) sides.old.push({ length: value.length, kind: removed ? 'del' : 'same' });
    if (!removed) sides.new.push({ length: value.length, kind: added ? 'ins' : 'same' });
  }
  return { old: withCode(old, sides.old), new: withCode(now, sides.new) };
}

/** The pieces of a text, those in code within an element that is read from left to right. */
function withCode(text: string, pieces: readonly Piece[]): Node[] {
  const passages = new Passages(text);
  const nodes: Node[] = [];
  const left = pieces.map((piece) => ({ ...piece }));
  for (const { length, isCode } of stretches(text)) {
    const inside: Node[] = [];
    for (let taken = 0; taken < length;) {
      const piece = left[0];
      if (piece === undefined) break;
      const part = Math.min(piece.length, length - taken);
      const shown = passages.next(part);
      if (piece.kind === 'same') inside.push(...shown);
      else if (part > 0) inside.push(element(piece.kind, {}, ...shown));
      taken += part;
      piece.length -= part;
      if (piece.length === 0) left.shift();
    }
    if (isCode) nodes.push(element('span', { class: 'code', dir: 'ltr' }, ...inside));
    else nodes.push(...inside);
  }
  return nodes;
}

interface Stretch {
  length: number;
  isCode: boolean;
}

/** A text cut at the fences of its code blocks; one piece where it has none. */
function stretches(text: string): Stretch[] {
  const found: Stretch[] = [];
  let fence: string | null = null;
  for (const line of text.split(/(?<=\n)/)) {
    const mark = FENCE.exec(line)?.[1] ?? null;
    const isCode = fence !== null || mark !== null;
    const last = found.at(-1);
    if (last?.isCode === isCode) last.length += line.length;
    else found.push({ length: line.length, isCode });
    if (fence === null) fence = mark;
    else if (mark?.startsWith(fence) === true) fence = null;
  }
  return found.some(({ isCode }) => isCode) ? found : [{ length: text.length, isCode: looksLikeCode(text) }];
}

function looksLikeCode(text: string): boolean {
  const lines = text
    .split('\n', LINES_LOOKED_AT)
    .map((line) => line.slice(0, 300))
    .filter((line) => line.trim() !== '');
  if (lines.length < FEWEST_CODE_LINES)
    return lines.length > 0 && lines.every((line) => SURE_CODE.test(line));
  const code = lines.filter((line) => CODE_LINE.test(line)).length;
  return code >= FEWEST_CODE_LINES && code >= lines.length * CODE_SHARE;
}

const ALLOWED_TAGS =
  'p br hr h1 h2 h3 h4 h5 h6 strong em b i u s del code pre blockquote ul ol li table thead tbody tr th td a sup sub'.split(
    ' ',
  );
/** What has a direction of its own. */
const BLOCKS = 'p, li, h1, h2, h3, h4, h5, h6, blockquote, th, td';

/** Markup in an answer is text like any other, and images would be requested. */
const escaped = ({ text }: { text: string }): string =>
  text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
/** Checked wherever the parser begins a block or a piece of a line: a text can be made to take minutes. */
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
export function rendered(text: string): DocumentFragment {
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
  for (const block of clean.querySelectorAll<HTMLElement>(BLOCKS)) block.dir = 'auto';
  for (const code of clean.querySelectorAll<HTMLElement>('pre, code')) code.dir = 'ltr';
  for (const code of clean.querySelectorAll('pre')) {
    code.tabIndex = 0;
    code.setAttribute('role', 'group');
    code.setAttribute('aria-label', 'Code');
  }
  revealHidden(clean);
  return clean;
}
