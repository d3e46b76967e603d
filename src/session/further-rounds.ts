/**
 * What is sent after a run's own requests, into the same journal: `--escalate_truncated` sends rows whose answers were
 * cut off with more tokens, and `--fallback_annotator` sends what was refused to another annotator. Each round is done
 * once for each row, whatever the sessions that it takes.
 */

import type { ModelCall } from '../models/call.js';
import { fallbackCall, fallbackOf } from '../run/fallback.js';
import { requestBody, type RowRequest } from '../run/jobs.js';
import type { JournalIndex } from '../run/journal.js';
import { annotatorOf, type Resent } from '../run/origin.js';
import { requestShape } from '../run/prepare.js';
import type { RunPolicy } from '../run/settings.js';
import { findPrice } from '../models/prices.js';
import { plural } from '../lib/text.js';
import type { RetriableState } from '../types.js';
import { sendOnline, combineResults, type OnlineResult, type OnlineWork, type SentAgain } from './online.js';
import type { SharedAnswers } from './share-answers.js';
import type { CommandContext } from './command-context.js';

/** What bounds an answer's length in a request, by provider and model. */
const BOUNDS = ['max_tokens', 'max_completion_tokens'];

/** Rows that an annotator has given no answer to. */
const WITHHELD = ['refused', 'filtered'] as const satisfies readonly RetriableState[];

/** Rows to be sent after the others, and what is sent for them. */
interface Round {
  states: readonly RetriableState[];
  origin: Resent;
  /** `Sending 3 truncated rows again with 4 times the tokens.` */
  announcement: (rows: number) => string;
  /** Of a row, or of one of its parts, in one of the states. */
  isDue: (slots: JournalIndex, slot: number) => boolean;
  requestFor: (job: Buffer) => Buffer;
  work: OnlineWork;
}

/**
 * Sends what the answers so far call for.
 * @param asked how sending went so far; where that stopped, nothing more is sent
 * @returns how it went in all
 */
export async function sendFurtherRounds(
  work: OnlineWork,
  asked: OnlineResult,
  shared: Pick<SharedAnswers, 'settle' | 'spare'>,
  context: CommandContext,
): Promise<OnlineResult> {
  let all = asked;
  const { index } = work.run;
  for (const round of roundsOf(work)) {
    if (all.stop !== null) break;
    if (round.states.every((state) => index.count(state) === 0)) continue;
    await shared.settle();
    const again = sentAgain(round, index, shared.spare(round.states));
    all = combineResults(all, await sendOnline({ ...(await priced(round)), again }, context));
  }
  return all;
}

/** True where the answers so far may call for more. */
export function mayFollow({
  policy,
  run: { index },
}: {
  policy: RunPolicy;
  run: { index: JournalIndex };
}): boolean {
  const { escalateTruncated } = policy;
  if (escalateTruncated !== null && index.count('truncated') > 0) return true;
  return fallbackOf(policy) !== null && WITHHELD.some((state) => index.count(state) > 0);
}

/** Another annotator's price is looked up once it is needed: the table takes a while to load. */
async function priced({ origin, work }: Round): Promise<OnlineWork> {
  if (annotatorOf(origin) === null) return work;
  const { annotator } = work.call;
  const price = await findPrice(annotator.provider, annotator.model);
  await work.totals.accountOf(annotator.name).findPrice(annotator);
  return { ...work, price };
}

function roundsOf(work: OnlineWork): Round[] {
  const other = fallbackCall(work.call, work.policy);
  const factor = work.policy.escalateTruncated;
  const rounds = factor === null ? [] : [escalation(work, factor, null)];
  if (other === null) return rounds;
  const elsewhere = toOther(work, other);
  rounds.push(fallback(elsewhere, other));
  if (factor !== null) rounds.push(escalation(elsewhere, factor, other.annotator.name));
  return rounds;
}

/** @param annotator null for the run's own */
function escalation(work: OnlineWork, factor: number, annotator: string | null): Round {
  const change = annotator === null ? (job: Buffer): Buffer => job : forAnnotator(work.call);
  return {
    states: ['truncated'],
    origin: { kind: 'escalated', factor, ...(annotator === null ? {} : { annotator }) },
    announcement: (rows) => `Sending ${plural(rows, 'truncated row')} again with ${factor} times the tokens.`,
    isDue: ({ origins }, slot) =>
      origins.answeredBy(slot) === annotator && isLonger(origins.escalationOf(slot), factor, work),
    requestFor: (job) => withMoreTokens(change(job), factor),
    work: { ...work, call: withBound(work.call, factor) },
  };
}

/** True where a larger factor gives an answer more tokens: a model that writes no more would only be paid again. */
function isLonger(before: number, factor: number, { call, mostTokens = null }: OnlineWork): boolean {
  const base = call.generation.max_tokens;
  const most = mostTokens ?? Infinity;
  return factor > before && (base === null || Math.min(base * factor, most) > Math.min(base * before, most));
}

function fallback(work: OnlineWork, { annotator: { name } }: ModelCall): Round {
  const request = { annotator: name, retriesFailed: work.policy.retry.includes('failed') };
  return {
    states: WITHHELD,
    origin: { kind: 'fallback', annotator: name },
    announcement: (rows) => `Sending ${plural(rows, 'refused row')} to ${name}.`,
    isDue: ({ origins }, slot) => origins.mayFallBack(slot, request),
    requestFor: forAnnotator(work.call),
    work,
  };
}

/** The same run with another annotator: what is learnt of its parameters is nothing to the run's own. */
function toOther(work: OnlineWork, call: ModelCall): OnlineWork {
  return {
    ...work,
    call,
    run: { ...work.run, partialBefore: null },
    price: null,
    serviceTier: null,
    mostTokens: null,
    onChanges: () => undefined,
  };
}

function sentAgain(round: Round, index: JournalIndex, spare: Uint8Array | null): SentAgain {
  const { states, isDue, origin, announcement, requestFor } = round;
  const isIn = (slots: JournalIndex, slot: number): boolean =>
    (states as readonly string[]).includes(slots.state(slot)) && isDue(slots, slot);
  const parts = (row: number): number[] => {
    if (index.parts === null) return [];
    const { slots, layout } = index.parts;
    const first = layout.firstOf(row);
    const numbers = Array.from({ length: layout.requiredOf(row) }, (_, number) => number);
    return numbers.filter((number) => isIn(slots, first + number));
  };
  const isWanted = (row: number): boolean => {
    if (!(states as readonly string[]).includes(index.state(row))) return false;
    return index.parts === null ? isDue(index, row) : parts(row).length > 0;
  };
  return {
    ...{ origin, announcement, parts, requestFor },
    row: (row) => !index.isHeld(row) && spare?.[row] !== 1 && isWanted(row),
  };
}

/** What rate limits and `--max_cost` reserve for each request. */
function withBound(call: ModelCall, factor: number): ModelCall {
  const { max_tokens: most } = call.generation;
  const generation = { ...call.generation, max_tokens: most === null ? null : most * factor };
  return { ...call, generation };
}

/**
 * A request whose answer may be longer.
 * @param job its body, as JSON
 */
export function withMoreTokens(job: Buffer, factor: number): Buffer {
  const body = JSON.parse(job.toString('utf8')) as Record<string, unknown>;
  for (const name of BOUNDS) {
    const most = body[name];
    if (typeof most === 'number') body[name] = most * factor;
  }
  return Buffer.from(JSON.stringify(body));
}

interface JobBody extends RowRequest {
  n?: number;
  seed?: number;
}

/** Makes a row's job into what another annotator is asked: the same turns and tools, in its own shape. */
export function forAnnotator(call: ModelCall): (job: Buffer) => Buffer {
  const shape = requestShape(call);
  return (job) => {
    const { messages, tools, n, seed } = JSON.parse(job.toString('utf8')) as JobBody;
    const request: RowRequest = tools === undefined ? { messages } : { messages, tools };
    // One of several answers is requested on its own, with another seed.
    const own = {
      n: n ?? null,
      seed: shape.generation.seed === null ? null : (seed ?? shape.generation.seed),
    };
    const generation = { ...shape.generation, ...own };
    return Buffer.from(JSON.stringify(requestBody(request, { ...shape, generation })));
  };
}
