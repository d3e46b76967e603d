/** `--dry_run --probe N`: some rows are really asked, and paid for, to learn how long answers are. */

import { UserError } from '../lib/errors.js';
import type { ModelCall } from '../models/call.js';
import type { RunPolicy } from '../run/settings.js';
import type { AccountLimits } from '../http/limit-headers.js';
import { TokenEstimate } from '../requests/tokens.js';
import { budgetFor } from '../run/budget.js';
import { totalCost, type Cost, type Price } from '../models/prices.js';
import { addUsage, NO_USAGE, type Usage } from '../models/usage.js';
import { usageOfAnswer } from '../models/usage-estimate.js';
import { requestBody, requestOf } from '../run/jobs.js';
import { requestShape } from '../run/prepare.js';
import { plural } from '../lib/text.js';
import type { PromptRow } from '../types.js';
import { openOnlineSession } from './online-session.js';
import { stopError } from './stops.js';
import type { CommandContext } from './command-context.js';

const CONFIDENCE = 1.96;

/** What asking some rows showed. */
export interface Probe {
  asked: number;
  answered: number;
  /** Of one answered request. */
  promptTokens: number;
  completionTokens: number;
  /** Half the width of the 95 % confidence interval of `completionTokens`. */
  completionMargin: number;
  /** US dollars that the probe itself cost; null where no price is known. */
  cost: number | null;
  /** True where a part of it had to be estimated. */
  isCostEstimated: boolean;
  /** What the API said of the account's limits, or what was given; null where neither. */
  limits: AccountLimits;
  /** The last thing that went wrong with a row. */
  error: string | null;
}

/** How rows are sent, and for how much. */
export interface ProbedCall {
  call: ModelCall;
  policy: RunPolicy;
  /** Null where it is not known. */
  price: Price | null;
}

/**
 * Asks rows and keeps nothing but figures.
 * @throws UserError where the run itself could not be made (a wrong key, an unknown model), or nothing was answered
 */
export async function probeRows(
  rows: readonly { index: number; row: PromptRow }[],
  probed: ProbedCall,
  { console, interruption }: CommandContext,
): Promise<Probe> {
  const { call, policy, price } = probed;
  const usages: Usage[] = [];
  /** Paid for as well, but no measure of an answer's length. */
  const wasted: Usage[] = [];
  const errors: string[] = [];
  const cost = (): Cost | null => totalCost([...usages, ...wasted].reduce(addUsage, NO_USAGE), price);
  const budget = budgetFor(probed, () => cost()?.amount ?? 0);
  const events = {
    answered: (_job: unknown, sent: Buffer, json: Buffer, { usage: reported }: { usage: Usage | null }) => {
      const usage = usageOfAnswer(reported, sent, json);
      usages.push(usage);
      budget?.observe(usage);
    },
    failed: (_job: unknown, _sent: unknown, [...why]: string[]) => {
      errors.push(why.at(-1) ?? 'no reason');
    },
    partial: (_job: unknown, sent: Buffer, json: Buffer, { usage: reported }: { usage: Usage | null }) => {
      const usage = usageOfAnswer(reported, sent, json);
      wasted.push(usage);
      budget?.observe(usage);
    },
    exchanged: () => undefined,
    wasted: (usage: Usage) => {
      wasted.push(usage);
      budget?.observe(usage);
    },
    parameterChanged: (_change: unknown, message: string) => {
      console.warning(message);
    },
    shortened: () => undefined,
    streamed: (message: string) => {
      console.warning(message);
    },
    movedToResponses: (message: string) => {
      console.warning(message);
    },
  };
  const { client, limiter, processor } = await openOnlineSession(call, {
    ...{ budget, events, reporter: console },
    hasAnswers: false,
    partialBefore: null,
  });
  const abandon = (): void => {
    processor.abandon();
    void client.abort();
  };
  interruption.soft.addEventListener('abort', abandon, { once: true });
  const endProgress = console.showProgress(
    () => `Probing: ${processor.counts.answered} of ${plural(rows.length, 'row')}`,
  );
  try {
    const estimate = new TokenEstimate();
    const shape = requestShape(call);
    const jobs = rows.map(({ index, row }) => {
      const body = Buffer.from(JSON.stringify(requestBody(requestOf(row), shape)));
      return { requestIdx: index, body, tokens: estimate.of(body) };
    });
    const stop = await processor.run(jobs);
    interruption.soft.throwIfAborted();
    if (stop?.reason === 'error') throw await stopError(stop, call);
    if (stop?.reason === 'budget') {
      const sent = plural(processor.counts.answered + processor.counts.failed, 'row');
      const what = `--max_cost ${policy.maxCost ?? 0} ended the probe after ${sent} of ${rows.length}`;
      if (usages.length === 0) throw new UserError(`${what}: not even one request fits. Raise --max_cost.`);
      console.warning(`${what}, so the estimate is less certain.`);
    }
    if (usages.length === 0) {
      throw new UserError(
        `None of ${plural(rows.length, 'row')} was answered; the last one failed with: ${errors.at(-1) ?? 'no reason'}.`,
      );
    }
  } finally {
    interruption.soft.removeEventListener('abort', abandon);
    endProgress();
    await client.abort();
  }
  return {
    asked: rows.length,
    answered: processor.counts.answered,
    ...lengths(usages),
    cost: cost()?.amount ?? null,
    isCostEstimated: cost()?.isEstimate ?? false,
    limits: {
      requestsPerMinute: limiter.requestsPerMinute,
      tokensPerMinute: limiter.tokensPerMinute,
      requestsPerDay: limiter.requestsPerDay,
    },
    error: errors.at(-1) ?? null,
  };
}

/** How long requests and answers are on average. */
function lengths(
  usages: readonly Usage[],
): Pick<Probe, 'promptTokens' | 'completionTokens' | 'completionMargin'> {
  const mean = (valueOf: (usage: Usage) => number): number =>
    usages.reduce((sum, usage) => sum + valueOf(usage), 0) / usages.length;
  const average = mean(({ completionTokens: tokens }) => tokens);
  const variance = mean(({ completionTokens: tokens }) => (tokens - average) ** 2);
  const spread = usages.length < 2 ? average : Math.sqrt(variance / (usages.length - 1));
  return {
    promptTokens: mean(({ promptTokens: tokens }) => tokens),
    completionTokens: average,
    completionMargin: CONFIDENCE * spread,
  };
}
