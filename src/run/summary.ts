/** `summary.json` and the summary that is shown at the end. */

import { replaceFile } from '../files.js';
import { count, dollars, duration, plural, shellWord } from '../text.js';
import { ROW_STATES } from '../types.js';
import type { Assembled, RowCountsByState } from './assemble.js';
import type { RunFolder } from './folder.js';
import type { Totals } from './totals.js';

export interface Summary {
  rows: RowCountsByState;
  requests: { sent: number; throttled: number; retried: number };
  tokens: { prompt: number; completion: number };
  cost_usd: number | null;
  models: Record<string, number>;
  mode: 'online' | 'batch';
  started_at: string;
  finished_at: string;
}

export function summarise(
  { rows, models }: Assembled,
  totals: Totals,
  mode: Summary['mode'],
  finished: Date,
): Summary {
  const cost = totals.cost;
  return {
    rows,
    requests: totals.requests,
    tokens: { prompt: totals.tokens.prompt, completion: totals.tokens.completion },
    // A millionth of a dollar is more precise than any bill.
    cost_usd: cost === null ? null : Math.round(cost * 1e6) / 1e6,
    // No entry can be taken for a prototype's.
    models: Object.fromEntries(models),
    mode,
    started_at: totals.startedAt,
    finished_at: finished.toISOString(),
  };
}

/** @param summary what `summarise` made, perhaps with more beside it */
export async function writeSummary(path: string, summary: object): Promise<void> {
  await replaceFile(path, (file) => {
    file.write(`${JSON.stringify(summary, null, 2)}\n`);
  });
}

/** What this session adds to the summary on the terminal. */
export interface SessionFigures {
  answered: number;
  milliseconds: number;
  /** A phrase for what held the rate back; null where nothing did. */
  bound: string | null;
}

/** The lines that end a run on the terminal. */
export function describeSummary(summary: Summary, session: SessionFigures, folder: RunFolder): string {
  const { rows, tokens, requests } = summary;
  const states = ROW_STATES.filter((state) => state === 'ok' || rows[state] > 0).map(
    (state) => `${count(rows[state])} ${state}`,
  );
  const extra = [
    requests.throttled > 0 ? `${count(requests.throttled)} throttled` : '',
    requests.retried > 0 ? `${count(requests.retried)} retried` : '',
  ].filter((text) => text !== '');
  const lines = [
    ['Rows', `${count(rows.total)}: ${states.join(', ')}`],
    ['Requests', [`${count(requests.sent)} sent`, ...extra].join(', ')],
    ['Tokens', `${count(tokens.prompt)} prompt, ${count(tokens.completion)} completion`],
    ['Cost', summary.cost_usd === null ? 'not known: no price for this model' : dollars(summary.cost_usd)],
    ['Time', describeRate(session)],
    ['Result', folder.reannotated],
    ['Report', `npx reannotate report ${shellWord(folder.save)}`],
  ];
  return lines.map(([title, text]) => `${`${title ?? ''}:`.padEnd(10)}${text ?? ''}`).join('\n');
}

function describeRate(session: SessionFigures): string {
  const time = duration(session.milliseconds);
  if (session.answered === 0) return time;
  const perMinute = Math.round(session.answered / Math.max(session.milliseconds, 1) / (1 / 60_000));
  const bound = session.bound === null ? '' : `, held back by ${session.bound}`;
  return `${time} for ${plural(session.answered, 'answer')} (${count(perMinute)} a minute${bound})`;
}
