/** Reads the journal of a run, and reports what in it does not count. */

import { count, plural, sanitize, shellWord } from '../lib/text.js';
import { NO_REASON } from '../models/finish-reason.js';
import type { Console } from '../terminal/progress.js';
import { journalSource, type RunFolder } from './folder.js';
import { scanJournal, type JournalIndex, type JournalReading, type JournalReport } from './journal.js';
import type { PartialRows } from './partial-lines.js';

/** Finish reasons that are named. */
const REASONS_SHOWN = 3;

/** Reads a journal into an index, and reports lines that cannot be read. */
export async function readJournal(
  folder: Pick<RunFolder, 'journal' | 'segments'>,
  index: JournalIndex,
  console: Console,
  reading: JournalReading,
): Promise<JournalReport> {
  const report = await scanJournal(journalSource(folder), index, reading);
  if (report.tornBytes > 0 && folder.segments === undefined)
    console.warning(`Removed an incomplete last line (${report.tornBytes} bytes) from ${folder.journal}.`);
  if (report.damaged > 0) {
    console.warning(
      `${plural(report.damaged, 'line')} of ${folder.journal} cannot be read; their rows are sent again.`,
    );
  }
  if (report.foreign > 0) {
    console.warning(
      `${plural(report.foreign, 'line')} of ${folder.journal} belong to rows that are not in this run.`,
    );
  }
  const [most] = report.partial;
  if (most !== undefined) console.warning(describePartial(report.partial, folder.journal));
  return report;
}

function describePartial(partial: readonly PartialRows[], journal: string): string {
  const rows = partial.reduce((sum, one) => sum + one.rows, 0);
  const name = (reason: string): string =>
    reason === NO_REASON ? 'no finish reason' : `finish reason “${sanitize(reason, 60)}”`;
  const listed = partial.slice(0, REASONS_SHOWN).map((one) => `${count(one.rows)} with ${name(one.reason)}`);
  const [most] = partial;
  return (
    `${plural(rows, 'answer')} of ${journal} may be incomplete (${listed.join(', ')}), so these rows are not done. If this ` +
    `server ends complete answers like this, add --accept_finish_reason ${shellWord(sanitize(most?.reason ?? NO_REASON, 60))}.`
  );
}

/** Answers that all end with one unknown reason. */
export interface PartialBefore {
  reason: string;
  answers: number;
}

/** Of partial answers the one reason, where the journal has no others. */
export function onlyReason(partial: readonly PartialRows[], index: JournalIndex): PartialBefore | null {
  const [only, other] = partial;
  const hasAnswers = index.rows > index.count('pending') + index.count('failed');
  return only === undefined || other !== undefined || hasAnswers
    ? null
    : { reason: only.reason, answers: only.rows };
}
