/** The table of `--dry_run`, and the requests it shows as examples. */

import type { GenerationParameters } from '../models/generation.js';
import { count, dollars, duration, sanitize, plural, spent } from '../lib/text.js';
import type { DryRun, PriceRange } from './dry-run-result.js';

const EXAMPLE_CHARACTERS = 600;
const LINE_CHARACTERS = 160;

export function dryRunTable(result: DryRun, generation: GenerationParameters): string {
  const { prompt_tokens: prompt, completion_tokens: completion, price_usd: price, probe } = result;
  const about =
    prompt.margin > 0
      ? `about ${count(prompt.expected)} ± ${percent(prompt.margin)}`
      : count(prompt.expected);
  const rows: [string, string | null][] = [
    [
      'Rows',
      `${count(result.rows)}${result.unusable_rows > 0 ? `, ${count(result.unusable_rows)} of them not usable` : ''}`,
    ],
    ['Columns', describeUse(result.columns)],
    ['Not used', result.columns.unused.length === 0 ? null : sanitize(result.columns.unused.join(', '), 300)],
    ['Reused', result.reused_rows === 0 ? null : `${plural(result.reused_rows, 'answer')} of earlier runs`],
    [
      'Equal',
      result.deduped_rows === 0 ? null : `${plural(result.deduped_rows, 'row')} with another row’s request`,
    ],
    ['Requests', count(result.requests)],
    ['Prompt tokens', `${about} (${prompt.tokenizer})`],
    [
      'Answer tokens',
      completion.low === null
        ? `${count(completion.expected)} if as long as the original answers, ${atMost(completion.maximum, generation)}`
        : `${count(completion.expected)}; the probe gives ${count(completion.low)} to ${count(completion.high ?? 0)}; ${atMost(completion.maximum, generation)}`,
    ],
    ['Price online', `${describePrice(price.online)}${hoursOfPrice(result)}`],
    ['Price off-peak', describeOffPeak(result)],
    ['Price flex', price.flex === null ? null : describePrice(price.flex)],
    ['Price in batches', result.batches === null ? 'no Batch API' : describePrice(price.batch)],
    ['Price fallback', describeFallback(result)],
    ['Batches', result.batches === null ? 'none' : count(result.batches)],
    ['Limits', describeLimits(result)],
    ['Time online', describeTime(result)],
    [
      'Probe',
      probe === null
        ? null
        : `${count(probe.answered)} of ${plural(probe.asked, 'row')} answered, ${Math.round(probe.completionTokens)} ± ` +
          `${Math.round(probe.completionMargin)} tokens each${probe.cost === null ? '' : `, for ${spent(probe.cost, probe.isCostEstimated)}`}`,
    ],
  ];
  const shown = rows.filter((row): row is [string, string] => row[1] !== null);
  const width = Math.max(...shown.map(([title]) => title.length)) + 2;
  const table = shown.map(([title, text]) => `${title.padEnd(width)}${text}`).join('\n');
  return [table, ...result.examples.map(example)].join('\n\n');
}

function describeUse({ prompt, inputs, choices, system, history, response }: DryRun['columns']): string {
  const beside = [...inputs, choices, system, history].filter((column) => column !== null);
  const names = [prompt, ...beside].map((column) => sanitize(column, 60)).join(', ');
  return `${names}${response === null ? '' : ` → ${sanitize(response, 60)}`}`;
}

function atMost(tokens: number | null, generation: GenerationParameters): string {
  return tokens === null
    ? 'no limit (--max_tokens none)'
    : `${count(tokens)} at most (--max_tokens ${generation.max_tokens ?? 0})`;
}

function percent(share: number): string {
  return `${(share * 100).toPrecision(2)} %`;
}

function describePrice(price: PriceRange | null): string {
  if (price === null) return 'not known for this model';
  const range = price.low === null ? '' : ` (${dollars(price.low)} to ${dollars(price.high ?? 0)})`;
  return `${dollars(price.expected)}${range}${price.maximum === null ? '' : `, ${dollars(price.maximum)} at most`}`;
}

/** At which hours the price online holds, where that makes a difference. */
function hoursOfPrice({ off_peak: offPeak }: DryRun): string {
  if (offPeak === null) return '';
  return offPeak.kept ? ` (sent ${offPeak.hours})` : ' (at peak hours)';
}

/** The price of a single row would be too small to read, so it is stated for this many rows. */
const REFUSED_ROWS = 100;

function describeFallback({ fallback }: DryRun): string | null {
  if (fallback === null) return null;
  const { annotator, usd_per_row: expected, usd_per_row_maximum: most } = fallback;
  const name = sanitize(annotator, 60);
  if (expected === null) return `not known for ${name}`;
  const atMost = most === null ? '' : `, ${dollars(most * REFUSED_ROWS)} at most`;
  return `${dollars(expected * REFUSED_ROWS)}${atMost} for each ${REFUSED_ROWS} rows that are refused (${name})`;
}

function describeOffPeak({ off_peak: offPeak, price_usd: price }: DryRun): string | null {
  if (offPeak === null || offPeak.kept) return null;
  const { hours, now } = offPeak;
  return `${describePrice(price.off_peak)} ${hours}${now ? ' (as now)' : ''}; --off_peak sends only then`;
}

function describeLimits({ limits, minutes }: DryRun): string | null {
  if (minutes === null) return null;
  const known = [
    [limits.requests_per_minute, 'requests per minute'],
    [limits.tokens_per_minute, 'tokens per minute'],
    [limits.requests_per_day, 'requests per day'],
  ] as const;
  return known.flatMap(([limit, unit]) => (limit === null ? [] : [`${count(limit)} ${unit}`])).join(', ');
}

function describeTime({ minutes }: DryRun): string {
  if (minutes === null) {
    return 'unknown: pass --max_requests_per_minute and --max_tokens_per_minute, or --probe 0 to look up the account’s limits';
  }
  const bound = minutes.bound === 'requests per day' ? minutes.bound : `${minutes.bound} per minute`;
  return `at least ${duration(minutes.online * 60_000)}, bound by the ${bound}`;
}

/** A request as people read it: its turns, then its parameters. */
function example({ request_idx: index, body }: DryRun['examples'][number]): string {
  const { messages, ...parameters } = body;
  const turns = (messages as Turn[]).map(
    (turn) => `  [${sanitize(turn.role, 20)}]\n${indented(readable(turn))}`,
  );
  return [`Request of row ${count(index)}`, ...turns, `  ${sanitize(JSON.stringify(parameters), 300)}`].join(
    '\n',
  );
}

type Part = { type?: string; text?: string } | null;

/** A turn of a request: its text, or parts of which some are none, and the tools that it calls. */
interface Turn {
  role: string;
  content: string | null | readonly Part[];
  tool_calls?: unknown;
}

function readable({ content, tool_calls: calls }: Turn): string {
  const parts = typeof content === 'object' ? (content ?? []) : [{ text: content }];
  const texts = parts.map((part: Part) => part?.text ?? `(${part?.type ?? 'part'})`);
  return [...texts, ...(calls === undefined ? [] : [`calls ${JSON.stringify(calls)}`])].join('\n');
}

function indented(text: string): string {
  const cut = text.slice(0, EXAMPLE_CHARACTERS);
  const lines = cut.split('\n').map((line) => `  | ${sanitize(line, LINE_CHARACTERS)}`.trimEnd());
  const more = text.length - cut.length;
  return [...lines, ...(more > 0 ? [`  | … and ${plural(more, 'character')} more`] : [])].join('\n');
}
