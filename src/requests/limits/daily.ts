/**
 * Limits of a whole day. Some servers answer them with a wait of seconds that does not help, or with none at all; a run
 * that obeyed would knock at the door for hours.
 */

import type { Refusal } from '../refusal-body.js';

const DAY_MS = 86_400_000;
/** Gemini's `quotaId` names the window: `GenerateRequestsPerDayPerProjectPerModel-FreeTier` (google.rpc.QuotaFailure). */
const GEMINI_DAY = /\w{1,60}PerDay\w{0,60}/;
const IN_WORDS = /\b(?:per|a|each)[- ]day\b|\bdaily\b|\b(?:RPD|TPD)\b/i;
const SHORTER_WINDOW = /\b(?:per|a|each)[- ](?:second|minute|hour)\b|\b(?:RPM|TPM|RPS)\b/i;

/**
 * Milliseconds until Gemini's limit of a day lifts, which its answer is about: at midnight Pacific time
 * (ai.google.dev/gemini-api/docs/rate-limits), whatever its `retryDelay` says. Null where it is about something else.
 */
export function geminiDayWait({ codes }: Refusal, nowDate: number = Date.now()): number | null {
  return GEMINI_DAY.test(codes) ? millisecondsToPacificMidnight(nowDate) : null;
}

/** True where a refusal is about a limit of a day and of nothing shorter. */
export function isDailyLimit({ codes, text }: Refusal): boolean {
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
