/** Verdicts of `reannotate compare`: what a judge said of two runs' answers to the same row, set against each other. */

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ANSWERS, pairFolder } from '../compare/place.js';
import { matchesOf, ratings, totalsOf, type RowVerdicts } from '../compare/ranking.js';
import { readResults } from '../exports/rows.js';
import { winRate, winRateInterval } from '../judge/interval.js';
import type { ReportedRun } from './collect.js';
import type { DirectMatch, RankedRun, RowMatch } from './data.js';
import { readJudgements } from './judgements.js';

/** The verdicts on two runs, by row. */
export interface PairVerdicts {
  /** Places of the runs. */
  one: number;
  other: number;
  byRow: ReadonlyMap<number, Pick<RowMatch, 'preferred' | 'reason'>>;
}

/** In a pair's folder, `old` is the answer of the first annotator and `new` that of the second. */
const PREFERRED: Readonly<Record<string, RowMatch['preferred']>> = { old: 'one', new: 'other', tie: 'tie' };

/**
 * The verdicts that `reannotate compare` left beside the runs. Only those on the runs' present answers are taken: a pair's
 * folder may hold verdicts on another sample.
 */
export async function verdictsBetween(runs: readonly ReportedRun[]): Promise<PairVerdicts[]> {
  const digests = new Map<ReportedRun, string[]>();
  const found: PairVerdicts[] = [];
  for (const [one, first] of runs.entries())
    for (const [further, second] of runs.slice(one + 1).entries()) {
      const pair = findPair(first, second);
      if (pair === null) continue;
      for (const run of [first, second])
        if (!digests.has(run)) digests.set(run, await digestsIn(run.folder.reannotated, 'annotation'));
      const [a = [], b = []] = (pair.isSwapped ? [second, first] : [first, second]).map((run) =>
        digests.get(run),
      );
      const judgedNew = pair.isSwapped ? first : second;
      const byRow = await verdictsOf(pair, a, b, judgedNew.annotator);
      if (byRow.size > 0) found.push({ one, other: one + 1 + further, byRow });
    }
  return found;
}

interface PairFolder {
  folder: { reannotated: string; judgements: string };
  /** True where its first annotator is the second run's. */
  isSwapped: boolean;
}

function findPair(first: ReportedRun, second: ReportedRun): PairFolder | null {
  const answers = dirname(first.folder.save);
  if (dirname(second.folder.save) !== answers || basename(answers) !== ANSWERS) return null;
  const comparison = dirname(answers);
  for (const isSwapped of [false, true]) {
    const [one, other] = isSwapped ? [second, first] : [first, second];
    const folder = pairFolder({ save: comparison, temp: comparison }, one.annotator, other.annotator);
    if (existsSync(folder.judgements) && existsSync(folder.reannotated)) return { folder, isSwapped };
  }
  return null;
}

async function verdictsOf(
  { folder, isSwapped }: PairFolder,
  first: readonly string[],
  second: readonly string[],
  judgedNew: string,
): Promise<PairVerdicts['byRow']> {
  const [old, now] = [
    await digestsIn(folder.reannotated, 'annotation_original'),
    await digestsIn(folder.reannotated, 'annotation'),
  ];
  const byRow = new Map<number, Pick<RowMatch, 'preferred' | 'reason'>>();
  for (const [row, { preferred, reason }] of readJudgements(folder.judgements)) {
    if (old[row] !== first[row] || now[row] !== second[row] || old[row] === undefined) continue;
    const side = PREFERRED[preferred] ?? 'undecided';
    // The pair's files call one run's answer the new one.
    const named = reason.replaceAll('With the new answer as ', `With the answer of ${judgedNew} as `);
    byRow.set(row, { preferred: isSwapped ? swapped(side) : side, reason: named });
  }
  return byRow;
}

function swapped(side: RowMatch['preferred']): RowMatch['preferred'] {
  return side === 'one' ? 'other' : side === 'other' ? 'one' : side;
}

async function digestsIn(path: string, key: 'annotation' | 'annotation_original'): Promise<string[]> {
  const digests: string[] = [];
  await readResults({ path, onProgress: () => undefined }, (line) => {
    digests[line.row] = createHash('sha256')
      .update(line.parse()[key] ?? '\0none')
      .digest('base64');
  });
  return digests;
}

/** What the verdicts on each two runs add up to. */
export function directMatches(pairs: readonly PairVerdicts[]): DirectMatch[] {
  return matchesOf(pairs, rowsOf(pairs)).map((match, place) => {
    const undecided = [...(pairs[place]?.byRow.values() ?? [])].filter(
      ({ preferred }) => preferred === 'undecided',
    ).length;
    return { ...match, undecided, winRate: winRate(match), interval: winRateInterval(match) };
  });
}

/** The runs by their ratings, best first, as `reannotate compare` ranks them; empty unless each two runs were judged. */
export function rankRuns(runs: number, pairs: readonly PairVerdicts[]): RankedRun[] {
  if (pairs.length === 0 || pairs.length < (runs * (runs - 1)) / 2) return [];
  const rows = rowsOf(pairs);
  const matches = matchesOf(pairs, rows);
  return ratings(runs, pairs, rows)
    .map(({ rating, interval }, run) => ({ run, rating, interval, ...totalsOf(run, matches) }))
    .sort((a, b) => b.rating - a.rating);
}

/** The verdicts row by row: one for each pair, null where it has none. */
function rowsOf(pairs: readonly PairVerdicts[]): RowVerdicts[] {
  const rows = [...new Set(pairs.flatMap(({ byRow }) => [...byRow.keys()]))].sort((a, b) => a - b);
  return rows.map((row) =>
    pairs.map(({ byRow }) => {
      const preferred = byRow.get(row)?.preferred ?? 'undecided';
      return preferred === 'undecided' ? null : preferred;
    }),
  );
}
