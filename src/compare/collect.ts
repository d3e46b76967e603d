/** What a comparison came to, from the files of its runs and judgements. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readSummary, type JudgeFigures } from '../judge/figures.js';
import { winRate, winRateInterval } from '../judge/interval.js';
import { readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { Annotator } from '../models/annotators.js';
import type { RunFolder } from '../run/folder.js';
import { latencyAt, readTimeline } from '../run/timeline.js';
import { METHOD, type CompareFigures, type ContestantFigures, type PairFigures } from './figures.js';
import { verdictsIn } from './pair.js';
import {
  costIn,
  foldersOf,
  rowsIn,
  type Contestant,
  type Pair,
  type Place,
  type PlacedComparison,
} from './place.js';
import { matchesOf, ratings, totalsOf, type Match, type Rating, type RowVerdicts } from './ranking.js';

/** Gathers the figures of a comparison whose answers and verdicts are there. */
export function collectFigures(placed: PlacedComparison): CompareFigures {
  const { comparison, contestants, pairs, place, common } = placed;
  const verdicts = pairs.map(({ folder }) => verdictsIn(folder.judgements));
  const sample = rowsIn((contestants[0] as Contestant).folder)['total'] ?? 0;
  const rows = Array.from({ length: sample }, (_, row): RowVerdicts =>
    verdicts.map((pair) => pair.get(row) ?? null),
  );
  const matches = matchesOf(pairs, rows);
  const rated = ratings(contestants.length, pairs, rows, comparison.sampleSeed);
  const total = datasetRows(place);
  const costs = foldersOf(placed).map(costIn);
  return {
    dataset: common.selection.dataset,
    dataset_rows: total,
    sample,
    sample_seed: comparison.sampleSeed,
    judge: judgeSpending(comparison.judge, pairs),
    annotators: contestants
      .map((contestant, number) => ({
        ...figuresOfRun(contestant, total),
        ...standingOf(number, matches, rated[number]),
      }))
      .sort((a, b) => b.rating - a.rating)
      .map((one, place) => ({ ...one, rank: place + 1 })),
    pairs: matches.map((match, number) =>
      figuresOfPair(
        match,
        [...(verdicts[number]?.values() ?? [])].filter((one) => one === null).length,
        contestants,
      ),
    ),
    cost_usd: costs.includes(null) ? null : rounded(sumOf(costs), 6),
    method: METHOD,
    compared_at: new Date().toISOString(),
  };
}

type Standing = Pick<ContestantFigures, 'rating' | 'rating_interval_95' | 'wins' | 'ties' | 'losses'>;

function standingOf(number: number, matches: readonly Match[], rated: Rating | undefined): Standing {
  const [low, high] = rated?.interval ?? [0, 0];
  const rating = rounded(rated?.rating ?? 0, 1);
  return { rating, rating_interval_95: [rounded(low, 1), rounded(high, 1)], ...totalsOf(number, matches) };
}

function figuresOfPair(match: Match, undecided: number, contestants: readonly Contestant[]): PairFigures {
  const { wins, ties, losses } = match;
  const rate = winRate(match);
  return {
    one: contestants[match.one]?.name ?? '',
    other: contestants[match.other]?.name ?? '',
    ...{ wins, ties, losses, undecided },
    win_rate: rate === null ? null : rounded(rate, 4),
    confidence_interval_95: shares(winRateInterval(match)),
  };
}

function shares(interval: [number, number] | null): [number, number] | null {
  return interval === null ? null : [rounded(interval[0], 4), rounded(interval[1], 4)];
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function sumOf(values: readonly (number | null)[]): number {
  return values.reduce<number>((sum, one) => sum + (one ?? 0), 0);
}

/** Price and time of one annotator, by its run's own files. */
function figuresOfRun(
  { settings, name, folder }: Contestant,
  datasetRows: number | null,
): Omit<ContestantFigures, 'rank' | keyof Standing> {
  const summary = readSummary(folder.summary);
  const { tokens, saved_usd: saved } = summary;
  const { total = 0, ...rows } = rowsIn(folder);
  const cost = costIn(folder);
  // Answers that were taken over from another sample cost the same once.
  const all = cost === null ? null : cost + (typeof saved === 'number' ? saved : 0);
  const perRow = all === null || total === 0 ? null : all / total;
  const { prompt = 0, completion = 0 } = (isObject(tokens) ? tokens : {}) as Partial<Record<string, number>>;
  return {
    annotator: name,
    model: settings.call.annotator.model,
    rows,
    cost_usd: cost,
    cost_per_1000_rows_usd: perRow === null ? null : rounded(perRow * 1000, 6),
    cost_of_dataset_usd: perRow === null || datasetRows === null ? null : rounded(perRow * datasetRows, 6),
    latency_ms: latencyIn(folder),
    tokens_per_row: {
      prompt: rounded(prompt / Math.max(1, total), 1),
      completion: rounded(completion / Math.max(1, total), 1),
    },
  };
}

function latencyIn({ counters }: RunFolder): ContestantFigures['latency_ms'] {
  const value = existsSync(counters) ? parseJson(readOwnText(counters)) : null;
  const timeline = readTimeline(isObject(value) ? value['timeline'] : null);
  const sums: number[] = [];
  for (const { latencies } of timeline?.steps ?? [])
    latencies.forEach((answers, place) => (sums[place] = (sums[place] ?? 0) + answers));
  const [median, p90] = [latencyAt(0.5, sums), latencyAt(0.9, sums)];
  return median === null || p90 === null ? null : { median: Math.round(median), p90: Math.round(p90) };
}

/** What the judge was sent for all pairs. */
function judgeSpending(judge: Annotator, pairs: readonly Pair[]): CompareFigures['judge'] {
  const all = pairs.flatMap(({ folder }) => {
    const { judge: figures } = readSummary(folder.summary);
    return isObject(figures) ? [figures as unknown as JudgeFigures] : [];
  });
  const sum = (valueOf: (one: JudgeFigures) => number): number => sumOf(all.map(valueOf));
  const costs = all.map((one) => one.cost_usd);
  return {
    annotator: judge.name,
    model: judge.model,
    requests: {
      sent: sum(({ requests }) => requests.sent),
      throttled: sum(({ requests }) => requests.throttled),
      retried: sum(({ requests }) => requests.retried),
    },
    tokens: {
      prompt: sum(({ tokens }) => tokens.prompt),
      completion: sum(({ tokens }) => tokens.completion),
    },
    cost_usd: costs.includes(null) ? null : rounded(sumOf(costs), 6),
  };
}

function datasetRows({ temp }: Place): number | null {
  const path = join(temp, 'dataset.json');
  const value = existsSync(path) ? parseJson(readOwnText(path)) : null;
  const rows = isObject(value) ? value['rows'] : null;
  return typeof rows === 'number' ? rows : null;
}
