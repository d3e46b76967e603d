/** Opens the run that `watch-batch` is to watch, here or on another machine than the one that submitted it. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import type { Price } from '../annotators/prices.js';
import {
  askedBefore,
  bringInputs,
  enter,
  findInAccount,
  originOf,
  type WantedRun,
} from '../batches/adopt.js';
import { readBatch, type Batch } from '../batches/batch.js';
import { CallFailed, persist, type Waiting } from '../batches/calls.js';
import type { BatchClient } from '../batches/client.js';
import { Ledger } from '../batches/ledger.js';
import type { BatchOrigin } from '../batches/metadata.js';
import { BatchReader } from '../batches/reader.js';
import type { SubmitParts } from '../batches/submit.js';
import { UserError } from '../errors.js';
import { unionOfFormats } from '../exports/index.js';
import { parseJson } from '../json.js';
import { shownBaseUrl } from '../endpoint.js';
import { GENERATION_NAMES, type GenerationParameters } from '../generation.js';
import type { RunOptions } from '../options.js';
import { systemClock } from '../requests/clock.js';
import {
  configDataset,
  acceptedReasons,
  effectiveParameters,
  readConfig,
  writeConfig,
  type ConfigFile,
} from '../run/config.js';
import type { RunFolder } from '../run/folder.js';
import { askedFor, readIdentity, type AskedFor } from '../run/identity.js';
import { prepareRun, type PreparedRun } from '../run/prepare.js';
import { Totals } from '../run/totals.js';
import { count, inert, plural } from '../text.js';
import type { WatchOptions } from '../watch-options.js';
import { submitParts } from './batch-tools.js';
import type { Surroundings } from './surroundings.js';

const MAXIMUM_OBJECTS_BYTES = 256 << 20;

/** A run that is being watched. */
export interface WatchedRun {
  watching: WatchOptions;
  options: RunOptions;
  folder: RunFolder;
  run: PreparedRun;
  ledger: Ledger;
  totals: Totals;
  price: Price | null;
  client: BatchClient;
  submission: SubmitParts;
  config: ConfigFile;
}

/** @throws UserError where nothing here tells of batches */
export function requireRecord(folder: RunFolder, options: RunOptions): void {
  if (existsSync(folder.batches) || existsSync(folder.batchObjects)) return;
  throw new UserError(
    `No batches of ${inert(options.dataset, 120)} with ${options.annotator.name} are known here (${folder.batchObjects} is ` +
      'missing). Name them with --batch_ids, find them in the account with --recover, or submit them with reannotate --batch.',
  );
}

/** The batches that a file in the manner of `batch_objects.json` names. */
export function readObjects(path: string): Batch[] {
  if (!existsSync(path)) throw new UserError(`There is no file ${path}.`);
  if (statSync(path).size > MAXIMUM_OBJECTS_BYTES)
    throw new UserError(`${path} is too large to be a list of batches.`);
  const value = parseJson(readFileSync(path, 'utf8'));
  const batches = (Array.isArray(value) ? value : []).map(readBatch).filter((batch) => batch !== null);
  if (batches.length === 0) throw new UserError(`${path} holds no JSON array of Batch objects.`);
  return batches;
}

/**
 * From flags to a run with its batches: what this folder knows, what the ids and the account add.
 * @throws UserError where ids, dataset and annotator do not belong together
 */
export async function openWatchedRun(
  watching: WatchOptions,
  fromFile: readonly Batch[] | null,
  folder: RunFolder,
  client: BatchClient,
  price: Price | null,
  surroundings: Surroundings,
): Promise<WatchedRun> {
  const { console, interruption } = surroundings;
  const ledger = Ledger.open(folder);
  const identity = readIdentity(folder.run);
  const { dataset, annotator } = watching.run;
  const wanted: WantedRun = { dataset, annotator: annotator.name, run: identity?.uuid ?? null };
  const news = await findBatches(watching, fromFile, folder, ledger, client, wanted, surroundings);
  const origin = originOf(news, wanted);
  const earlierConfig = await readConfig(folder.config, new Date(), identity);
  const options = {
    ...withAsked(watching.run, identity?.asked ?? null, origin),
    includeMetadata: watching.run.includeMetadata || earlierConfig.params?.['include_metadata'] === true,
    outputFormats: unionOfFormats(watching.run.outputFormats, earlierConfig.params?.['output_format']),
    acceptFinishReason: acceptedReasons(watching.run.acceptFinishReason, earlierConfig.params),
  };
  const totals = new Totals(folder.counters, price, new Date());
  const config = watchConfig(earlierConfig, options, origin);
  const fresh = { uuid: config.uuid, created: config.creation_date };
  const preparation = { folder, fresh, found: null, console, signal: interruption.soft };
  const run = await prepareRun(options, preparation, (entry) => {
    if (entry.kind === 'answer') totals.addAnswer(entry.answer);
    else if (entry.usage !== null) totals.addUnusable(entry.usage);
  });
  config.dataset = configDataset(run.identity, run.rows);
  await writeConfig(folder.config, config);
  const submission = submitParts(
    options,
    ledger,
    client,
    run.identity,
    totals,
    price,
    console,
    interruption.soft,
  );
  if (news.length > 0) {
    const { waiting } = submission;
    const others =
      watching.then === 'stop' || origin === null
        ? []
        : await othersOf(origin, news, ledger, client, waiting);
    if (others.length > 0) {
      console.info(
        `The account has ${plural(others.length, 'more batch', 'more batches')} of this run, which count as well.`,
      );
    }
    const chunks = enter([...news, ...others], ledger);
    await bringInputs(chunks, {
      folder,
      client,
      waiting,
      reporter: console,
      redactor: options.environment.redactor,
      rows: run.rows,
    });
    await ledger.save();
    console.info(`${plural(chunks.length, 'batch', 'batches')} taken over into ${folder.batchObjects}.`);
  }
  totals.setBatches(ledger.totals());
  return { watching, options, folder, run, ledger, totals, price, client, submission, config };
}

/** Batches that the ledger does not know yet, as the API has them now. */
async function findBatches(
  watching: WatchOptions,
  fromFile: readonly Batch[] | null,
  folder: RunFolder,
  ledger: Ledger,
  client: BatchClient,
  wanted: WantedRun,
  { console, interruption }: Surroundings,
): Promise<Batch[]> {
  const known = new Set(ledger.batches.map(({ id }) => id));
  const waiting = { clock: systemClock, random: Math.random, signal: interruption.soft };
  if (watching.recover) {
    let looked = 0;
    const endProgress = console.showProgress(
      () => `Looking through the account: ${plural(looked, 'batch', 'batches')}`,
    );
    try {
      const found = await findInAccount(client, wanted, waiting, (batches) => {
        looked = batches;
      });
      if (found.length === 0 && ledger.chunks.length === 0) {
        throw new UserError(
          `None of the account's ${plural(looked, 'batch', 'batches')} was submitted by reannotate for ` +
            `${inert(wanted.dataset, 120)} with ${wanted.annotator}. Check --dataset, --annotator and the key.`,
        );
      }
      return found.filter(({ id }) => !known.has(id));
    } finally {
      endProgress();
    }
  }
  const recorded =
    fromFile ??
    (ledger.chunks.length === 0 && existsSync(folder.batchObjects) ? readObjects(folder.batchObjects) : []);
  const ids = (watching.batchIds ?? recorded.map(({ id }) => id)).filter((id) => !known.has(id));
  if (ids.length === 0) return [];
  const { found, missing } = await persist(() => new BatchReader(client).read(ids), waiting);
  const [gone] = [...missing];
  if (gone !== undefined) {
    const others = missing.size > 1 ? ` and ${count(missing.size - 1)} more` : '';
    throw new UserError(
      `There is no batch ${gone[0]}${others} for this key (${inert(gone[1].message, 200)}): the id is wrong, or the batch ` +
        'belongs to another account or project. Check --batch_ids and the key.',
    );
  }
  return [...found.values()];
}

/**
 * Further batches of a run that was submitted elsewhere. Before rows are asked again it must be known where they may
 * already be asked.
 */
async function othersOf(
  origin: BatchOrigin,
  news: readonly Batch[],
  ledger: Ledger,
  client: BatchClient,
  waiting: Waiting,
): Promise<Batch[]> {
  const known = new Set([...ledger.batches, ...news].map(({ id }) => id));
  const { dataset, annotator, run } = origin;
  try {
    const found = await findInAccount(client, { dataset, annotator, run }, waiting, () => undefined);
    return found.filter(({ id }) => !known.has(id));
  } catch (error) {
    // A server that does not list batches can't tell.
    if (error instanceof CallFailed && [404, 405, 501].includes(error.status ?? 0)) return [];
    throw error;
  }
}

/** The options of the run that is watched: what decided its requests when it was begun, and the rest as given now. */
function withAsked(options: RunOptions, before: AskedFor | null, origin: BatchOrigin | null): RunOptions {
  const now = askedFor(options);
  const asked = before ?? (origin === null ? now : askedBefore(origin, now));
  const generation = Object.fromEntries(
    GENERATION_NAMES.map((name) => [name, asked[name] ?? null]),
  ) as GenerationParameters;
  return {
    ...options,
    subset: options.subset ?? asked.subset,
    split: options.split ?? asked.split,
    format: options.format ?? asked.format,
    promptColumn: options.promptColumn ?? asked.prompt_column,
    responseColumn: options.responseColumn ?? asked.response_column,
    systemColumn: options.systemColumn ?? asked.system_column,
    inputColumn: options.inputColumn ?? asked.input_column,
    messagesColumn: options.messagesColumn ?? asked.messages_column,
    encoding: asked.encoding ?? options.encoding,
    limit: options.limit ?? asked.limit,
    offset: options.offset === 0 ? asked.offset : options.offset,
    generation,
  };
}

function watchConfig(
  earlier: Awaited<ReturnType<typeof readConfig>>,
  options: RunOptions,
  origin: BatchOrigin | null,
): ConfigFile {
  return {
    ...earlier,
    // A run that came from another machine keeps its identity.
    ...(origin === null
      ? {}
      : { uuid: origin.run, ...(origin.created === '' ? {} : { creation_date: origin.created }) }),
    params: {
      ...(earlier.params ?? effectiveParameters(options, shownBaseUrl(options))),
      output_format: options.outputFormats,
      accept_finish_reason: options.acceptFinishReason,
      ...(options.push === null
        ? {}
        : { push_to_hub: options.push.repository, private: options.push.private, yes: options.push.yes }),
    },
  };
}
