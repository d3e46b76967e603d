/** `--dry_run`: what a run would ask and cost. Nothing is sent to the annotator and nothing is written. */

import { BATCH_DISCOUNT, costOf, findPrice, type Price } from '../annotators/prices.js';
import { countMessages, loadTokenizer, type Tokenizer } from '../annotators/tokenizer.js';
import { EXIT, UserError } from '../errors.js';
import { RowProblem } from '../formats/row-problem.js';
import { MAXIMUM_BATCH_SIZE, type RunOptions } from '../options.js';
import { messagesOf, requestBody } from '../run/jobs.js';
import { findDataset, requestShape } from '../run/prepare.js';
import { count, dollars, duration, inert } from '../text.js';
import type { PromptRow } from '../types.js';
import type { Surroundings } from './surroundings.js';

/** Above so many rows the tokenizer sees a sample, and characters do the rest. */
const TOKENIZED_ROWS = 20_000;

/** What was counted over the rows. */
interface Counted {
  rows: number;
  unusable: number;
  /** Characters of prompts, original answers, over all usable rows. */
  promptCharacters: number;
  originalCharacters: number;
  bytes: number;
  sample: {
    rows: number;
    promptTokens: number;
    promptCharacters: number;
    originalTokens: number;
    originalCharacters: number;
  };
}

/** Prints the table of a run that is not made. Exit code 0. */
export async function dryRun(options: RunOptions, { console, interruption }: Surroundings): Promise<number> {
  const { dataset, format } = await findDataset(options, console, interruption.soft);
  const { annotator, generation } = options;
  const tokenizer = await loadTokenizer(annotator.model);
  const price = await findPrice(annotator.provider, annotator.model);
  const shape = requestShape(options);
  const counted = emptyCount();
  const endProgress = console.showProgress(() => `Counting rows: ${count(counted.rows)}`);
  try {
    const { offset, limit } = options;
    const rows = dataset.rows({ columns: format.columns, offset, limit, signal: interruption.soft });
    for await (const row of rows) {
      const prompt = 'value' in row ? usable(() => format.apply(row.value)) : null;
      addRow(counted, prompt, tokenizer, (one) =>
        Buffer.byteLength(JSON.stringify(requestBody(messagesOf(one), shape))),
      );
    }
  } finally {
    endProgress();
  }
  if (counted.rows === 0) throw new UserError(`The dataset ${inert(options.dataset, 120)} has no rows.`);
  const estimate = estimateTokens(counted, generation.max_tokens, generation.n);
  process.stdout.write(`${describe(options, counted, estimate, price, tokenizer)}\n`);
  return EXIT.done;
}

function emptyCount(): Counted {
  const sample = { rows: 0, promptTokens: 0, promptCharacters: 0, originalTokens: 0, originalCharacters: 0 };
  return { rows: 0, unusable: 0, promptCharacters: 0, originalCharacters: 0, bytes: 0, sample };
}

function usable(make: () => PromptRow): PromptRow | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof RowProblem) return null;
    throw error;
  }
}

function addRow(
  counted: Counted,
  row: PromptRow | null,
  tokenizer: Tokenizer,
  bytesOf: (row: PromptRow) => number,
): void {
  counted.rows += 1;
  if (row === null) {
    counted.unusable += 1;
    return;
  }
  const messages = messagesOf(row);
  const promptCharacters = messages.reduce((sum, { content }) => sum + content.length, 0);
  const original = row.annotation_original ?? '';
  counted.promptCharacters += promptCharacters;
  counted.originalCharacters += original.length;
  counted.bytes += bytesOf(row);
  if (!isSampled(counted.rows - 1)) return;
  counted.sample.rows += 1;
  counted.sample.promptCharacters += promptCharacters;
  counted.sample.originalCharacters += original.length;
  counted.sample.promptTokens += countMessages(tokenizer, messages);
  counted.sample.originalTokens += tokenizer.count(original);
}

/** Every row of the first 20,000, then every second, every fourth …: spread over the whole, whatever its length. */
function isSampled(row: number): boolean {
  if (row < TOKENIZED_ROWS) return true;
  const stride = 2 ** Math.ceil(Math.log2((row + 1) / TOKENIZED_ROWS));
  return row % stride === 0;
}

interface Estimate {
  requests: number;
  promptTokens: number;
  /** As long as the original answers, which is what is known of their length; at most `max_tokens`. */
  expectedCompletion: number;
  worstCompletion: number;
  isSampled: boolean;
}

function estimateTokens(counted: Counted, maxTokens: number, n: number): Estimate {
  const { sample } = counted;
  const requests = counted.rows - counted.unusable;
  const ratio = (tokens: number, characters: number): number => (characters === 0 ? 0 : tokens / characters);
  const exact = sample.rows === requests;
  const scale = (tokens: number, characters: number, all: number): number =>
    exact ? tokens : Math.round(ratio(tokens, characters) * all);
  const worstCompletion = requests * maxTokens * n;
  const originals = scale(sample.originalTokens, sample.originalCharacters, counted.originalCharacters);
  return {
    requests,
    promptTokens: scale(sample.promptTokens, sample.promptCharacters, counted.promptCharacters),
    expectedCompletion: Math.min(originals * n, worstCompletion),
    worstCompletion,
    isSampled: !exact,
  };
}

function describe(
  options: RunOptions,
  counted: Counted,
  estimate: Estimate,
  price: Price | null,
  tokenizer: Tokenizer,
): string {
  const about = estimate.isSampled ? 'about ' : '';
  const batches = Math.max(
    Math.ceil(estimate.requests / Math.min(options.maxBatchSize, MAXIMUM_BATCH_SIZE)),
    Math.ceil(counted.bytes / options.maxBatchBytes),
  );
  const rows: [string, string][] = [
    [
      'Rows',
      `${count(counted.rows)}${counted.unusable > 0 ? `, ${count(counted.unusable)} of them not usable` : ''}`,
    ],
    ['Requests', count(estimate.requests)],
    ['Prompt tokens', `${about}${count(estimate.promptTokens)} (${tokenizer.name})`],
    [
      'Answer tokens',
      `${count(estimate.expectedCompletion)} if as long as the original answers, ` +
        `${count(estimate.worstCompletion)} at most (--max_tokens ${options.generation.max_tokens})`,
    ],
    ['Price online', describePrice(estimate, price, 1)],
    [
      'Price in batches',
      options.annotator.provider.batches ? describePrice(estimate, price, BATCH_DISCOUNT) : 'no batches here',
    ],
    ['Batches', options.annotator.provider.batches ? count(batches) : 'none'],
    ['Time online', describeTime(options, estimate)],
  ];
  const width = Math.max(...rows.map(([title]) => title.length)) + 2;
  return rows.map(([title, text]) => `${title.padEnd(width)}${text}`).join('\n');
}

function describePrice(estimate: Estimate, price: Price | null, share: number): string {
  if (price === null) return 'not known for this model';
  const cost = (completionTokens: number): string =>
    dollars(
      costOf({ promptTokens: estimate.promptTokens, completionTokens, cachedTokens: 0 }, price) * share,
    );
  return `${cost(estimate.expectedCompletion)}, ${cost(estimate.worstCompletion)} at most`;
}

function describeTime(options: RunOptions, estimate: Estimate): string {
  const { maxRequestsPerMinute: requests, maxTokensPerMinute: tokens } = options;
  if (requests === null && tokens === null) {
    return 'depends on the account: give --max_requests_per_minute and --max_tokens_per_minute to see it';
  }
  const byRequests = requests === null ? 0 : estimate.requests / requests;
  // The API reserves max_tokens for every request, whatever is used of it.
  const byTokens = tokens === null ? 0 : (estimate.promptTokens + estimate.worstCompletion) / tokens;
  const limit = byRequests > byTokens ? 'requests' : 'tokens';
  return `at least ${duration(Math.max(byRequests, byTokens) * 60_000)}, bound by the ${limit} a minute`;
}
