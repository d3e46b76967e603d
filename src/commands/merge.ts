/** `reannotate merge`: the results of a planned run, once every shard is proved to be whole. */

import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeBatchObjects } from '../batches/ledger.js';
import { TemporaryError, UserError } from '../lib/errors.js';
import { lockHolder } from '../lib/lock.js';
import { count, plural, shellWord } from '../lib/text.js';
import { shownBaseUrl } from '../models/endpoint.js';
import { configDataset, effectiveParameters, type ConfigFile } from '../run/config.js';
import { noteDamaged } from '../run/journal.js';
import type { RunFolder } from '../run/folder.js';
import type { RunIdentity } from '../run/identity.js';
import type { ParameterChange } from '../requests/parameters.js';
import { hasFilters } from '../session/filters.js';
import { finish, publisherOf } from '../session/finish.js';
import { resultShape, type NextCommands } from '../session/finished-run.js';
import { inFolder } from '../session/in-folder.js';
import { partFolders, removeParts } from '../exports/parts.js';
import { ResultParts } from '../session/merge-in-parts.js';
import { mergeShards, ShardsDamaged, type Merged } from '../session/merge-shards.js';
import type { OpenPlan } from '../session/open-plan.js';
import { takeLease } from '../session/shard-lease.js';
import type { CommandContext } from '../session/command-context.js';
import { planFolder, segmentSizes, shardFolder, shardsDir } from '../shards/folders.js';
import { partsOfShards } from '../shards/result-files.js';
import { describeProblems, findProblems, type FoundShard, type Problem } from '../shards/proof.js';
import { knownState, readState, writeState } from '../shards/state.js';

/** Problems shown one by one. */
const PROBLEMS_SHOWN = 50;

/**
 * Runs `reannotate merge`.
 * @param partRows the fewest rows of a part; `Infinity` for one file, null to decide by the number of rows
 * @returns the exit code
 * @throws UserError that names each shard which is missing, or not whole
 */
export async function merge(
  planned: OpenPlan,
  partRows: number | null,
  context: CommandContext,
): Promise<number> {
  const { runDir, plan, settings } = planned;
  const { call, output, policy } = settings;
  const { console } = context;
  const folder = planFolder(runDir, output.saveDir);
  const publisher = await publisherOf(settings.push, settings.environment, context);
  return inFolder({ folder, command: 'merge', settings }, context, async () => {
    const parts = resultParts(planned, folder, partRows);
    await proveShards(planned, context);
    const { assembled, totals, batches } = await writeResults(planned, folder, parts, context);
    if (policy.batch) await writeBatchObjects(folder, batches);
    await totals.findPrice(call);
    console.info(
      `Merged ${plural(plan.shards.length, 'shard')}: ${plural(plan.rows, 'row')}, each exactly once.`,
    );
    if (parts === null) removeParts(folder.save);
    else for (const line of await parts.publish()) console.info(line);
    const commands = nextCommands(runDir);
    const finished = {
      ...{ call, output, policy },
      folder,
      run: { identity: identityOf(planned), rows: plan.rows },
      totals,
      config: configOf(planned),
      mode: policy.batch ? ('batch' as const) : ('online' as const),
      session: { answered: 0, milliseconds: 0, bound: null },
      stop: null,
      tryAgain: `Retry them with: ${commands.retry(['failed'])}`,
      publisher,
      commands,
      ...(parts === null ? {} : { partFolders: partFolders(folder.save) }),
    };
    return finish(finished, assembled, console);
  });
}

/**
 * The parts that results are written in; null for one file.
 * @throws UserError where the run has settings that need one file
 */
function resultParts(
  { plan, settings: { call, output } }: OpenPlan,
  folder: RunFolder,
  partRows: number | null,
): ResultParts | null {
  const rows = plan.shards.map((shard) => shard.rows);
  const parts = partsOfShards(rows, partRows);
  if (parts === null) return null;
  if (output.review !== null && output.review !== '')
    throw new UserError(
      'A review applies to a single results file. Merge with --part_rows none, or plan without --review.',
    );
  if (hasFilters(output))
    throw new UserError(
      '--drop and --decontaminate need a single results file. Merge with --part_rows none, or plan without them.',
    );
  const formats = output.formats.filter((name) => name !== 'json');
  return new ResultParts(folder, parts, formats, (keys) => resultShape({ call, output, keys }));
}

function nextCommands(runDir: string): NextCommands {
  const work = (more: string): string =>
    `npx reannotate work ${shellWord(runDir)}${more} && npx reannotate merge ${shellWord(runDir)}`;
  return {
    retry: (states) => work(` --retry ${states.join(',')}`),
    raise: (maxCost) => work(` --max_cost ${maxCost}`),
    // These flags are given to `plan`, which is not changed afterwards.
    sendAgain: () => null,
  };
}

/** @throws UserError where a shard is not whole, as far as that shows without reading it */
async function proveShards(planned: OpenPlan, context: CommandContext): Promise<void> {
  const { runDir, plan } = planned;
  const names = existsSync(shardsDir(runDir)) ? readdirSync(shardsDir(runDir)) : [];
  for (const shard of plan.shards.keys()) await settleLock(runDir, shard, context);
  const problems = findProblems(plan, names, (shard) => findShard(runDir, shard));
  if (problems.length > 0) throw await notWhole(problems, planned, context);
}

/** A worker that was killed after its shard was done has left its lock; whether it lives shows within a minute. */
async function settleLock(runDir: string, shard: number, context: CommandContext): Promise<void> {
  const { temp } = shardFolder(runDir, shard);
  if (knownState(temp)?.phase !== 'done' || lockHolder(temp) === null) return;
  const lock = await takeLease(runDir, shard, context);
  lock.release();
}

function capitalised(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function findShard(runDir: string, shard: number): FoundShard | null {
  const folder = shardFolder(runDir, shard);
  if (!existsSync(folder.temp)) return null;
  return {
    state: readState(folder.temp),
    owner: lockHolder(folder.temp),
    hasRows: existsSync(folder.rows),
    segments: segmentSizes(folder.segments ?? []),
  };
}

/** Missing and unfinished shards are a matter of time; anything else needs a person. */
async function notWhole(
  problems: readonly Problem[],
  planned: OpenPlan,
  { console }: CommandContext,
): Promise<UserError> {
  await reopen(problems, planned);
  for (const { message } of problems.slice(0, PROBLEMS_SHOWN)) console.warning(capitalised(message));
  if (problems.length > PROBLEMS_SHOWN)
    console.warning(`… and ${plural(problems.length - PROBLEMS_SHOWN, 'more problem')}.`);
  const text = describeProblems(problems, `npx reannotate work ${shellWord(planned.runDir)}`);
  const isTransient = problems.every(
    ({ kind }) => kind === 'working' || kind === 'incomplete' || kind === 'missing',
  );
  return isTransient ? new TemporaryError(text) : new UserError(text);
}

async function writeResults(
  planned: OpenPlan,
  folder: RunFolder,
  parts: ResultParts | null,
  context: CommandContext,
): Promise<Merged> {
  const { console } = context;
  const { plan } = planned;
  let done = 0;
  const endProgress = console.showProgress(() => `Merging: ${count(done)} of ${plural(plan.rows, 'row')}`);
  try {
    const oneFile = { path: folder.reannotated, shards: [...plan.shards.keys()] };
    return await mergeShards(planned, folder, parts?.files ?? [oneFile], (rows) => {
      done = rows;
    });
  } catch (error) {
    parts?.discard();
    if (!(error instanceof ShardsDamaged)) throw error;
    const problems = [...error.problems, ...(await noteLines(planned, error.damaged))];
    throw await notWhole(problems, planned, context);
  } finally {
    endProgress();
  }
}

/** Shards that lost something are open again: the next worker sends the rows that lack an answer then. */
async function reopen(problems: readonly Problem[], { runDir, plan }: OpenPlan): Promise<void> {
  for (const { shard, kind, message } of problems) {
    if (shard === null || kind !== 'cut') continue;
    const { temp } = shardFolder(runDir, shard);
    const state = knownState(temp);
    if (state?.plan === plan.digest) await writeState(temp, { ...state, phase: 'stopped', message });
  }
}

/** Lines that can't be read are not taken by the next worker either. */
async function noteLines({ runDir }: OpenPlan, damaged: ShardsDamaged['damaged']): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const shard of new Set(damaged.map(({ part }) => part))) {
    const lines = damaged.filter(({ part }) => part === shard);
    const folder = shardFolder(runDir, shard);
    await noteDamaged(
      folder.journal,
      lines.map(({ offset }) => offset),
    );
    const what = `has ${plural(lines.length, 'line')} that cannot be read or belong to other rows`;
    problems.push({ shard, kind: 'cut', message: `shard ${shard} ${what}` });
  }
  return problems;
}

function identityOf({ plan, settings }: OpenPlan): RunIdentity {
  const { uuid, created, asked, found } = plan;
  return { version: 1, uuid, created, asked, found, source: null, save_dir: settings.output.saveDir };
}

function configOf(planned: OpenPlan): ConfigFile {
  const { runDir, plan, settings } = planned;
  const learnt = new Map<string, ParameterChange>();
  for (const shard of plan.shards.keys()) {
    const state = knownState(shardFolder(runDir, shard).temp);
    for (const change of state?.parameter_changes ?? []) learnt.set(change.parameter, change);
  }
  return {
    uuid: plan.uuid,
    creation_date: plan.created,
    params: effectiveParameters(withFolder(settings, runDir), shownBaseUrl(settings.call)),
    dataset: configDataset({ found: plan.found }, plan.rows),
    ...(learnt.size === 0 ? {} : { parameter_changes: [...learnt.values()] }),
  };
}

/** The settings with the parent of the run's folder, wherever that is on this machine. */
function withFolder(settings: OpenPlan['settings'], runDir: string): OpenPlan['settings'] {
  return { ...settings, output: { ...settings.output, tempDir: dirname(runDir) } };
}
