/** Answers in the journal that may be incomplete: which rows they are of, and how they ended. */

import type { JournalIndex } from './journal.js';

/** Different finish reasons that are distinguished; a byte per row holds no more. */
const MOST_REASONS = 200;

/** Rows whose answers ended with one reason. */
export interface PartialRows {
  /** As `--accept_finish_reason` takes it. */
  reason: string;
  rows: number;
}

/** Collects them while a journal is read; memory is taken only where there are any. */
export class PartialLines {
  readonly #reasons: string[] = [];
  #byRow: Uint8Array | null = null;

  constructor(private readonly rows: number) {}

  note(row: number, reason: string): void {
    this.#byRow ??= new Uint8Array(this.rows);
    let place = this.#reasons.indexOf(reason);
    if (place === -1) place = this.#reasons.push(reason) - 1;
    if (place >= MOST_REASONS) this.#reasons.length = MOST_REASONS;
    this.#byRow[row] = Math.min(place, MOST_REASONS - 1) + 1;
  }

  /** The rows among them that have no other answer, most frequent reason first. */
  unanswered(index: JournalIndex): PartialRows[] {
    const counts = new Map<string, number>();
    this.#byRow?.forEach((place, row) => {
      if (place === 0 || index.isAnswered(row)) return;
      const reason = this.#reasons[place - 1] ?? 'others';
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    });
    return [...counts].map(([reason, rows]) => ({ reason, rows })).sort((a, b) => b.rows - a.rows);
  }
}
