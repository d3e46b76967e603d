/** One row: its request, both answers, what is known of them, and what the reader thinks. */

import type { ReportData, RowMatch, ShownRow } from '../data.js';
import { copyButton } from './copy.js';
import { FLAG_TEXTS } from './flag-texts.js';
import { dollars, element, number, seconds } from './format.js';
import { VIEWS, type View } from './look.js';
import { differences, laidOut, rendered } from './text.js';

export interface RowActions {
  view: View;
  isMonospaced: boolean;
  onView: (view: View) => void;
  onMonospace: () => void;
  /** What the runs are called, where there are several. */
  labels: readonly string[];
  /** What the reader thinks of it; null where the page keeps no marks. */
  review: HTMLElement | null;
}

export function rowView(one: ShownRow, data: Pick<ReportData, 'hub'>, actions: RowActions): Node[] {
  return [
    head(one, data, actions),
    ...(one.system === '' ? [] : [block('System prompt', one.system, one.system.length)]),
    ...(one.turns.length === 0 ? [] : [turns(one)]),
    block(one.turns.length === 0 ? 'Prompt' : 'Last question', one.prompt, one.lengths.prompt),
    ...(one.images.length === 0 ? [] : [images(one.images)]),
    ...(one.tools === null ? [] : [folded('Tools', one.tools, one.tools.length, true)]),
    ...(Object.keys(one.source).length === 0 ? [] : [columns(one.source)]),
    ...(one.error === null || one.runs !== undefined ? [] : [block('Error', one.error, one.error.length)]),
    ...(one.reasoning === null || one.runs !== undefined
      ? []
      : [folded('Reasoning', one.reasoning, one.lengths.reasoning)]),
    element('div', { class: actions.isMonospaced ? 'pair mono' : 'pair' }, ...answers(one, actions)),
    ...(one.matches ?? []).map((match) =>
      folded(matchTitle(match, actions.labels), match.reason, match.reason.length),
    ),
    ...one.others.map((text, place) => folded(`Answer ${place + 2}`, text, text.length)),
    ...(one.runs !== undefined || one.verdict === null || one.verdict.reason === ''
      ? []
      : [
          folded(
            `Judge: ${preference(one.verdict.preferred)}`,
            one.verdict.reason,
            one.verdict.reason.length,
          ),
        ]),
    ...(actions.review === null ? [] : [actions.review]),
  ];
}

function head(one: ShownRow, { hub }: Pick<ReportData, 'hub'>, actions: RowActions): HTMLElement {
  const views = VIEWS.map(([view, title]) =>
    element(
      'button',
      {
        type: 'button',
        'aria-pressed': String(view === actions.view),
        onclick: () => {
          actions.onView(view);
        },
      },
      title,
    ),
  );
  const mono = element(
    'button',
    {
      type: 'button',
      'aria-pressed': String(actions.isMonospaced),
      onclick: () => {
        actions.onMonospace();
      },
    },
    'Monospace',
  );
  const source =
    hub === null
      ? null
      : element(
          'a',
          { href: `${hub.url}${one.row + hub.offset}`, target: '_blank', rel: 'noopener noreferrer' },
          'Source row on the Hub',
        );
  return element(
    'div',
    { class: 'head' },
    element('h3', {}, element('a', { href: `#row=${one.row}` }, `Row ${one.row}`)),
    source,
    element(
      'div',
      { class: 'views', role: 'group', 'aria-label': 'How to show the answers' },
      ...views,
      mono,
    ),
    element(
      'ul',
      { class: 'remarks' },
      ...(one.runs === undefined ? remarks(one) : []).map((remark) => element('li', {}, remark)),
    ),
  );
}

function remarks(one: ShownRow): string[] {
  const { figures, change, verdict } = one;
  return [
    one.state,
    ...one.flags.map((flag) => FLAG_TEXTS[flag].title.toLowerCase()),
    ...(change === null ? [] : [`${Math.round(change * 100)} % changed`]),
    ...(verdict === null ? [] : [`judge: ${preference(verdict.preferred)}`]),
    ...(figures === null ? [] : figureTexts(figures)),
  ];
}

function figureTexts(figures: NonNullable<ShownRow['figures']>): string[] {
  const { model, finishReason, promptTokens, completionTokens, reasoningTokens, latency, cost } = figures;
  const thought = reasoningTokens > 0 ? ` (${number(reasoningTokens)} reasoning)` : '';
  return [
    ...(model === null ? [] : [model]),
    ...(finishReason === null || finishReason === 'stop' ? [] : [`finish reason: ${finishReason}`]),
    ...(promptTokens === null || completionTokens === null
      ? []
      : [`${number(promptTokens)} tokens in, ${number(completionTokens)} out${thought}`]),
    ...(latency === null ? [] : [seconds(latency)]),
    ...(cost === null ? [] : [dollars(cost)]),
  ];
}

/** Which of two runs' answers a judge preferred. */
function matchTitle({ one, other, preferred }: RowMatch, labels: readonly string[]): string {
  const [first, second] = [labels[one] ?? '', labels[other] ?? ''];
  switch (preferred) {
    case 'one':
      return `Judge: ${first} is better than ${second}`;
    case 'other':
      return `Judge: ${second} is better than ${first}`;
    case 'tie':
      return `Judge: a tie between ${first} and ${second}`;
    case 'undecided':
      return `Judge: undecided between ${first} and ${second}`;
  }
}

export function preference(preferred: string): string {
  return preferred === 'new' || preferred === 'old' ? `${preferred} is better` : preferred;
}

function answers(one: ShownRow, { view, labels }: RowActions): HTMLElement[] {
  if (one.runs !== undefined) return answersOfRuns(one, one.runs, view, labels);
  const { old, new: now } = one;
  const parts = view === 'differences' && old !== null && now !== null ? differences(old, now) : null;
  return [
    answer('Old answer', { text: old, calls: one.oldCalls, length: one.lengths.old }, view, parts?.old),
    answer('New answer', { text: now, calls: one.newCalls, length: one.lengths.new }, view, parts?.new),
  ];
}

/** The old answer and that of each run. */
function answersOfRuns(
  one: ShownRow,
  runs: readonly (ShownRow | null)[],
  view: View,
  labels: readonly string[],
): HTMLElement[] {
  const old = answer('Old answer', { text: one.old, calls: one.oldCalls, length: one.lengths.old }, view);
  return [
    old,
    ...runs.map((run, place) => {
      const label = labels[place] ?? '';
      if (run === null) return answer(label, { text: null, calls: null, length: 0 }, view);
      const parts =
        view === 'differences' && one.old !== null && run.new !== null ? differences(one.old, run.new) : null;
      const shown = answer(
        label,
        { text: run.new, calls: run.newCalls, length: run.lengths.new },
        view,
        parts?.new,
      );
      const notes = [...remarks(run), ...(run.error === null ? [] : [run.error])];
      shown.append(element('ul', { class: 'remarks' }, ...notes.map((remark) => element('li', {}, remark))));
      if (run.verdict !== null && run.verdict.reason !== '')
        shown.append(
          folded(
            `Judge: ${preference(run.verdict.preferred)}`,
            run.verdict.reason,
            run.verdict.reason.length,
          ),
        );
      return shown;
    }),
  ];
}

interface ShownAnswer {
  text: string | null;
  calls: string | null;
  length: number;
}

/** @param different the text with what changed; absent where that is not shown */
export function answer(
  title: string,
  { text, calls, length }: ShownAnswer,
  view: View,
  different?: Node[],
): HTMLElement {
  const body = element('div', { class: 'text', dir: 'auto' });
  if (text === null && calls === null) body.append(element('p', { class: 'quiet' }, 'none'));
  else if (text !== null && view === 'rendered') body.append(rendered(text));
  else if (text !== null) body.append(...(different ?? laidOut(text)));
  if (text !== null && view !== 'rendered') body.classList.add('raw');
  const called =
    calls === null ? [] : [element('div', { class: 'text raw mono', dir: 'ltr' }, ...laidOut(calls))];
  return element(
    'section',
    {},
    heading(title, text ?? calls ?? '', text === null ? 0 : length),
    body,
    ...called,
  );
}

function heading(title: string, text: string, length: number): HTMLElement {
  const isCut = text.length < length;
  const size = `${number(length)} characters${isCut ? `, of which ${number(text.length)} are shown` : ''}`;
  return element(
    'div',
    { class: 'heading' },
    element('h4', {}, title, ...(length === 0 ? [] : [element('span', { class: 'quiet' }, ` ${size}`)])),
    ...(text === '' ? [] : [copyButton(title, text)]),
  );
}

function block(title: string, text: string, length: number): HTMLElement {
  return element(
    'section',
    {},
    heading(title, text, length),
    element(
      'div',
      { class: 'text raw short', dir: 'auto', tabindex: 0, role: 'region', 'aria-label': title },
      ...laidOut(text),
    ),
  );
}

/** The turns of a chat before its last question. */
function turns(one: ShownRow): HTMLElement {
  return element(
    'section',
    {},
    element('h4', {}, `Earlier turns (${one.turns.length})`),
    element(
      'ol',
      { class: 'turns' },
      ...one.turns.map(({ role, text, length }) =>
        element(
          'li',
          { class: role === 'user' ? 'user' : 'other' },
          element('span', { class: 'role' }, role),
          element('div', { class: 'raw', dir: 'auto' }, ...laidOut(text)),
          ...(text.length < length
            ? [
                element(
                  'p',
                  { class: 'quiet' },
                  `${number(length)} characters, of which ${number(text.length)} are shown`,
                ),
              ]
            : []),
        ),
      ),
    ),
  );
}

/** References alone: nothing is loaded. */
function images(references: readonly string[]): HTMLElement {
  return element(
    'section',
    {},
    element('h4', {}, `Images (${references.length}, not loaded)`),
    element(
      'ul',
      { class: 'images' },
      ...references.map((one) => element('li', {}, element('bdi', {}, one))),
    ),
  );
}

function columns(source: Readonly<Record<string, string>>): HTMLElement {
  return element(
    'details',
    { class: 'table' },
    element('summary', {}, `Dataset columns (${Object.keys(source).length})`),
    element(
      'dl',
      { class: 'parameters' },
      ...Object.entries(source).flatMap(([name, value]) => [
        element('dt', {}, name),
        element('dd', {}, element('bdi', {}, value)),
      ]),
    ),
  );
}

/** A block that opens on demand. */
function folded(title: string, text: string, length: number, isCode = false): HTMLElement {
  return element(
    'details',
    { class: 'table' },
    element('summary', {}, `${title} (${number(length)} characters)`),
    element('div', { class: 'heading' }, copyButton(title, text)),
    element(
      'div',
      {
        class: `text raw short${isCode ? ' mono' : ''}`,
        dir: isCode ? 'ltr' : 'auto',
        tabindex: 0,
        role: 'region',
        'aria-label': title,
      },
      ...laidOut(text),
    ),
  );
}
