/** `--dry_run --probe N`: some rows are really asked, and paid for, to learn how long answers are. */

import { UserError } from '../lib/errors.js';
import type { ModelCall } from '../models/call.js';
import type { RunPolicy } from '../run/settings.js';
import type { AccountLimits } from '../http/limit-headers.js';
import { TokenEstimate } from '../requests/tokens.js';
import { budgetFor, type CostBudget } from '../run/budget.js';
import type { Job, ProcessorEvents } from '../requests/processor.js';
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
 * Sends rows and keeps nothing but figures.
 * @throws UserError where the run itself could not be made (a wrong key, an unknown model), or nothing was answered
 */
export async function probeRows(
  rows: readonly { index: number; row: PromptRow }[],
  probed: ProbedCall,
  { console, interruption }: CommandContext,
): Promise<Probe> {
  const { call } = probed;
  const tally = new ProbeTally(probed, console);
  const { client, limiter, processor } = await openOnlineSession(call, {
    ...{ budget: tally.budget, events: tally, reporter: console },
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
    const stop = await processor.run(jobsOf(rows, call));
    interruption.soft.throwIfAborted();
    if (stop?.reason === 'error') throw await stopError(stop, call);
    const sent = processor.counts.answered + processor.counts.failed;
    tally.check(stop?.reason === 'budget' ? sent : null, rows.length);
  } finally {
    interruption.soft.removeEventListener('abort', abandon);
    endProgress();
    await client.abort();
  }
  const { requestsPerMinute, tokensPerMinute, requestsPerDay } = limiter;
  return {
    asked: rows.length,
    answered: processor.counts.answered,
    ...tally.figures,
    limits: { requestsPerMinute, tokensPerMinute, requestsPerDay },
  };
}

function jobsOf(rows: readonly { index: number; row: PromptRow }[], call: ModelCall): Job[] {
  const estimate = new TokenEstimate();
  const shape = requestShape(call);
  return rows.map(({ index, row }) => {
    const body = Buffer.from(JSON.stringify(requestBody(requestOf(row), shape)));
    return { requestIdx: index, body, tokens: estimate.of(body) };
  });
}

/** What came of the rows of a probe. */
class ProbeTally implements ProcessorEvents {
  /** Keeps the probe under `--max_cost`; null where there is no limit. */
  readonly budget: CostBudget | null;
  readonly #usages: Usage[] = [];
  /** Paid for as well, but no measure of an answer's length. */
  readonly #wasted: Usage[] = [];
  readonly #errors: string[] = [];

  constructor(
    private readonly probed: ProbedCall,
    private readonly console: CommandContext['console'],
  ) {
    this.budget = budgetFor(probed, () => this.#cost()?.amount ?? 0);
  }

  #cost(): Cost | null {
    return totalCost([...this.#usages, ...this.#wasted].reduce(addUsage, NO_USAGE), this.probed.price);
  }

  answered(_: Job, sent: Buffer, json: Buffer, { usage }: { usage: Usage | null }): void {
    const used = usageOfAnswer(usage, sent, json);
    this.#usages.push(used);
    this.budget?.observe(used);
  }

  partial(_: Job, sent: Buffer, json: Buffer, { usage }: { usage: Usage | null }): void {
    this.wasted(usageOfAnswer(usage, sent, json));
  }

  wasted(usage: Usage): void {
    this.#wasted.push(usage);
    this.budget?.observe(usage);
  }

  failed(_job: Job, _sent: Buffer, [...why]: string[]): void {
    this.#errors.push(why.at(-1) ?? 'no reason');
  }

  parameterChanged(_: unknown, message: string): void {
    this.console.warning(message);
  }

  streamed(message: string): void {
    this.console.warning(message);
  }

  movedToResponses(message: string): void {
    this.console.warning(message);
  }

  exchanged(): void {
    // Nothing is drawn over time.
  }

  shortened(): void {
    // It concerns one row.
  }

  /**
   * @param sent rows that were sent where `--max_cost` ended the probe; null where it did not
   * @throws UserError where no answer came
   */
  check(sent: number | null, rows: number): void {
    if (sent !== null) {
      const { maxCost } = this.probed.policy;
      const what = `--max_cost ${maxCost ?? 0} ended the probe after ${plural(sent, 'row')} of ${rows}`;
      if (this.#usages.length === 0)
        throw new UserError(`${what}: not even one request fits. Raise --max_cost.`);
      this.console.warning(`${what}, so the estimate is less certain.`);
    }
    if (this.#usages.length > 0) return;
    throw new UserError(
      `None of ${plural(rows, 'row')} was answered; the last one failed with: ${this.#errors.at(-1) ?? 'no reason'}.`,
    );
  }

  get figures(): Omit<Probe, 'asked' | 'answered' | 'limits'> {
    const cost = this.#cost();
    return {
      ...lengths(this.#usages),
      cost: cost?.amount ?? null,
      isCostEstimated: cost?.isEstimate ?? false,
      error: this.#errors.at(-1) ?? null,
    };
  }
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
