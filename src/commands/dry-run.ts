/** `--dry_run`: what a run would ask and cost. Nothing is written, and nothing that costs is sent but `--probe`'s rows. */

import { hasFlexTier } from '../models/annotators.js';
import { isThinkingModel, TOKENS_TO_THINK } from '../models/thinking-models.js';
import type { BatchTerms } from '../models/batch-terms.js';
import { costOf, findPrice, shareOf, type Price, type Rates } from '../models/prices.js';
import { imageTokens } from '../models/image-tokens.js';
import { tierOf } from '../models/service-tiers.js';
import { loadTokenizer, type Tokenizer } from '../models/tokenizer.js';
import { EXIT, UserError } from '../lib/errors.js';
import { RowProblem } from '../formats/row-problem.js';
import type { ModelCall } from '../models/call.js';
import type { RunPolicy, RunSettings } from '../run/settings.js';
import { printResult } from '../terminal/output.js';
import { RowCounter, RowSample, type Estimate } from '../run/estimate.js';
import { fallbackCall } from '../run/fallback.js';
import { requestBody, requestOf } from '../run/jobs.js';
import { findDataset } from '../run/find-dataset.js';
import { requestShape } from '../run/prepare.js';
import { SparedRequests } from '../session/spared-requests.js';
import { count, sanitize } from '../lib/text.js';
import { requireHours } from '../session/off-peak.js';
import { splitsChoices } from '../models/several-answers.js';
import { turnsOf } from '../run/turns.js';
import type { AccountLimits } from '../http/limit-headers.js';
import type { PromptRow, SourceRow } from '../types.js';
import type { ChosenFormat } from '../formats/index.js';
import { mostTokens } from '../models/generation.js';
import type { DryRun, PriceRange, UsedColumns } from './dry-run-result.js';
import { findLimits } from '../session/account-limits.js';
import { dryRunTable } from './dry-run-table.js';
import { probeRows, type Probe, type ProbedCall } from '../session/probe.js';
import type { CommandContext } from '../session/command-context.js';

/** Requests that are shown as examples. */
const EXAMPLES = 3;
/** Row-level problems that are shown one by one. */
const PROBLEMS_SHOWN = 5;

/** How a dry run is done. */
export interface DryRunRequest {
  /** The figures as JSON. */
  json: boolean;
  /** Rows that are really sent; 0: only the account's limits, of any server; null: as it comes. */
  probe: number | null;
}

/** Prints what a run would come to. Exit code 0. */
export async function dryRun(
  settings: RunSettings,
  { json, probe: probed }: DryRunRequest,
  context: CommandContext,
): Promise<number> {
  const { selection, call, policy, output } = settings;
  const { annotator, generation } = call;
  warnOfShortAnswers(call, context);
  if (output.select === 'judge')
    context.console.warning(
      'The requests of --select judge are not included: two for each further, different answer of a row.',
    );
  if (policy.checkRetry !== null)
    context.console.warning(
      `What --check_retry ${policy.checkRetry} sends again is not included: it depends on the answers.`,
    );
  const price = await findPrice(annotator.provider, annotator.model);
  requireHours(call, policy, price);
  const tokenizer = await loadTokenizer(annotator.model);
  const sample = new RowSample(Math.max(EXAMPLES, probed ?? 0));
  const { estimate, columns, problems, spared } = await countRows(settings, tokenizer, sample, context);
  const probe =
    probed === null || probed === 0
      ? null
      : await probeSample(sample, probed, { call, policy, price }, context);
  const limits = probe?.limits ?? (await findLimits(call, probed === 0, context));
  const shape = requestShape(call);
  const examples = spread(sample.rows(), EXAMPLES).map(({ index, row }) => ({
    request_idx: index,
    body: requestBody(requestOf(row), shape),
  }));
  // Turns that build on each other do not fit into a batch.
  const batches = selection.turns === 'all' ? null : batchesOf(call, policy, estimate);
  const keepsHours = policy.offPeak === 'auto';
  const counted = figures(call, { estimate, tokenizer, price, probe, limits, batches, keepsHours });
  const fallback = await fallbackPrice(call, policy, counted);
  const result = { ...counted, ...spared, fallback, problems, columns, probe, examples };
  const text = json ? JSON.stringify(result, null, 2) : dryRunTable(result, generation);
  await printResult(`${text}\n`);
  return EXIT.done;
}

/** What a row costs that the run's own annotator refuses, by the tokens that a request takes on average. */
async function fallbackPrice(
  call: ModelCall,
  policy: RunPolicy,
  {
    requests,
    prompt_tokens: prompt,
    completion_tokens: completion,
  }: Pick<DryRun, 'requests' | 'prompt_tokens' | 'completion_tokens'>,
): Promise<DryRun['fallback']> {
  const other = fallbackCall(call, policy);
  if (other === null) return null;
  const { annotator } = other;
  const price = await findPrice(annotator.provider, annotator.model);
  const costOfRow = (tokens: number | null): number | null =>
    price === null || tokens === null || requests === 0
      ? null
      : costOf({ promptTokens: prompt.expected / requests, completionTokens: tokens / requests }, price);
  return {
    annotator: annotator.name,
    usd_per_row: costOfRow(completion.expected),
    usd_per_row_maximum: costOfRow(completion.maximum),
  };
}

/** Reasoning counts as part of the answer, and 2,048 tokens are often gone before the answer begins. */
function warnOfShortAnswers({ annotator, generation }: ModelCall, { console }: CommandContext): void {
  const { max_tokens: most, reasoning_effort: effort } = generation;
  const thinks = effort === null ? isThinkingModel(annotator.model) : effort !== 'none';
  if (!thinks || most === null || most >= TOKENS_TO_THINK) return;
  console.warning(
    `${sanitize(annotator.name, 80)} reasons before it answers, and --max_tokens ${most} limits both together: expect truncated ` +
      `answers. ${count(TOKENS_TO_THINK)} or more is usual; none means no limit.`,
  );
}

/** What one reading of all rows gives. */
interface Counted {
  estimate: Estimate;
  columns: UsedColumns;
  problems: string[];
  spared: Pick<DryRun, 'reused_rows' | 'deduped_rows'>;
}

async function countRows(
  settings: RunSettings,
  tokenizer: Tokenizer,
  sample: RowSample,
  { console, interruption }: CommandContext,
): Promise<Counted> {
  const { selection, call, policy, output } = settings;
  const spared = await SparedRequests.open(call, policy, output.tempDir, console);
  const { dataset, format } = await findDataset(settings, console, interruption.soft);
  const shape = requestShape(call);
  const counter = new RowCounter(tokenizer, imageTokens(shape.model));
  const problems: string[] = [];
  const endProgress = console.showProgress(() => `Counting rows: ${count(counter.rows)}`);
  try {
    const { offset, limit } = selection;
    const rows = dataset.rows({ columns: format.columns, offset, limit, signal: interruption.soft });
    for await (const row of rows) {
      const prompt = readRow(row, format);
      if (typeof prompt === 'string') {
        counter.addUnusable();
        if (problems.length < PROBLEMS_SHOWN) problems.push(sanitize(prompt, 500));
      } else {
        const [first = prompt, ...others] = selection.turns === 'all' ? turnsOf(prompt) : [prompt];
        const body = JSON.stringify(requestBody(requestOf(first), shape));
        if (spared.has(body)) counter.addSpared();
        else {
          sample.add(counter.rows, first);
          counter.add(first, Buffer.byteLength(body));
        }
        for (const turn of others)
          counter.addFurther(turn, Buffer.byteLength(JSON.stringify(requestBody(requestOf(turn), shape))));
      }
    }
  } finally {
    endProgress();
  }
  if (counter.rows === 0) throw new UserError(`The dataset ${sanitize(selection.dataset, 120)} has no rows.`);
  for (const problem of problems)
    console.warning(problem.startsWith('row ') ? `Skipped ${problem}` : `Skipped: ${problem}`);
  return { estimate: counter.estimate(), columns: usedColumns(format), problems, spared: spared.counts };
}

/** The prompt of a row, or why it has none. */
export function readRow(row: SourceRow, format: ChosenFormat): PromptRow | string {
  if ('problem' in row) return row.problem;
  try {
    return format.apply(row.value);
  } catch (error) {
    if (error instanceof RowProblem) return `row ${row.index}: ${error.message}`;
    throw error;
  }
}

function usedColumns({ name, roles, unused, suspicious }: ChosenFormat): UsedColumns {
  const { prompt, choices, spreadChoices, system, history, response } = roles;
  return {
    format: name,
    prompt,
    inputs: [...roles.inputs, ...spreadChoices],
    choices,
    system,
    history,
    response,
    unused,
    looks_like_prompt: suspicious,
  };
}

async function probeSample(
  sample: RowSample,
  probed: number,
  probedCall: ProbedCall,
  context: CommandContext,
): Promise<Probe> {
  const rows = spread(sample.rows(), probed);
  context.console.warning(
    `--probe sends ${count(rows.length)} ${rows.length === 1 ? 'row' : 'rows'} to ${probedCall.call.annotator.name}, which costs money; the answers are not kept.`,
  );
  return probeRows(rows, probedCall, context);
}

/** So many of some rows, evenly. */
function spread<Row>(rows: readonly Row[], most: number): Row[] {
  if (rows.length <= most) return [...rows];
  return rows.filter(
    (_, place) => Math.floor((place * most) / rows.length) !== Math.floor(((place - 1) * most) / rows.length),
  );
}

/** What the figures are computed from. */
interface Learnt {
  estimate: Estimate;
  tokenizer: Tokenizer;
  price: Price | null;
  probe: Probe | null;
  limits: AccountLimits;
  /** What the run would be in batches; null where it cannot be. */
  batches: { terms: BatchTerms; count: number } | null;
  /** True where requests wait for off-peak hours. */
  keepsHours: boolean;
}

/** Tokens of all answers, by what a probe showed, or else by the original answers. */
function completionTokens(
  { generation }: ModelCall,
  estimate: Estimate,
  probe: Probe | null,
  requests: number,
): DryRun['completion_tokens'] {
  const most = mostTokens(generation);
  const maximum = most === null ? null : estimate.requests * most;
  const bounded = (tokens: number): number => Math.round(Math.min(Math.max(0, tokens), maximum ?? Infinity));
  if (probe === null) {
    const expected = bounded(estimate.originalTokens.tokens * (generation.n ?? 1));
    return { expected, low: null, high: null, maximum };
  }
  const { completionTokens: mean, completionMargin: margin } = probe;
  return {
    expected: bounded(mean * requests),
    low: bounded((mean - margin) * requests),
    high: bounded((mean + margin) * requests),
    maximum,
  };
}

/** @param share of the rates that is charged, such as a half in batches */
function priceRange(
  promptTokens: number,
  { expected, low, high, maximum }: DryRun['completion_tokens'],
  rates: Rates,
  share: number,
): PriceRange {
  const cost = (completionTokens: number): number =>
    costOf({ promptTokens, completionTokens, cachedTokens: 0 }, rates) * share;
  return {
    expected: cost(expected),
    low: low === null ? null : cost(low),
    high: high === null ? null : cost(high),
    maximum: maximum === null ? null : cost(maximum),
  };
}

function figures(
  call: ModelCall,
  { estimate, tokenizer, price, probe, limits, batches, keepsHours }: Learnt,
): Omit<DryRun, 'probe' | 'examples' | 'columns' | 'problems' | 'fallback' | 'reused_rows' | 'deduped_rows'> {
  const { generation, annotator } = call;
  // Each answer of --n on its own, with the whole prompt each time.
  const each = splitsChoices(call) ? (generation.n ?? 1) : 1;
  const requests = estimate.requests * each;
  const completion = completionTokens(call, estimate, probe, requests);
  const promptTokens = estimate.promptTokens.tokens * each;
  const priced = (share: number | null, rates: Rates | null = price): PriceRange | null =>
    rates === null || share === null ? null : priceRange(promptTokens, completion, rates, share);
  const share = price === null ? null : shareOf(price, tierOf(generation.service_tier));
  const offPeak = price?.offPeak ?? null;
  return {
    rows: estimate.rows,
    unusable_rows: estimate.unusable,
    requests,
    prompt_tokens: {
      expected: promptTokens,
      margin: Number(estimate.promptTokens.margin.toPrecision(3)),
      tokenizer: tokenizer.name,
    },
    completion_tokens: completion,
    price_usd: {
      online: keepsHours ? priced(share, offPeak?.rates) : priced(share),
      off_peak: offPeak === null ? null : priced(share, offPeak.rates),
      flex:
        price !== null && annotator.providerName === 'openai' && hasFlexTier(annotator.model)
          ? priced(price.tiers.flex)
          : null,
      batch: batches === null ? null : priced(batches.terms.price),
    },
    off_peak:
      offPeak === null
        ? null
        : { hours: String(offPeak.hours), now: offPeak.hours.includes(Date.now()), kept: keepsHours },
    batches: batches?.count ?? null,
    limits: {
      requests_per_minute: limits.requestsPerMinute,
      tokens_per_minute: limits.tokensPerMinute,
      requests_per_day: limits.requestsPerDay,
    },
    minutes: minutesFor(limits, requests, promptTokens + (completion.maximum ?? completion.expected)),
  };
}

/** Null where the run cannot go into batches: answers that are requested one by one do not fit. */
function batchesOf(call: ModelCall, policy: RunPolicy, { requests, bytes }: Estimate): Learnt['batches'] {
  const terms = call.annotator.provider.batches;
  if (terms === null || splitsChoices(call)) return null;
  const bySize = Math.ceil(requests / Math.min(policy.maxBatchSize, terms.requests));
  return { terms, count: Math.max(bySize, Math.ceil(bytes / Math.min(policy.maxBatchBytes, terms.bytes))) };
}

/** @param tokens that the API reserves: `max_tokens` for every request, whatever is used of it */
function minutesFor(limits: AccountLimits, requests: number, tokens: number): DryRun['minutes'] {
  const bounds = [
    { bound: 'requests' as const, amount: requests, limit: limits.requestsPerMinute, minutes: 1 },
    { bound: 'tokens' as const, amount: tokens, limit: limits.tokensPerMinute, minutes: 1 },
    { bound: 'requests per day' as const, amount: requests, limit: limits.requestsPerDay, minutes: 24 * 60 },
  ].flatMap(({ bound, amount, limit, minutes }) =>
    limit === null ? [] : [{ bound, online: (amount / limit) * minutes }],
  );
  return bounds.toSorted((a, b) => b.online - a.online)[0] ?? null;
}
