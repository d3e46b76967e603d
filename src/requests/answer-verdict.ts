/** The verdict on a 200: an answer, a part of one, an error in its place, or something else altogether. */

import { readAnswer } from '../models/completion.js';
import type { AnswerRules } from '../models/answer-rules.js';
import { NO_REASON } from '../models/finish-reason.js';
import { readUsage, type Usage } from '../models/usage.js';
import { usageOfUnusable } from '../models/usage-estimate.js';
import { isObject } from '../lib/json.js';
import { sanitize, shellWord } from '../lib/text.js';
import { lineOf, type ReadableBody, type UnreadableBody } from './answer-body.js';
import { describeForeign, describePage, describeUnknown } from './foreign-answer.js';
import type { Verdict } from './verdict.js';

/** What an error means, by its own status; a parameter, since errors are classified elsewhere. */
type ErrorJudge = (error: unknown) => Verdict;

/**
 * Judges an answer with a status of success.
 * @param rules which answers count as whole
 * @param judgeError for errors that come in the place of an answer or inside it
 */
export function classifyAnswer(
  body: ReadableBody | UnreadableBody,
  rules: AnswerRules,
  judgeError: ErrorJudge,
): Verdict {
  if (body.kind === 'unreadable') return judgeUnreadable(body);
  const { value } = body;
  const error = errorIn(value);
  if (error !== null) return withUsage(judgeError(error), usageBesideError(value));
  const answer = readAnswer(value, rules);
  switch (answer.kind) {
    case 'whole':
      return { kind: 'answer', completion: answer.completion, json: lineOf(body) };
    case 'partial':
      return {
        kind: 'partial',
        message: describePartial(answer.reason),
        reason: answer.reason,
        json: lineOf(body),
        usage: answer.usage,
        tier: answer.tier,
      };
    case 'unfit': {
      const message = `the answer does not follow the schema of --response_format: ${answer.violation}`;
      return { kind: 'unfit', message, json: lineOf(body), usage: answer.usage, tier: answer.tier };
    }
    case 'error':
      return withinAnswer(judgeError(answer.error), usageOfUnusable(answer.usage, value));
    case 'empty':
    case 'foreign':
      return judgeWithoutText(value, answer.kind);
  }
}

/** Codes that report a success, and no code at all. */
const NO_ERROR: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  0,
  200,
  '0',
  '200',
  '',
  'success',
  'ok',
  'OK',
]);

/** What a 2xx body holds in place of an answer where it is an error; null where it is none. */
function errorIn(value: unknown): unknown {
  const body: unknown = Array.isArray(value) ? value[0] : value;
  if (!isObject(body)) return null;
  const { error, errors, base_resp: base } = body;
  if ((isObject(error) && Object.keys(error).length > 0) || (typeof error === 'string' && error !== ''))
    return error;
  if (Array.isArray(body['choices']) && body['choices'].length > 0) return null;
  if (Array.isArray(errors) && errors.length > 0) return errors[0];
  // MiniMax: 0 is success.
  if (isObject(base) && base['status_code'] !== undefined && base['status_code'] !== 0) return base;
  const isError = body['object'] === 'error' || body['type'] === 'error' || body['success'] === false;
  if (isError || body['detail'] !== undefined) return body;
  const hasCode = ['code', 'error_code', 'errcode'].some((key) => !NO_ERROR.has(body[key]));
  const hasMessage = ['message', 'msg', 'error_msg', 'errmsg'].some((key) => typeof body[key] === 'string');
  return hasCode && hasMessage ? body : null;
}

/** Tokens of an answer that cannot be used are paid for as well. */
function withUsage(verdict: Verdict, usage: Usage | null): Verdict {
  const { kind } = verdict;
  return kind === 'transient' || kind === 'throttle' || kind === 'row' ? { ...verdict, usage } : verdict;
}

function withinAnswer(verdict: Verdict, usage: Usage | null): Verdict {
  return verdict.kind === 'transient' ? { ...verdict, usage, inAnswer: true } : withUsage(verdict, usage);
}

function describePartial(reason: string): string {
  const what = reason === NO_REASON ? 'no finish reason' : `finish reason “${sanitize(reason, 60)}”`;
  return (
    `the answer ended with ${what}, so it may be incomplete ` +
    `(if this server ends complete answers like this: --accept_finish_reason ${shellWord(sanitize(reason, 60))})`
  );
}

function judgeWithoutText(value: unknown, kind: 'empty' | 'foreign'): Verdict {
  const reported = reportedIn(value);
  const foreign = describeForeign(value);
  if (foreign !== null) return unreadable(foreign, foreign, { isForeign: true, isTorn: false }, reported);
  if (kind === 'empty') return emptyAnswer(value, usageOfUnusable(reported, value));
  const unknown = describeUnknown(value);
  const usage = usageOfUnusable(reported, JSON.stringify(value));
  return unreadable(`the answer is ${unknown}`, unknown, { isForeign: false, isTorn: false }, usage);
}

function emptyAnswer(value: unknown, usage: Usage | null): Verdict {
  const message = 'the answer has no text';
  const isEmpty = saysNothing(value);
  return { kind: 'transient', message, unreachable: false, overloaded: false, wait: null, usage, isEmpty };
}

/** True where the model wrote an empty text; where there is none at all, the server is at fault. */
function saysNothing(value: unknown): boolean {
  const choices = isObject(value) && Array.isArray(value['choices']) ? (value['choices'] as unknown[]) : [];
  const [first] = choices;
  return isObject(first) && isObject(first['message']) && first['message']['content'] === '';
}

function judgeUnreadable({ description, shape, isTorn, text }: UnreadableBody): Verdict {
  const page = describePage(text);
  // No model wrote it.
  if (page !== null) return unreadable(page, 'page', { isForeign: true, isTorn: false }, null);
  const usage = text.trim() === '' ? null : usageOfUnusable(null, text);
  return unreadable(`the answer is ${description}`, shape, { isForeign: false, isTorn }, usage);
}

function unreadable(
  message: string,
  shape: string,
  kind: { isForeign: boolean; isTorn: boolean },
  usage: Usage | null,
): Verdict {
  return { kind: 'unreadable', message, shape, ...kind, usage };
}

function reportedIn(value: unknown): Usage | null {
  return isObject(value) ? readUsage(value['usage']) : null;
}

/** An error that ends an answer does not take back what was written; one that comes alone costs what it reports. */
function usageBesideError(value: unknown): Usage | null {
  const reported = reportedIn(value);
  const hasText = isObject(value) && Array.isArray(value['choices']) && value['choices'].length > 0;
  return reported !== null || hasText ? usageOfUnusable(reported, value) : null;
}
