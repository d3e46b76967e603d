/** `--escalate_truncated`: rows whose answers were cut off are sent once more, with more tokens for their answers. */

import type { RunSettings } from '../run/settings.js';
import { plural } from '../lib/text.js';
import { askOnline, both, type Asked, type OnlineWork, type SentAgain } from './online.js';
import type { RowParts } from '../run/parts.js';
import type { SharedAnswers } from './share-answers.js';
import type { Surroundings } from './surroundings.js';

/** What bounds an answer's length in a request, by provider and model. */
const BOUNDS = ['max_tokens', 'max_completion_tokens'];

/**
 * Sends the rows that are truncated now, and were not sent before with as many tokens.
 * @param asked how asking went so far; where that stopped, nothing more is sent
 * @returns how it went in all
 */
export async function escalateTruncated(
  work: OnlineWork,
  asked: Asked,
  shared: SharedAnswers,
  surroundings: Surroundings,
): Promise<Asked> {
  const { options, run } = work;
  const factor = options.policy.escalateTruncated;
  if (factor === null || asked.stop !== null || run.index.count('truncated') === 0) return asked;
  await shared.settle();
  const spare = shared.spareTruncated();
  const { index } = run;
  const again: SentAgain = {
    factor,
    announcement: (rows) => `Sending ${plural(rows, 'truncated row')} again with ${factor} times the tokens.`,
    row: (row) =>
      index.state(row) === 'truncated' &&
      (index.parts === null
        ? index.escalationOf(row) < factor
        : truncatedParts(index.parts, row, factor).length > 0) &&
      !index.isHeld(row) &&
      spare?.[row] !== 1,
    parts: (row) => (index.parts === null ? [] : truncatedParts(index.parts, row, factor)),
    requestFor: (job) => withMoreTokens(job, factor),
  };
  const more = await askOnline({ ...work, options: withBound(options, factor), again }, surroundings);
  return both(asked, more);
}

/** Of a row that took several requests, those that were cut off and not sent with as many tokens. */
function truncatedParts({ slots, layout }: RowParts, row: number, factor: number): number[] {
  const first = layout.firstOf(row);
  return Array.from({ length: layout.requiredOf(row) }, (_, number) => number).filter(
    (number) => slots.state(first + number) === 'truncated' && slots.escalationOf(first + number) < factor,
  );
}

/** What rate limits and `--max_cost` reserve for each request. */
function withBound(options: RunSettings, factor: number): RunSettings {
  const { call } = options;
  const { max_tokens: most } = call.generation;
  const generation = { ...call.generation, max_tokens: most === null ? null : most * factor };
  return { ...options, call: { ...call, generation } };
}

/**
 * A request whose answer may be longer.
 * @param job its body, as JSON
 */
export function withMoreTokens(job: Buffer, factor: number): Buffer {
  const body = JSON.parse(job.toString('utf8')) as Record<string, unknown>;
  for (const name of BOUNDS) {
    const most = body[name];
    if (typeof most === 'number') body[name] = most * factor;
  }
  return Buffer.from(JSON.stringify(body));
}
