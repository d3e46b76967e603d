/** Opens the run that `watch-batch` is to watch, here or on another machine than the one that submitted it. */

import { existsSync } from 'node:fs';
import type { Price } from '../models/prices.js';
import {
  earlierFlags,
  bringInputs,
  enter,
  findInAccount,
  originOf,
  type FoundRun,
  type WantedRun,
} from '../batches/adopt.js';
import { identify } from '../batches/account.js';
import { readBatch, type Batch } from '../batches/batch.js';
import { withConfirmation, pause, type CallFailed, type Waiting } from '../batches/calls.js';
import { nameOf, type Chunk } from '../batches/chunk.js';
import type { BatchApi } from '../batches/apis/batch-api.js';
import { Ledger } from '../batches/ledger.js';
import { readOrigin, readSource, sourceOf, type BatchOrigin } from '../batches/metadata.js';
import { BatchReader } from '../batches/reader.js';
import type { SubmitParts } from '../batches/submit.js';
import { UserError } from '../lib/errors.js';
import { fileProblem } from '../lib/files.js';
import { parseJson } from '../lib/json.js';
import { readSmallBytes } from '../lib/small-file.js';
import { shownBaseUrl } from '../models/endpoint.js';
import { GENERATION_NAMES, type GenerationParameters } from '../models/generation.js';
import type { Output, RunSettings } from '../run/settings.js';
import {
  configDataset,
  effectiveParameters,
  readConfig,
  furtherRounds,
  withOutputsOf,
  writeConfig,
  type ConfigFile,
} from '../run/config.js';
import type { RunFolder, RunPlace } from '../run/folder.js';
import { identityFlags, readIdentity, type IdentityFlags, type RunIdentity } from '../run/identity.js';
import { prepareRun } from '../run/prepare.js';
import { Totals } from '../run/totals.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { WatchOptions } from './watch-options.js';
import { submitParts, waitingUntil } from './batch-tools.js';
import { SharedAnswers } from './share-answers.js';
import { findUnknownBatches } from './before-paying.js';
import { giveUpByName, isMarkerName } from './online-permit.js';
import type { BatchRun } from './submit-batches.js';
import type { Reporter } from '../types.js';
import type { CommandContext } from './command-context.js';
import { watchCommandFor } from './watch-command.js';

const MAXIMUM_OBJECTS_BYTES = 256 << 20;
/** How often batches are asked for by name where one of them is not there. */
const NAMED_LOOKS = 3;
const NAMED_PAUSE_MS = 500;

/** Batches that are being watched. */
export interface WatchedBatches extends BatchRun {
  watching: Pick<WatchOptions, 'checkInterval' | 'outputFile' | 'errorFile' | 'cancel'>;
  client: BatchApi;
  submission: SubmitParts;
  /** True for a chunk that `--give_up` names. */
  isGivenUp: (chunk: Chunk) => boolean;
}

/** A run that is being watched. */
export interface WatchedRun extends WatchedBatches {
  output: Output;
  watching: WatchOptions;
  config: ConfigFile;
  /** Answers that rows with the same request have in common. */
  shared: SharedAnswers;
}

/** @throws UserError where this folder has no record of batches */
export function requireRecord(folder: RunFolder, { dataset, annotator }: RunPlace): void {
  if (existsSync(folder.batches) || existsSync(folder.batchObjects)) return;
  throw new UserError(
    `No batches of ${sanitize(dataset, 120)} with ${annotator} are recorded here (${folder.batchObjects} is ` +
      'missing). Name them with --batch_ids, find them in the account with --recover, or submit them with reannotate --batch.',
  );
}

/** The batches that a file in the format of `batch_objects.json` names. */
export function readObjects(path: string): Batch[] {
  if (!existsSync(path)) throw new UserError(`There is no file ${path}.`);
  let text: string;
  try {
    text = readSmallBytes(path, MAXIMUM_OBJECTS_BYTES).toString('utf8');
  } catch (error) {
    throw fileProblem(error, `read ${path} as a list of batches`);
  }
  const value = parseJson(text);
  const batches = (Array.isArray(value) ? value : []).map(readBatch).filter((batch) => batch !== null);
  if (batches.length === 0) throw new UserError(`${path} is not a JSON array of Batch objects.`);
  return batches;
}

/**
 * From flags to a run with its batches: what this folder knows, what the ids and the account add.
 * @throws UserError where ids, dataset and annotator do not belong together
 */
export async function openWatchedRun(
  {
    watching,
    fromFile,
    folder,
    client,
    price,
  }: Omit<BatchSearch, 'ledger' | 'wanted'> & { price: Price | null },
  context: CommandContext,
): Promise<WatchedRun> {
  const { console, interruption } = context;
  const ledger = Ledger.open(folder);
  const identity = readIdentity(folder.run);
  const { dataset } = watching.run.selection;
  const { annotator } = watching.run.call;
  const isKnown = ledger.chunks.length > 0;
  // A folder that knows its batches needs no other proof of its dataset.
  const source = isKnown ? sourceOf(dataset, identity) : await readSource(dataset, identity);
  const wanted: WantedRun = { dataset, annotator: annotator.name, run: identity?.uuid ?? null, source };
  const news = await findBatches({ watching, fromFile, folder, ledger, client, wanted }, context);
  const origin = originOf(news, wanted);
  const earlierConfig = await readConfig(folder.config, new Date(), identity);
  const settings = withOutputsOf(
    earlierConfig.params,
    withEarlierFlags(watching.run, identity?.asked ?? null, origin),
  );
  const totals = new Totals(folder.counters, price, new Date());
  const config = watchConfig(earlierConfig, settings, origin);
  const fresh = { uuid: config.uuid, created: config.creation_date };
  const preparation = { folder, fresh, found: null, console, signal: interruption.soft };
  const run = await prepareRun(settings, preparation, (entry) => {
    totals.addEntry(entry);
  });
  refuseOtherRevision(news, run.identity);
  ledger.learn(config.parameter_changes ?? []);
  config.dataset = configDataset(run.identity, run.rows);
  await writeConfig(folder.config, config);
  const { call, output, policy } = settings;
  const isGivenUp = givenUp(watching.giveUp);
  const watchCommand = watchCommandFor(settings);
  const submission = submitParts({
    ...{ call, policy, ledger, client, totals, price, isGivenUp },
    identity: run.identity,
    reporter: console,
    signal: interruption.soft,
    giveUpCommand: watchCommand([], ['--give_up']),
    collectCommand: watchCommand([], ['--batch_ids']),
  });
  const watched: Omit<WatchedRun, 'shared'> = {
    ...{ watching, call, output, policy, dataset },
    ...{ folder, run, ledger, totals, price, client, submission, config, isGivenUp },
    watchCommand,
  };
  await adopt(news, watched, context);
  await giveUp(watching.giveUp, watched, console);
  totals.setBatches(ledger.totals());
  return { ...watched, shared: await SharedAnswers.open({ ...watched, tempDir: output.tempDir }, console) };
}

/**
 * Gives up what `--give_up` names: markers of other machines are removed here, batches are settled later.
 * @throws UserError where a name is neither
 */
async function giveUp(
  names: readonly string[],
  { run, ledger, client, submission: { waiting } }: Omit<WatchedRun, 'shared'>,
  reporter: Reporter,
): Promise<void> {
  const { uuid } = run.identity;
  const markers = names.filter((name) => isMarkerName(uuid, name));
  requireKnown(
    names.filter((name) => !markers.includes(name)),
    ledger,
  );
  await giveUpByName(markers, uuid, { files: client.files, waiting, reporter });
}

/** What `--give_up` names: batches by their ids, or their files. */
export function givenUp(names: readonly string[]): (chunk: Chunk) => boolean {
  return ({ batch, file }) => names.includes(batch?.id ?? '') || names.includes(file ?? '');
}

/** @throws UserError where `--give_up` names a batch that this run does not have */
function requireKnown(names: readonly string[], ledger: Ledger): void {
  const known = ledger.chunks.flatMap(({ batch, file }) => [batch?.id ?? '', file ?? '']);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const outstanding = ledger.outstanding.map(nameOf);
  const what =
    outstanding.length === 0 ? 'all of its batches are settled' : `outstanding are ${outstanding.join(', ')}`;
  throw new UserError(
    `--give_up ${sanitize(unknown, 80)}: this run has no such batch; ${sanitize(what, 300)}.`,
  );
}

/**
 * A dataset that changed since the batches were submitted has other rows, or other answers beside them.
 * @throws UserError that names both revisions
 */
function refuseOtherRevision(batches: readonly Batch[], { found, asked }: RunIdentity): void {
  for (const { id, metadata } of batches) {
    const revision = readOrigin(metadata)?.revision ?? null;
    if (revision === null || found.revision === null || revision === found.revision) continue;
    throw new UserError(
      `${sanitize(id, 80)} was submitted for revision ${sanitize(revision, 50)} of ${sanitize(asked.dataset, 120)}, and the dataset is now at ` +
        `revision ${sanitize(found.revision, 50)}. Collect it in the folder that it was submitted from.`,
    );
  }
}

/** Enters batches into the ledger, and compares what they ask with the dataset. */
async function adopt(
  batches: readonly Batch[],
  { ledger, folder, client, submission, call, run }: WatchedBatches,
  { console }: CommandContext,
): Promise<void> {
  const adopted = enter(batches, ledger);
  // A file that was not available when its batch was adopted may be by now.
  const unknown = ledger.chunks.filter(({ isAdopted, file }) => isAdopted && file === null);
  await bringInputs([...new Set([...adopted, ...unknown])], {
    ...{ folder, ledger, client, waiting: submission.waiting, reporter: console },
    redactor: call.environment.redactor,
    rows: run.rows,
  });
  if (adopted.length === 0) return;
  await ledger.save();
  console.info(`${plural(adopted.length, 'batch', 'batches')} added to ${folder.batchObjects}.`);
}

/**
 * Before rows are paid for: batches of this run that were submitted from elsewhere become part of it.
 * @returns whether there are some
 */
export async function adoptSiblings(
  watched: WatchedBatches,
  isOurAccount: boolean,
  context: CommandContext,
): Promise<boolean> {
  const { submission } = watched;
  const paying = { ...watched, waiting: submission.waiting, reporter: context.console };
  const found = await findUnknownBatches(paying, isOurAccount);
  if (found.length === 0) return false;
  context.console.info(
    `The account has ${plural(found.length, 'more batch', 'more batches')} of this run, which ${found.length === 1 ? 'counts' : 'count'} as well.`,
  );
  refuseOtherRevision(found, watched.run.identity);
  await adopt(found, watched, context);
  return true;
}

/** Where batches are looked for. */
interface BatchSearch {
  watching: WatchOptions;
  /** Those of `--batch_objects_file`; null for none. */
  fromFile: readonly Batch[] | null;
  folder: RunFolder;
  ledger: Ledger;
  client: BatchApi;
  wanted: WantedRun;
}

/** Batches that the ledger does not know yet, as the API has them now. */
async function findBatches(
  { watching, fromFile, folder, ledger, client, wanted }: BatchSearch,
  { console, interruption }: CommandContext,
): Promise<Batch[]> {
  const known = new Set(ledger.batches.map(({ id }) => id));
  const waiting = waitingUntil(interruption.soft);
  if (watching.recover) {
    let looked = 0;
    const endProgress = console.showProgress(
      () => `Searching the account: ${plural(looked, 'batch', 'batches')}`,
    );
    try {
      const found = await findInAccount(client, wanted, waiting, (batches) => {
        looked = batches;
      });
      if (found.doubt !== null)
        console.warning(`Some batches may be missing: ${sanitize(found.doubt, 200)}.`);
      if (found.batches.length === 0 && ledger.chunks.length === 0) throw nothingFound(found, wanted);
      return found.batches.filter(({ id }) => !known.has(id));
    } finally {
      endProgress();
    }
  }
  const recorded =
    fromFile ??
    (ledger.chunks.length === 0 && existsSync(folder.batchObjects) ? readObjects(folder.batchObjects) : []);
  const ids = (watching.batchIds ?? recorded.map(({ id }) => id)).filter((id) => !known.has(id));
  if (ids.length === 0) return [];
  const { found, missing } = await readNamed(ids, client, waiting);
  const [gone] = missing;
  if (gone !== undefined) {
    const others = missing.length > 1 ? ` and ${count(missing.length - 1)} more` : '';
    throw new UserError(
      `There is no batch ${gone[0]}${others} for this key (${sanitize(gone[1].message, 200)}): the id is wrong, or the batch ` +
        'belongs to another account or project. Check --batch_ids and the key.',
    );
  }
  const identified = await Promise.all([...found.values()].map((batch) => identify(batch, client, waiting)));
  return [...found.values()].map((batch, index) => identified[index] ?? batch);
}

/** Batches that are asked for by name: one that is not there, or is refused, is asked for again before that counts. */
async function readNamed(
  ids: readonly string[],
  client: BatchApi,
  waiting: Waiting,
): Promise<{ found: Map<string, Batch>; missing: [string, CallFailed][] }> {
  const reader = new BatchReader(client);
  const found = new Map<string, Batch>();
  for (let looks = 1; ; looks++) {
    const wanted = ids.filter((id) => !found.has(id));
    const read = await withConfirmation(() => reader.read(wanted), waiting);
    for (const [id, batch] of read.found) found.set(id, batch);
    const missing = [...read.missing, ...read.refused];
    if (missing.length === 0 || looks >= NAMED_LOOKS) return { found, missing };
    await pause(NAMED_PAUSE_MS, waiting);
  }
}

function nothingFound({ seen, otherFiles }: FoundRun, wanted: WantedRun): UserError {
  const what = `${sanitize(wanted.dataset, 120)} with ${wanted.annotator}`;
  if (otherFiles.length > 0) {
    const names = otherFiles.slice(0, 3).map((name) => sanitize(name, 120));
    return new UserError(
      `The account has batches for another file of this name (${names.join(', ')}), and none for ${what}. If it is the same ` +
        'file, name its batches with --batch_ids: their prompts are compared with it.',
    );
  }
  return new UserError(
    `None of the account's ${plural(seen, 'batch', 'batches')} was submitted by reannotate for ${what}. Check --dataset, ` +
      '--annotator and the key.',
  );
}

/** The settings of the watched run: what decided its requests when it was started, and the rest as given now. */
function withEarlierFlags(
  settings: RunSettings,
  before: IdentityFlags | null,
  origin: BatchOrigin | null,
): RunSettings {
  const now = identityFlags(settings);
  const asked = before ?? (origin === null ? now : earlierFlags(origin, now));
  const generation = Object.fromEntries(
    GENERATION_NAMES.map((name) => [name, asked[name] ?? null]),
  ) as GenerationParameters;
  const { selection } = settings;
  return {
    ...settings,
    selection: {
      ...selection,
      subset: selection.subset ?? asked.subset,
      split: selection.split ?? asked.split,
      format: selection.format ?? asked.format,
      promptColumn: selection.promptColumn ?? asked.prompt_column,
      responseColumn: selection.responseColumn ?? asked.response_column,
      systemColumn: selection.systemColumn ?? asked.system_column,
      inputColumn: selection.inputColumn ?? asked.input_column,
      messagesColumn: selection.messagesColumn ?? asked.messages_column,
      toolsColumn: selection.toolsColumn ?? asked.tools_column,
      promptTemplate: selection.promptTemplate ?? asked.prompt_template,
      systemPrompt: selection.systemPrompt ?? asked.system_prompt,
      keepColumns: selection.keepColumns ?? asked.keep_columns?.split(',') ?? null,
      encoding: asked.encoding ?? selection.encoding,
      limit: selection.limit ?? asked.limit,
      offset: selection.offset === 0 ? asked.offset : selection.offset,
    },
    call: { ...settings.call, generation },
  };
}

function watchConfig(
  earlier: Awaited<ReturnType<typeof readConfig>>,
  settings: RunSettings,
  origin: BatchOrigin | null,
): ConfigFile {
  const { call, output, policy, push } = settings;
  return {
    ...earlier,
    // A run that came from another machine keeps its identity.
    ...(origin === null
      ? {}
      : { uuid: origin.run, ...(origin.created === '' ? {} : { creation_date: origin.created }) }),
    params: {
      ...(earlier.params ?? effectiveParameters(settings, shownBaseUrl(call))),
      output_format: output.formats,
      ...furtherRounds(policy),
      accept_finish_reason: call.acceptFinishReason,
      ...(push === null ? {} : { push_to_hub: push.repository, private: push.private, yes: push.yes }),
    },
  };
}
