/**
 * A line of the journal, `[request, response, {"request_idx":N}]`, read in two ways: parsed whole, which is always right,
 * or at a glance, which is right or says that it does not know, and costs a fraction. Nearly every line is an ordinary
 * answer in OpenAI's order of fields, as this program or Python's `json.dumps` writes it.
 */

import { isUtf8 } from 'node:buffer';
import { readCompletion, readUsage, type Completion, type Usage } from '../annotators/completion.js';
import { isObject, parseJson } from '../json.js';

/** What one line of the journal says. */
export type JournalEntry =
  | { row: number; kind: 'answer'; completion: Completion }
  | { row: number; kind: 'failure'; state: 'failed' | 'filtered'; errors: string[]; usage: Usage | null };

/** Marks, in a failed line's list, a row that a provider's filter refused. */
export const FILTERED_MARK = 'filtered by the provider';

/** Reads one line; null where it is damaged or not of this format. */
export function parseJournalLine(line: Buffer): JournalEntry | null {
  const value = parseJson(line.toString('utf8'));
  if (!Array.isArray(value) || value.length !== 3) return null;
  const [, response, metadata] = value as unknown[];
  const row = isObject(metadata) ? metadata['request_idx'] : undefined;
  if (typeof row !== 'number' || !Number.isSafeInteger(row) || row < 0) return null;
  if (Array.isArray(response)) {
    const errors = response.map((error: unknown) =>
      typeof error === 'string' ? error : JSON.stringify(error),
    );
    const filtered = errors.at(-1) === FILTERED_MARK;
    if (filtered) errors.pop();
    return { row, kind: 'failure', state: filtered ? 'filtered' : 'failed', errors, usage: null };
  }
  const completion = readCompletion(response);
  if (completion !== null) return { row, kind: 'answer', completion };
  // The Python tool saved answers without text as good ones; they are none.
  const usage = isObject(response) ? readUsage(response['usage']) : null;
  return { row, kind: 'failure', state: 'failed', errors: ['the answer holds no text'], usage };
}

/** What is seen of an answer whose state is `ok`. */
export interface Glance {
  row: number;
  model: string;
  usage: Usage;
  isFlex: boolean;
  /** Where the text begins in the line: the byte of its opening quote. */
  textStart: number;
}

/** How the answer's text is introduced; inside a JSON string every quote is escaped, so these are keys for certain. */
const COMPACT = Buffer.from('"choices":[{"index":0,"message":{"role":"assistant","content":"');
const SPACED = Buffer.from('"choices": [{"index": 0, "message": {"role": "assistant", "content": "');
const FINISH_REASON_LENGTH = '"finish_reason'.length;
/** What follows the text: finish reason, usage, the row. */
const TAIL_BYTES = 700;
/** What precedes the choices: the model. */
const HEAD_BYTES = 240;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const CLOSING_BRACE = 0x7d;
const MODEL = /"model": ?"([ !#-[\]-~]{1,200})", ?$/;
const ROW = /\}, ?\{"request_idx": ?(\d{1,15})\}\]$/y;
const STOP = /"finish_reason": ?"stop"(?:, ?"(?:logprobs|stop_reason)": ?null)*\}\]/y;
const USAGE = /"usage": ?\{"prompt_tokens": ?(\d{1,12}), ?"completion_tokens": ?(\d{1,12})[,}]/y;
const CACHED = /"cached_tokens": ?(\d{1,12})[,}]/y;
const TIER = /"service_tier": ?(?:"(\w{1,40})"|null)/y;

/**
 * Looks at both ends of a line. Only for runs that ask for one choice.
 * @returns null where the line has to be parsed: a failure, any state but `ok`, another order of fields, damage
 */
export function glance(line: Buffer): Glance | null {
  const tail = line.toString('latin1', Math.max(0, line.length - TAIL_BYTES));
  const rowAt = tail.lastIndexOf('{"request_idx"');
  const row = matchAt(ROW, tail, tail.lastIndexOf('}', rowAt));
  const finishAt = tail.lastIndexOf('"finish_reason"');
  if (row === null || matchAt(STOP, tail, finishAt) === null) return null;
  const usage = glanceAtUsage(tail, finishAt);
  if (usage === null) return null;
  // Colons of the answer are spaced where that of its finish reason is.
  const introduction = tail.startsWith('": ', finishAt + FINISH_REASON_LENGTH) ? SPACED : COMPACT;
  const choicesAt = line.indexOf(introduction);
  if (choicesAt === -1) return null;
  const head = line.toString('latin1', Math.max(0, choicesAt - HEAD_BYTES), choicesAt);
  const model = MODEL.exec(head)?.[1];
  const textStart = choicesAt + introduction.length - 1;
  // An empty text, or one field twice: the parser decides.
  const isUnusual =
    line[textStart + 1] === QUOTE || head.includes('"service_tier"') || head.includes('"usage"');
  if (model === undefined || isUnusual) return null;
  return { row: Number(row[1]), model, textStart, ...usage };
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  if (at < 0) return null;
  pattern.lastIndex = at;
  return pattern.exec(text);
}

function glanceAtUsage(tail: string, from: number): Pick<Glance, 'usage' | 'isFlex'> | null {
  const usageAt = tail.indexOf('"usage"', from);
  const found = matchAt(USAGE, tail, usageAt);
  if (found === null || tail.lastIndexOf('"usage"') !== usageAt) return null;
  const cachedAt = tail.indexOf('"cached_tokens"', usageAt);
  const cached = matchAt(CACHED, tail, cachedAt);
  if (cachedAt !== -1 && (cached === null || tail.lastIndexOf('"cached_tokens"') !== cachedAt)) return null;
  const tierAt = tail.indexOf('"service_tier"', from);
  const tier = matchAt(TIER, tail, tierAt);
  if (tierAt !== -1 && (tier === null || tail.lastIndexOf('"service_tier"') !== tierAt)) return null;
  return {
    usage: {
      promptTokens: Number(found[1]),
      completionTokens: Number(found[2]),
      cachedTokens: Number(cached?.[1] ?? 0),
    },
    isFlex: tier?.[1] === 'flex',
  };
}

/** The escapes that `JSON.stringify` writes: of quote, backslash, b, f, n, r and t. */
const USUAL_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\bfnrt'));
const SPACE = 0x20;

/**
 * The text of a line as JSON, quotes included, cut out of its bytes.
 * @param textStart where `glance` saw it begin
 * @returns null where `JSON.stringify` would write the text otherwise, or where the line is damaged
 */
export function cutText(line: Buffer, textStart: number): Buffer | null {
  for (let at = textStart + 1; at < line.length; at++) {
    const byte = line[at] as number;
    if (byte < SPACE) return null;
    if (byte === BACKSLASH) {
      at += 1;
      if (!USUAL_ESCAPES.has(line[at] ?? 0)) return null;
    } else if (byte === QUOTE) {
      const text = line.subarray(textStart, at + 1);
      const next = line[at + 1];
      return isUtf8(text) && (next === COMMA || next === CLOSING_BRACE) ? text : null;
    }
  }
  return null;
}
