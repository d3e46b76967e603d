/**
 * Limits of hours, a day or longer. Some servers answer them with a wait of seconds that does not help, or with none at
 * all: a run that obeyed would send requests in vain for hours.
 */

import type { Refusal } from '../refusal-body.js';

const DAY_MS = 86_400_000;
/** Gemini's `quotaId` names the window: `GenerateRequestsPerDayPerProjectPerModel-FreeTier` (google.rpc.QuotaFailure). */
const GEMINI_DAY = /\w{1,60}PerDay\w{0,60}/;
/** `Daily call limit`, `per month request limit`, `Your limit will reset at 2026-12-05 10:00:00` (Z.ai, of five hours or a week). */
const IN_WORDS =
  /\b(?:per|a|each)[- ](?:day|week|month)\b|\/ ?day\b|\b(?:daily|weekly|monthly|tomorrow|midnight)\b|\bfor today\b|\b24 ?(?:h|hours)\b|\b(?:RPD|TPD)\b|limits? (?:will )?resets? (?:at|on)\b/i;
const SHORTER_WINDOW = /\b(?:per|a|each)[- ](?:second|minute|hour)\b|\b(?:RPM|TPM|RPS)\b/i;

/**
 * Milliseconds until Gemini's limit of a day lifts, which its answer is about: at midnight Pacific time
 * (ai.google.dev/gemini-api/docs/rate-limits), whatever its `retryDelay` says. Null where it is about something else.
 */
export function geminiDayWait({ codes }: Refusal, nowDate: number = Date.now()): number | null {
  return GEMINI_DAY.test(codes) ? millisecondsToPacificMidnight(nowDate) : null;
}

/** True where a refusal is about a limit of a day or longer, and of nothing shorter. */
export function isLongLimit({ codes, text }: Refusal): boolean {
  const all = `${codes} ${text}`;
  return IN_WORDS.test(all) && !SHORTER_WINDOW.test(all);
}

function millisecondsToPacificMidnight(nowDate: number): number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: 'America/Los_Angeles',
    hourCycle: 'h23',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const [hours = 0, minutes = 0, seconds = 0] = format
    .formatToParts(nowDate)
    .filter(({ type }) => type !== 'literal')
    .map(({ value }) => Number(value));
  return DAY_MS - ((hours * 60 + minutes) * 60 + seconds) * 1000;
}
