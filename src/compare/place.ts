/** A comparison's annotators and pairs, and the folders in which their answers and verdicts are. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readSummary } from '../judge/figures.js';
import { isObject } from '../lib/json.js';
import type { Annotator } from '../models/annotators.js';
import { earlierFiles, findRunFolder, runFolder, runName, type RunFolder } from '../run/folder.js';
import { placeOf, type RunSettings } from '../run/settings.js';

/** The folder of a comparison that has its annotators' runs. */
export const ANSWERS = 'answers';

/** What `compare` is to do. */
export interface Comparison {
  /** How each annotator is called, in the order in which they were named; at least two. */
  contestants: readonly RunSettings[];
  judge: Annotator;
  /** Rows. */
  sample: number;
  /** Decides which. */
  sampleSeed: number;
  /** The judge's prompts; null for the program's own. */
  promptsFile: string | null;
  /** Afterwards the whole dataset with this annotator, null for the best one; null to stop there. */
  run: { annotator: string | null } | null;
  dryRun: boolean;
}

/** A comparison in its folders. */
export interface Place {
  name: string;
  save: string;
  temp: string;
}

/** One annotator's run over the sample. */
export interface Contestant {
  settings: RunSettings;
  name: string;
  folder: RunFolder;
}

/** Two annotators, by their numbers, and where their answers are judged. */
export interface Pair {
  one: number;
  other: number;
  folder: RunFolder;
}

/** A comparison with its folders; nothing is made yet. */
export interface PlacedComparison {
  comparison: Comparison;
  place: Place;
  contestants: readonly Contestant[];
  pairs: readonly Pair[];
  /** The settings of the first annotator; what is not about its model holds for all. */
  common: RunSettings;
}

export function placeComparison(comparison: Comparison): PlacedComparison {
  const [common] = comparison.contestants;
  if (common === undefined) throw new RangeError('there are at least two annotators');
  const { saveDir, tempDir, runName: given } = common.output;
  const name = given ?? runName(common.selection.dataset, 'compare');
  const place = { name, save: join(saveDir, name), temp: join(tempDir, name) };
  const contestants = comparison.contestants.map((settings) => contestantIn(place, settings, comparison));
  const pairs = contestants.flatMap(({ name: one }, number) =>
    contestants.slice(number + 1).map(({ name: other }, further): Pair => {
      return { one: number, other: number + 1 + further, folder: pairFolder(place, one, other) };
    }),
  );
  return { comparison, place, contestants, pairs, common };
}

/** Where two annotators' answers are judged. It does not depend on the sample: verdicts on the same answers are reused. */
export function pairFolder({ save, temp }: Omit<Place, 'name'>, one: string, other: string): RunFolder {
  return runFolder(join(save, 'pairs'), join(temp, 'pairs'), runName(one, `vs_${other}`));
}

/** An annotator's answers to samples of other sizes are taken over. */
function contestantIn(place: Place, settings: RunSettings, { sample, sampleSeed }: Comparison): Contestant {
  const { name } = settings.call.annotator;
  const output = {
    ...settings.output,
    saveDir: join(place.save, ANSWERS),
    tempDir: join(place.temp, ANSWERS),
    runName: runName(name, `${sample}-${sampleSeed}`),
    includeMetadata: false,
  };
  const own = { ...settings, output };
  const folder = findRunFolder(placeOf(own));
  const isBegun = earlierFiles(folder).length > 0;
  const reuse = isBegun ? [] : otherSamples(output.tempDir, name, folder);
  const policy = { ...settings.policy, earlier: isBegun ? ('resume' as const) : ('refuse' as const), reuse };
  return { settings: { ...own, policy }, name, folder };
}

function otherSamples(tempDir: string, annotator: string, folder: RunFolder): string[] {
  if (!existsSync(tempDir)) return [];
  const prefix = runName(annotator, '');
  return readdirSync(tempDir)
    .filter((name) => name.startsWith(prefix) && /^\d+-\d+$/.test(name.slice(prefix.length)))
    .map((name) => join(tempDir, name))
    .filter((path) => path !== folder.temp)
    .filter((path) => ['jobs.json', 'output.jsonl'].every((name) => existsSync(join(path, name))));
}

/** Of all answers and verdicts. */
export function foldersOf({ contestants, pairs }: PlacedComparison): RunFolder[] {
  return [...contestants, ...pairs].map(({ folder }) => folder);
}

/** US dollars that were paid in a folder: for answers, or for verdicts; 0 before it begins, null where it is not known. */
export function costIn(folder: RunFolder): number | null {
  const summary = readSummary(folder.summary);
  const { judge } = summary;
  const cost = isObject(judge) ? judge['cost_usd'] : summary['cost_usd'];
  return typeof cost === 'number' ? cost : cost === undefined ? 0 : null;
}

/** Rows of an annotator's run by state; empty before its end. */
export function rowsIn(folder: RunFolder): Record<string, number> {
  const { rows } = readSummary(folder.summary);
  return isObject(rows) ? (rows as Record<string, number>) : {};
}
