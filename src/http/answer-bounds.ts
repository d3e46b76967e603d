/**
 * How large one answer may be. A model writes 128,000 tokens at most, half a megabyte of text, so that far less than
 * what a server can send is ever asked for; what is larger is read by nobody and costs memory and time.
 */

/** What an answer may have at most. */
export interface AnswerBounds {
  /** Bytes, unpacked. */
  bytes: number;
  /** JSON values, roughly: commas, colons and opening brackets outside of strings. */
  values: number;
}

/** Thirty times the longest text that a model writes, written with an escape for every character. */
export const ANSWER_BOUNDS: AnswerBounds = { bytes: 16 << 20, values: 1_000_000 };

/** Log probabilities take some 2.5 KB a token with twenty alternatives, and several choices their sum. */
const LARGE_ANSWER_BOUNDS: AnswerBounds = { bytes: 64 << 20, values: 12_000_000 };

/** Bytes of a stream, whose events repeat what surrounds a token; the text of it has the bounds of any answer. */
export const MOST_STREAM_BYTES = 128 << 20;

/** The bounds of an answer by what was requested. */
export function answerBounds(requested: { n: number | null; logprobs: boolean | null }): AnswerBounds {
  return requested.logprobs === true || (requested.n ?? 1) > 4 ? LARGE_ANSWER_BOUNDS : ANSWER_BOUNDS;
}

/** The error for an answer beyond its bounds, which `classifyFailure` makes the row's. */
export function beyondBounds(bounds: AnswerBounds, what: keyof AnswerBounds): Error {
  const message =
    what === 'bytes'
      ? `the answer is larger than ${bounds.bytes >> 20} MB`
      : `the answer holds more than ${bounds.values / 1e6} million JSON values`;
  return Object.assign(new Error(message), { code: BEYOND_BOUNDS });
}

export const BEYOND_BOUNDS = 'ANSWER_BEYOND_BOUNDS';
