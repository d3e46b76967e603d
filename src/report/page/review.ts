/** What the reader thinks of a row: accept, reject or edit it, with a comment. */

import type { ShownRow } from '../data.js';
import { element } from './dom.js';
import { MARKS, type MarkKind, type Marks } from './marks.js';

const TITLES: Readonly<Record<MarkKind, string>> = { accept: 'Accept', reject: 'Reject', edit: 'Edit' };

/** @param onChange called when a mark was set or taken away; texts change without it */
export function reviewOf(one: ShownRow, marks: Marks, onChange: () => void): HTMLElement {
  const { mark, comment, annotation } = marks.of(one.row);
  const isCut = (one.new?.length ?? 0) < one.lengths.new;
  const buttons = MARKS.map((kind) =>
    element(
      'button',
      {
        type: 'button',
        class: `mark-${kind}`,
        'aria-pressed': String(mark === kind),
        disabled: kind === 'edit' && isCut,
        onclick: () => {
          toggleMark(one, marks, kind);
          onChange();
        },
      },
      TITLES[kind],
    ),
  );
  return element(
    'section',
    { class: 'review', 'aria-label': 'Your review' },
    element('h4', {}, 'Your review'),
    element('div', { class: 'views', role: 'group', 'aria-label': 'Mark' }, ...buttons),
    ...(isCut
      ? [
          element(
            'p',
            { class: 'quiet' },
            'This answer is too long to be shown in full, so it cannot be edited here.',
          ),
        ]
      : []),
    ...(mark === 'edit'
      ? [
          area(
            { label: 'Edited answer', text: annotation ?? one.new ?? '', rows: 8 },
            (text) => {
              marks.set(one.row, { annotation: text });
            },
            () => undefined,
          ),
        ]
      : []),
    area(
      { label: 'Comment', text: comment, rows: 2 },
      (text) => {
        marks.set(one.row, { comment: text });
      },
      onChange,
    ),
  );
}

/** Sets a mark, or takes it away where the row has it. */
export function toggleMark(one: ShownRow, marks: Marks, kind: MarkKind): void {
  const isCut = (one.new?.length ?? 0) < one.lengths.new;
  if (kind === 'edit' && isCut) return;
  const { mark, annotation } = marks.of(one.row);
  const isSet = mark === kind;
  marks.set(one.row, {
    mark: isSet ? null : kind,
    ...(kind === 'edit' && !isSet ? { annotation: annotation ?? one.new ?? '' } : {}),
  });
}

/**
 * @param onInput called with every change
 * @param onEnd called when the reader moves on to something else
 */
function area(
  { label, text, rows }: { label: string; text: string; rows: number },
  onInput: (text: string) => void,
  onEnd: () => void,
): HTMLElement {
  const field = element('textarea', {
    rows,
    dir: 'auto',
    oninput: () => {
      onInput(field.value);
    },
    onchange: onEnd,
  });
  field.value = text;
  return element('label', {}, label, field);
}
