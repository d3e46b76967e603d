import type { TokenCounts } from '../../models/usage.js';

/** What is assumed of an answer before the first one, where requests name no maximum. */
const FIRST_GUESS = 1000;
/** Answers that the estimate remembers. */
const MEMORY = 256;
/** The share of answers that use no more than is expected of one. */
const QUANTILE = 0.9;
/** With fewer answers than this, a multiple of the longest is expected. */
const FEW_ANSWERS = 16;
const FEW_ANSWERS_MARGIN = 1.25;
const LEARN_EVERY = 16;
/** How much of the difference between what answers use and what they may use each step adds or takes away. */
const STEP = 0.1;
/** Larger and sooner steps, while nothing is known. */
const FIRST_STEP = 0.25;
const FIRST_STEP_PAUSE_MS = 1000;
const STEP_AFTER_REFUSAL = 0.34;
/** How long a step is watched before the next, and the longest that a step which failed is not tried again. */
const FIRST_PAUSE_MS = 5000;
const LONGEST_PAUSE_MS = 10 * 60_000;
const PAUSE_GROWTH = 4;
/** What a request cost and what it may have cost are only distinguished where they differ by this factor. */
const CLEAR_DIFFERENCE = 1.5;

/** A request's part in the limit of tokens. */
export interface Charged {
  /** Tokens of its prompt, as the API estimates them. */
  readonly tokens: number;
  /** What was taken from the limit for it. */
  charged?: number;
}

/**
 * What a request is charged against a limit of tokens a minute. OpenAI charges the prompt's characters / 4 and all that
 * may be answered, up front (community.openai.com 360359 and 358525); LiteLLM and others charge what the answer used.
 * Which of them it is shows in what the first answer's headers say is left, in the refusals' texts, and in refusals that
 * come although no more was used than allowed. As long as nothing shows that more is charged, what answers use counts;
 * where nothing shows anything, that is approached in a few steps.
 */
export class TokenCharge {
  /** From 0 (what answers use is charged) to 1 (all that may be answered is). */
  #share = 1;
  /** True until something shows what is charged. */
  #isUnknown = true;
  #pause = FIRST_PAUSE_MS;
  #nextStep = Infinity;
  /** Completion tokens of the last answers; the oldest is overwritten. */
  readonly #recent = new Float64Array(MEMORY);
  #answers = 0;
  #expected: number | null = null;

  /** @param maximum the most tokens of an answer, over all its choices; null where requests do not name one */
  constructor(private readonly maximum: number | null) {}

  /** What to take for a request before it is sent. */
  of(promptTokens: number): number {
    const expected = this.#expectedCompletion;
    const most = this.maximum ?? expected;
    return Math.ceil(promptTokens + expected + this.#share * Math.max(0, most - expected));
  }

  /**
   * As long as nothing is known, a limit that is smaller than all that one request may use is taken to count what is
   * used: otherwise nothing would ever fit, and the server says so if that is the case.
   * @param limit tokens a minute
   */
  fitInto(limit: number, promptTokens: number): void {
    if (this.#isUnknown && promptTokens + (this.maximum ?? 0) > limit) this.#share = 0;
  }

  /** The least that a request can be charged. */
  leastOf(promptTokens: number): number {
    return this.#share === 1 && !this.#isUnknown ? this.of(promptTokens) : promptTokens;
  }

  get #expectedCompletion(): number {
    const expected = this.#expected ?? FIRST_GUESS;
    if (this.#expected === null && this.maximum !== null) return this.maximum;
    return this.maximum === null ? expected : Math.min(expected, this.maximum);
  }

  /** What to give back of what was taken for a request, now that its answer is there. */
  settle(request: Charged, usage: TokenCounts): number {
    this.#learn(usage.completionTokens);
    const used = usage.promptTokens + usage.completionTokens;
    const charged = request.charged ?? 0;
    const most = Math.max(used, request.tokens + (this.maximum ?? usage.completionTokens));
    return charged - (used + this.#share * (most - used));
  }

  /** What to give back for a request that was refused by a limit. */
  refund(request: Charged): number {
    return (1 - this.#share) * (request.charged ?? 0);
  }

  /**
   * The first answer, with no other request before it, says how much of the limit is used.
   * @param used of the limit, as its headers have it
   */
  firstAnswer(request: Charged, usage: TokenCounts, used: number): void {
    const tokens = usage.promptTokens + usage.completionTokens;
    const most = request.tokens + (this.maximum ?? 0);
    const isReserved = used > (tokens + most) / 2 && used < most * CLEAR_DIFFERENCE;
    this.#share = isReserved && most > CLEAR_DIFFERENCE * tokens ? 1 : 0;
    this.#isUnknown = false;
  }

  /**
   * A request was refused by the limit of tokens.
   * @param requested what the refusal says it would have been charged; null where it does not say
   */
  refused(request: Charged, requested: number | null, now: number): void {
    const most = request.tokens + (this.maximum ?? 0);
    const least = request.tokens + Math.min(this.#expectedCompletion, most);
    const isProof =
      requested !== null && requested > (least + most) / 2 && requested < most * CLEAR_DIFFERENCE;
    this.#isUnknown = false;
    this.#share = isProof ? 1 : Math.min(1, this.#share + STEP_AFTER_REFUSAL);
    this.#stepFailed(now);
  }

  /** The limit is seen to empty: the last step was one too many. */
  emptying(now: number): void {
    if (this.#share === 1 || this.#nextStep === Infinity) return;
    this.#isUnknown = false;
    this.#share = Math.min(1, this.#share + STEP);
    this.#stepFailed(now);
  }

  #stepFailed(now: number): void {
    this.#nextStep = now + this.#pause;
    this.#pause = Math.min(LONGEST_PAUSE_MS, this.#pause * PAUSE_GROWTH);
  }

  /**
   * Requests wait for tokens and none is refused: a little less is taken for each, to see whether that holds. Some
   * servers reserve and give back; a refusal may have had another reason.
   * @param latency milliseconds until the effect of a step is seen
   */
  calm(now: number, latency: number): void {
    if (this.#share === 0) return;
    const pause = this.#isUnknown ? FIRST_STEP_PAUSE_MS : FIRST_PAUSE_MS;
    if (this.#nextStep === Infinity) this.#nextStep = now + pause + 3 * latency;
    if (now < this.#nextStep) return;
    this.#share = Math.max(0, this.#share - (this.#isUnknown ? FIRST_STEP : STEP));
    this.#nextStep = now + pause + 3 * latency;
  }

  #learn(tokens: number): void {
    this.#recent[this.#answers % MEMORY] = tokens;
    this.#answers += 1;
    const known = Math.min(this.#answers, MEMORY);
    if (this.#answers <= FEW_ANSWERS) {
      this.#expected = FEW_ANSWERS_MARGIN * Math.max(...this.#recent.subarray(0, known));
    } else if (this.#answers % LEARN_EVERY === 0) {
      // A typed array sorts numbers without calling a function for every comparison.
      const sorted = this.#recent.slice(0, known).sort();
      this.#expected = sorted[Math.floor(known * QUANTILE)] ?? this.#expected;
    }
  }
}
