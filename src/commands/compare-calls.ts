/** How the judge of a comparison is called, and what all calls would cost. */

import type { Pair, Contestant, PlacedComparison } from '../compare/place.js';
import { LARGEST_SAMPLE } from '../judge/defaults.js';
import { judgeOptions, type JudgeOptions } from '../judge/options.js';
import { bodiesOf } from '../judge/prepare.js';
import type { JudgePrompts } from '../judge/prompts.js';
import { EXIT } from '../lib/errors.js';
import { sanitize, plural } from '../lib/text.js';
import { findPrice } from '../models/prices.js';
import { requestBody, requestOf } from '../run/jobs.js';
import { requestShape } from '../run/prepare.js';
import type { findDataset } from '../run/find-dataset.js';
import type { CommandContext } from '../session/command-context.js';
import { printResult } from '../terminal/output.js';
import { readRow } from './dry-run.js';
import { RequestEstimate } from './judge-table.js';

/**
 * How the judge is called. One of the annotators' provider is at the same address.
 * @param pair null where only the call matters
 * @param maxCost US dollars that are left; null for no limit
 */
export function judgeFor(
  pair: Pair | null,
  maxCost: number | null,
  { comparison, contestants, common }: PlacedComparison,
): JudgeOptions {
  const { call, output, selection, loggingLevel, environment } = common;
  const isSameProvider = comparison.judge.providerName === call.annotator.providerName;
  const options = judgeOptions({
    dataset: selection.dataset,
    judged: pair === null ? '' : nameOf(pair, contestants),
    judge: comparison.judge,
    baseUrl: isSameProvider ? call.baseUrl : null,
    apiKeyVariable: isSameProvider ? call.apiKeyVariable : null,
    servers: null,
    acceptFinishReason: call.acceptFinishReason,
    maxTokens: undefined,
    limits: call.limits,
    ...{ output, environment, loggingLevel, promptsFile: comparison.promptsFile },
    maxCost,
    // Rows were sampled before.
    sample: LARGEST_SAMPLE,
    seed: comparison.sampleSeed,
    dryRun: false,
  });
  return pair === null
    ? options
    : { ...options, folder: pair.folder, subject: `the answers of ${nameOf(pair, contestants)}` };
}

/** `A and B`, for messages. */
function nameOf({ one, other }: Pair, contestants: readonly Contestant[]): string {
  return [one, other].map((number) => sanitize(contestants[number]?.name ?? '', 80)).join(' and ');
}

/** What a comparison would send and cost; nothing is sent. */
export async function compareDryRun(
  placed: PlacedComparison,
  find: typeof findDataset,
  prompts: JudgePrompts,
  { console, interruption }: CommandContext,
): Promise<number> {
  const { comparison, contestants, pairs, common } = placed;
  const { dataset, format } = await find(common, console, interruption.soft);
  const estimates = contestants.map(({ settings }) => new RequestEstimate(settings.call, 'answer'));
  const judging = judgeFor(null, null, placed);
  const verdicts = new RequestEstimate(judging.settings.call);
  const selection = { columns: format.columns, offset: 0, limit: null, signal: interruption.soft };
  for await (const row of dataset.rows(selection)) {
    const prompt = readRow(row, format);
    if (typeof prompt === 'string') continue;
    contestants.forEach(({ settings }, number) => {
      const body = requestBody(requestOf(prompt), requestShape(settings.call));
      estimates[number]?.add(Buffer.from(JSON.stringify(body)));
    });
    // The lengths of the two answers are not known yet: the original's is used for both.
    const answer = prompt.annotation_original ?? prompt.user_prompt;
    const pair = { row: row.index, prompt: prompt.user_prompt, oldAnswer: answer, newAnswer: answer };
    const bodies = bodiesOf(pair, judging, prompts).map((body) => Buffer.from(JSON.stringify(body)));
    for (let times = 0; times < pairs.length; times++) for (const body of bodies) verdicts.add(body);
  }
  const lines: string[] = [];
  const calls = [...contestants.map(({ settings }) => settings.call), judging.settings.call];
  for (const [number, call] of calls.entries()) {
    const price = await findPrice(call.annotator.provider, call.annotator.model);
    lines.push((estimates[number] ?? verdicts).describe(price));
  }
  const title = `${plural(contestants.length, 'annotator')}, a sample of up to ${plural(comparison.sample, 'row')}, ${plural(pairs.length, 'pair')} judged in both orders:`;
  await printResult(`${[title, ...lines].join('\n')}\n`);
  return EXIT.done;
}
