/** `summary.json` and the summary that is shown at the end. */

import { replaceFile } from '../lib/files.js';
import { count, dollars, duration, sanitize, plural, shellWord, spent } from '../lib/text.js';
import { ROW_STATES } from '../types.js';
import type { Account } from './account.js';
import type { Assembled, RowCountsByState } from './assembled.js';
import type { RunFolder } from './folder.js';
import type { ServerCounts, Totals } from './totals.js';

/** What was sent, used and paid for, as `summary.json` and the judge's figures in it hold it. */
export interface Spending {
  requests: { sent: number; throttled: number; retried: number };
  /** `reasoning` is the part of the completion that was spent on it; absent where servers report none. */
  tokens: { prompt: number; completion: number; reasoning?: number };
  /** Null where no price is known. */
  cost_usd: number | null;
  /** Answers whose tokens were counted from their texts, because the server does not report them; absent where none. */
  tokens_estimated?: number;
  /** Present where a part of the cost had to be estimated. */
  cost_estimated?: true;
}

/** What one of a run's annotators did. */
export interface AnnotatorFigures {
  /** Rows whose answer is its own. */
  rows: number;
  tokens: { prompt: number; completion: number };
  /** Null where no price is known. */
  cost_usd: number | null;
}

export interface Summary extends Spending {
  rows: RowCountsByState;
  /** Rows whose answers earlier runs had; absent without `--reuse`. */
  reused_rows?: number;
  /** Rows that share the answer of a row with the same request; absent without `--dedupe`. */
  deduped_rows?: number;
  /** What both would have cost online, which is no part of `cost_usd`; absent where it is not known. */
  saved_usd?: number;
  models: Record<string, number>;
  /** By annotator, where another one than the run's own was sent something; its own is the first. */
  annotators?: Record<string, AnnotatorFigures>;
  /** Rows by whether their final answer is the original's; `unknown` where one has none. Present with `--check answer`. */
  agreement?: { agree: number; disagree: number; unknown: number };
  /** Rows that the output formats leave out, by the first reason that fits; present with `--drop` or `--decontaminate`. */
  dropped?: {
    rows: number;
    kept: number;
    reasons: Record<string, number>;
    evaluation_sets?: { file: string; texts: number; too_short: number; ngrams: number }[];
  };
  /** Requests and answers of each server, by its address; absent where there was one. */
  servers?: ServerCounts;
  /** What a judge cost that chose among several answers, beside what the run cost; present with `--select judge`. */
  selection?: (Spending & { judge: string }) | undefined;
  mode: 'online' | 'batch';
  started_at: string;
  finished_at: string;
}

export function summarise(
  { rows, models, compared, others }: Assembled,
  totals: Totals,
  { annotator, mode, finished }: { annotator: string; mode: Summary['mode']; finished: Date },
): Summary {
  const { saved, copied } = totals;
  const isSaving = copied.reused + copied.duplicate > 0;
  return {
    rows,
    ...spendingOf(totals),
    ...(copied.reused > 0 ? { reused_rows: copied.reused } : {}),
    ...(copied.duplicate > 0 ? { deduped_rows: copied.duplicate } : {}),
    ...(isSaving && saved !== null ? { saved_usd: rounded(saved) } : {}),
    // No entry can be taken for a prototype's.
    models: Object.fromEntries(models),
    ...(totals.others.size === 0
      ? {}
      : { annotators: Object.fromEntries(annotatorFigures(annotator, rows, others, totals)) }),
    ...(Object.values(compared).some((count) => count > 0) ? { agreement: compared } : {}),
    ...(Object.keys(totals.servers).length > 0 ? { servers: totals.servers } : {}),
    mode,
    started_at: totals.startedAt,
    finished_at: finished.toISOString(),
  };
}

function* annotatorFigures(
  annotator: string,
  { ok, truncated }: RowCountsByState,
  others: ReadonlyMap<string, number>,
  totals: Totals,
): Generator<[string, AnnotatorFigures]> {
  const figuresOf = ({ usage, cost }: Account, rows: number): AnnotatorFigures => ({
    rows,
    tokens: { prompt: usage.promptTokens, completion: usage.completionTokens },
    cost_usd: cost === null ? null : rounded(cost.amount),
  });
  const elsewhere = [...others.values()].reduce((sum, rows) => sum + rows, 0);
  yield [annotator, figuresOf(totals.accountOf(null), ok + truncated - elsewhere)];
  for (const [name, account] of totals.others) yield [name, figuresOf(account, others.get(name) ?? 0)];
}

/** The figures of everything that a run or a judgement has sent so far. */
export function spendingOf(totals: Totals): Spending {
  const { cost } = totals;
  return {
    requests: totals.requests,
    tokens: {
      prompt: totals.tokens.prompt,
      completion: totals.tokens.completion,
      ...(totals.reasoningTokens > 0 ? { reasoning: totals.reasoningTokens } : {}),
    },
    // A millionth of a dollar is more precise than any bill.
    cost_usd: cost === null ? null : rounded(cost),
    ...(totals.estimatedAnswers > 0 ? { tokens_estimated: totals.estimatedAnswers } : {}),
    ...(totals.isCostEstimated ? { cost_estimated: true as const } : {}),
  };
}

function rounded(dollars: number): number {
  return Math.round(dollars * 1e6) / 1e6;
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
export function describeSummary(
  summary: Summary,
  session: SessionFigures,
  { folder, results }: { folder: RunFolder; results: readonly string[] },
): string {
  const { rows, requests } = summary;
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
    ...(summary.servers === undefined ? [] : [['Servers', describeServers(summary.servers)]]),
    ['Tokens', describeTokens(summary)],
    ['Cost', describeCost(summary)],
    ...Object.entries(summary.annotators ?? {}).map(([name, figures]) => [
      '',
      describeAnnotator(name, figures),
    ]),
    ...describeSaving(summary),
    ...(summary.agreement === undefined ? [] : [['Answers', describeAgreement(summary.agreement)]]),
    ...describeDropped(summary),
    ...describeSelection(summary),
    // A session that sent nothing and waited for nothing has no time: what it took is only to write the results.
    ...(session.milliseconds === 0 ? [] : [['Time', describeRate(session)]]),
    ['Result', results.join(', ')],
    // The report reads one file.
    ...(results.includes(folder.reannotated)
      ? [['Report', `npx reannotate report ${shellWord(folder.save)}`]]
      : []),
  ];
  return lines.map(([title = '', text = '']) => `${(title && `${title}:`).padEnd(10)}${text}`).join('\n');
}

/** Servers that are named one by one; a larger fleet is summed up. */
const SERVERS_NAMED = 8;

/** Each server's share of the answers, the largest first. */
export function describeServers(servers: ServerCounts): string {
  const entries = Object.entries(servers).sort(([, a], [, b]) => b.answers - a.answers);
  const all = entries.reduce((sum, [, { answers }]) => sum + answers, 0);
  const shown = entries.slice(0, SERVERS_NAMED).map(([server, { answers }]) => {
    const share = all === 0 ? 0 : (100 * answers) / all;
    return `${sanitize(server, 80)} ${count(answers)} (${share.toFixed(share < 10 ? 1 : 0)} %)`;
  });
  const more = entries.length - shown.length;
  return [...shown, ...(more > 0 ? [`${count(more)} more`] : [])].join(', ');
}

/** Tokens for people, and whether they had to be estimated. */
export function describeTokens({ tokens, tokens_estimated: answers }: Spending): string {
  const { prompt, completion, reasoning = 0 } = tokens;
  const thought = reasoning === 0 ? '' : `, ${count(reasoning)} of it reasoning`;
  const estimate =
    answers === undefined ? '' : ` (estimated: the server reports no usage for ${plural(answers, 'answer')})`;
  return `${count(prompt)} prompt, ${count(completion)} completion${thought}${estimate}`;
}

function describeAnnotator(name: string, { rows, cost_usd: cost }: AnnotatorFigures): string {
  return `${sanitize(name, 80)}: ${plural(rows, 'answer')}, ${cost === null ? 'cost not known' : dollars(cost)}`;
}

function describeAgreement({ agree, disagree, unknown }: NonNullable<Summary['agreement']>): string {
  const comparable = agree + disagree;
  const share = comparable === 0 ? '' : ` (${((100 * agree) / comparable).toFixed(1)} %)`;
  const rest = unknown === 0 ? '' : `; ${count(unknown)} cannot be compared`;
  return `${count(agree)} of ${count(comparable)} agree with the original${share}${rest}`;
}

/** The cost for people, and whether it had to be estimated. */
export function describeCost({ cost_usd: cost, cost_estimated }: Spending): string {
  if (cost === null) return 'unknown: no price for this model';
  const isEstimate = cost_estimated === true;
  return `${spent(cost, isEstimate)}${isEstimate ? ' (estimated)' : ''}`;
}

function describeSaving({
  reused_rows: reused = 0,
  deduped_rows: deduped = 0,
  saved_usd: saved,
}: Summary): string[][] {
  const parts = [
    reused === 0 ? '' : `${plural(reused, 'answer')} from earlier runs`,
    deduped === 0 ? '' : `${plural(deduped, 'answer')} shared between identical requests`,
  ].filter((part) => part !== '');
  if (parts.length === 0) return [];
  return [['Saved', `${parts.join(', ')}${saved === undefined ? '' : ` (${dollars(saved)})`}`]];
}

function describeDropped({ dropped }: Summary): string[][] {
  if (dropped === undefined) return [];
  const reasons = Object.entries(dropped.reasons).map(
    ([reason, rows]) => `${sanitize(reason, 80)} ${count(rows)}`,
  );
  return [['Dropped', `${plural(dropped.rows, 'row')} (${reasons.join(', ')}); ${count(dropped.kept)} kept`]];
}

function describeSelection({ selection }: Summary): string[][] {
  if (selection === undefined) return [];
  const { judge, requests } = selection;
  return [['Choice', `by ${judge}: ${plural(requests.sent, 'request')}, ${describeCost(selection)}`]];
}

function describeRate(session: SessionFigures): string {
  const time = duration(session.milliseconds);
  if (session.answered === 0) return time;
  const perMinute = Math.round(session.answered / Math.max(session.milliseconds, 1) / (1 / 60_000));
  const bound = session.bound === null ? '' : `, held back by ${session.bound}`;
  return `${time} for ${plural(session.answered, 'answer')} (${count(perMinute)} per minute${bound})`;
}
