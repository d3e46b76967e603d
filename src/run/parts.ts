/**
 * Rows that take several requests: answers to one prompt that are asked for one by one, or the turns of a chat. Each such
 * part has its own lines in the journal, and its own entry in an index; a row's state follows from those of its parts.
 * Runs that ask once for each row have none of this.
 */

import type { JobPart } from '../requests/processor.js';
import type { RetriableState, RowState } from '../types.js';
import { JournalIndex, type LineKind, type LinePlace } from './journal.js';

/** How many parts each row of a run has. */
export interface PartLayout {
  readonly kind: JobPart['kind'];
  /** Of all rows. */
  readonly total: number;
  /** The number of a row's first part among all parts. */
  firstOf: (row: number) => number;
  countOf: (row: number) => number;
  /** How many of them, from the first on, a row cannot do without. */
  requiredOf: (row: number) => number;
}

/**
 * The same number of choices for every row.
 * @param required without which a row has no answer; the others are asked for where there is a reason to
 */
export function choiceLayout(rows: number, each: number, required = each): PartLayout {
  return {
    kind: 'choice',
    total: rows * each,
    firstOf: (row) => row * each,
    countOf: () => each,
    requiredOf: () => required,
  };
}

/** The turns of chats: 4 bytes a row. */
export function turnLayout(counts: Uint32Array): PartLayout {
  const firsts = new Uint32Array(counts.length + 1);
  counts.forEach((count, row) => {
    firsts[row + 1] = (firsts[row] ?? 0) + count;
  });
  const firstOf = (row: number): number => firsts[row] ?? 0;
  const countOf = (row: number): number => firstOf(row + 1) - firstOf(row);
  return { kind: 'turn', total: firsts.at(-1) ?? 0, firstOf, countOf, requiredOf: countOf };
}

/** Which parts of its row a line is about. */
export interface PartLine {
  row: number;
  /** Null for the row as a whole, or for its choices from the first one on. */
  part: JobPart | null;
  /** How many choices the line holds. */
  choices: number;
}

/** Where each part of each row is in the journal: 13 bytes a part, beside those of the rows. */
export class RowParts {
  /** Of parts, as `layout` numbers them. */
  readonly slots: JournalIndex;

  /** @param rows whose states follow from the parts */
  constructor(
    readonly layout: PartLayout,
    private readonly rows: JournalIndex,
  ) {
    this.slots = new JournalIndex(layout.total);
  }

  /** The numbers of a row's parts. */
  *of(row: number): Generator<number> {
    const first = this.layout.firstOf(row);
    const end = first + this.layout.countOf(row);
    for (let slot = first; slot < end; slot++) yield slot;
  }

  /** Notes a line; returns whether it counts for any part. */
  record(
    line: PartLine,
    state: RowState,
    { offset, length }: LinePlace,
    { isError, origin }: LineKind,
  ): boolean {
    let counts = false;
    for (const slot of this.slotsOf(line, isError)) {
      if (!this.slots.record(slot, state, offset, length, isError)) continue;
      this.slots.origins.noteAnswer(slot, origin);
      counts = true;
    }
    if (counts) this.rows.origins.noteAnswer(line.row, origin);
    if (counts && line.part?.kind === 'turn') this.#forgetAfter(line.row, line.part.number);
    if (counts) this.#settle(line.row);
    return counts;
  }

  /** The parts that a line is about; a failure of the row as a whole is one of each. */
  slotsOf({ row, part, choices }: PartLine, isError = false): number[] {
    const { kind, firstOf, countOf } = this.layout;
    const count = countOf(row);
    if (part !== null) return part.kind === kind && part.number < count ? [firstOf(row) + part.number] : [];
    if (kind === 'turn' && count > 1) return [];
    const held = isError ? count : Math.min(choices, count);
    return Array.from({ length: held }, (_, number) => firstOf(row) + number);
  }

  /** The lines of a row, one entry for each; a line that holds several choices names no part. */
  placesOf(row: number): ReturnType<JournalIndex['placesOf']> {
    const { kind, firstOf } = this.layout;
    const lines = new Map<number, ReturnType<JournalIndex['placesOf']>[number]>();
    for (const slot of this.of(row)) {
      const place = this.slots.place(slot);
      if (place === null) continue;
      const known = lines.get(place.offset);
      if (known !== undefined) known.part = null;
      else {
        const part = { kind, number: slot - firstOf(row) };
        const isError = !this.slots.isAnswered(slot);
        const annotator = this.slots.origins.answeredBy(slot);
        lines.set(place.offset, { place, part, state: this.slots.state(slot), isError, annotator });
      }
    }
    return [...lines.values()];
  }

  /** Takes the parts whose line is at a place for ones that were never asked. */
  forget(row: number, offset: number): void {
    for (const slot of this.of(row)) if (this.slots.place(slot)?.offset === offset) this.slots.forget(slot);
    this.#settle(row);
  }

  /**
   * Which parts of a row are sent now: of turns the first that has no answer, since the next ones build on it.
   * @returns their numbers within the row
   */
  wanted(row: number, retry: readonly RetriableState[]): number[] {
    const { kind, firstOf } = this.layout;
    const first = firstOf(row);
    const count = this.layout.requiredOf(row);
    if (kind === 'turn') {
      const next = this.#firstNotOk(row);
      return next === null || !this.slots.isWanted(first + next, retry) ? [] : [next];
    }
    return Array.from({ length: count }, (_, number) => number).filter((number) =>
      this.slots.isWanted(first + number, retry),
    );
  }

  /** True where a row may have answers beside its own. */
  hasFurther(row: number): boolean {
    return this.layout.countOf(row) > this.layout.requiredOf(row);
  }

  /** True where one request can bring all that a row lacks. */
  isWhole(row: number, retry: readonly RetriableState[]): boolean {
    return this.wanted(row, retry).length === this.layout.requiredOf(row);
  }

  /** Turns after one that was answered again build on another answer. */
  #forgetAfter(row: number, turn: number): void {
    const first = this.layout.firstOf(row);
    for (let slot = first + turn + 1; slot < first + this.layout.countOf(row); slot++)
      if (this.slots.place(slot) !== null) this.slots.forget(slot);
  }

  #firstNotOk(row: number): number | null {
    const first = this.layout.firstOf(row);
    for (let number = 0; number < this.layout.countOf(row); number++)
      if (this.slots.state(first + number) !== 'ok') return number;
    return null;
  }

  #settle(row: number): void {
    const slot = this.layout.firstOf(row) + this.#deciding(row);
    const place = { offset: this.slots.offsetOf(slot), length: this.slots.lengthOf(slot) };
    const state = this.slots.state(slot);
    this.rows.replace(row, state, place, state !== 'pending' && !this.slots.isAnswered(slot));
  }

  /**
   * The part whose state is the row's. A turn that is not whole ends its chat. Of choices none may lack or have failed; the
   * first one decides whether the row is refused, and any that was cut off makes it truncated.
   */
  #deciding(row: number): number {
    const { kind, firstOf, requiredOf } = this.layout;
    const first = firstOf(row);
    if (kind === 'turn') return this.#firstNotOk(row) ?? this.layout.countOf(row) - 1;
    const states = Array.from({ length: requiredOf(row) }, (_, number) => this.slots.state(first + number));
    for (const state of ['pending', 'failed'] as const) {
      const found = states.indexOf(state);
      if (found !== -1) return found;
    }
    if (states[0] !== 'ok') return 0;
    return Math.max(0, states.indexOf('truncated'));
  }
}

/** An index of rows with parts; an ordinary one where there are none. */
export function indexOfRows(rows: number, layout: PartLayout | null): JournalIndex {
  const index = new JournalIndex(rows);
  if (layout !== null) index.parts = new RowParts(layout, index);
  return index;
}
