/** A judgement in words: what it will cost, and what it came to. */

import { costOf, type Price } from '../models/prices.js';
import type { JudgeFigures } from '../judge/figures.js';
import { isSignificant } from '../judge/interval.js';
import type { Sample } from '../judge/sample.js';
import type { ModelCall } from '../models/call.js';
import { isReasoningModel } from '../requests/parameters.js';
import { TokenEstimate } from '../requests/tokens.js';
import { describeCost, describeTokens } from '../run/summary.js';
import { count, dollars, sanitize, plural } from '../lib/text.js';

/** Characters that a bar of all pairs has. */
const BAR = 30;
/** Tokens of a verdict with its reasons, as the prompts ask for them; reasoning models think before they write. */
const USUAL_TOKENS = 150;
const USUAL_REASONING_TOKENS = 1000;

/** What requests come to, before they are sent. */
export class RequestEstimate {
  requests = 0;
  #promptTokens = 0;
  readonly #maximumTokens: number | null;
  readonly #usualTokens: number;
  readonly #tokens = new TokenEstimate();

  /** @param noun what a request asks for */
  constructor(
    private readonly call: ModelCall,
    private readonly noun = 'verdict',
  ) {
    const usual = isReasoningModel(call.annotator.model) ? USUAL_REASONING_TOKENS : USUAL_TOKENS;
    this.#maximumTokens = call.generation.max_tokens;
    this.#usualTokens = Math.min(usual, this.#maximumTokens ?? Infinity);
  }

  /** @param body of a request, as JSON */
  add(body: Buffer): void {
    this.requests += 1;
    this.#promptTokens += this.#tokens.of(body);
  }

  /** One line. */
  describe(price: Price | null): string {
    const { requests } = this;
    const what = `${plural(requests, 'request')} to ${sanitize(this.call.annotator.name, 80)}, about ${plural(this.#promptTokens, 'prompt token')}`;
    if (price === null) return `${what}; the cost is unknown.`;
    const cost = (completionTokens: number): string =>
      dollars(costOf({ promptTokens: this.#promptTokens, completionTokens, cachedTokens: 0 }, price));
    const usual = `${what}: about ${cost(requests * this.#usualTokens)}`;
    const most = this.#maximumTokens;
    if (most === null) return `${usual}, and more if the ${this.noun}s are longer (--max_tokens none).`;
    return `${usual}, at most ${cost(requests * most)} (${count(most)} tokens for every ${this.noun}).`;
  }
}

/** The lines that end a judgement on the terminal. */
export function describeFigures(figures: JudgeFigures, sample: Sample, result: string): string {
  const { wins, ties, losses, undecided, rows } = figures;
  const counted = (pairs: number, more = ''): string => {
    const share = rows === 0 ? 0 : pairs / rows;
    const bar = '█'.repeat(Math.round(share * BAR));
    return [count(pairs).padStart(5), percent(share).padStart(8), bar, more].join('  ').trimEnd();
  };
  const of = [
    figures.identical > 0 ? `${count(figures.identical)} with identical answers` : '',
    figures.flipped > 0 ? `${count(figures.flipped)} whose verdict flipped with the order` : '',
  ].filter((text) => text !== '');
  const lines = [
    [
      'Judge',
      `${sanitize(figures.annotator, 80)}, ${plural(rows, 'pair')} of ${count(sample.pairs)}, both orders`,
    ],
    ['New wins', counted(wins)],
    ['Ties', counted(ties, of.length === 0 ? '' : `(${of.join(', ')})`)],
    ['Old wins', counted(losses)],
    ...(undecided > 0 ? [['Undecided', counted(undecided)]] : []),
    ['Win rate', describeRate(figures)],
    ['Tokens', describeTokens(figures)],
    ['Cost', describeCost(figures)],
    ['Verdicts', result],
  ];
  const table = lines.map(([title, text]) => `${`${title ?? ''}:`.padEnd(11)}${text ?? ''}`).join('\n');
  return `${table}\n${conclusion(figures)}`;
}

function describeRate({ win_rate: rate, confidence_interval_95: interval }: JudgeFigures): string {
  if (rate === null || interval === null) return 'none: no pair was decided';
  const [low, high] = interval;
  return `${percent(rate)} of the new answers, ties counted as half (95 % confidence: ${percent(low)} to ${percent(high)})`;
}

/** What the figures allow to say, and no more. */
function conclusion(figures: JudgeFigures): string {
  const { confidence_interval_95: interval, annotator } = figures;
  const pairs = figures.wins + figures.ties + figures.losses;
  if (interval === null) return 'No result: no pair was decided.';
  if (isSignificant(interval))
    return `${sanitize(annotator, 80)} prefers the ${interval[0] > 0.5 ? 'new' : 'old'} answers.`;
  return `No significant difference with ${plural(pairs, 'pair')}: the 95 % interval includes 50 %. A larger --sample may show one.`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
