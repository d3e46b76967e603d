/** `--push_to_hub`: checked before anything is paid for, done once the results are written. */

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UserError } from '../lib/errors.js';
import { exportFile, exportResults } from '../exports/index.js';
import { readResults } from '../exports/rows.js';
import type { Environment, Push } from '../run/settings.js';
import { digestOfFile, readOwnText } from '../lib/files.js';
import { packageVersion } from '../lib/package.js';
import { datasetCard, isOnHub } from '../publishing/card.js';
import { HubConnection } from '../publishing/connection.js';
import {
  changesSince,
  digestsPath,
  recordOf,
  type LastPush,
  type PushRecord,
  type SinceLastPush,
} from '../publishing/last-push.js';
import { Repository } from '../publishing/repository.js';
import { describeChanges, MOST_ROWS, RowDigests, ROWS_A_FILE } from '../publishing/row-digests.js';
import { refuseSecrets } from '../publishing/secret-scan.js';
import type { Summary } from '../run/summary.js';
import { duration, sanitize, plural } from '../lib/text.js';
import { resultShape, resultsOf, type FinishedRun, type Publisher } from './finished-run.js';
import type { CommandContext } from './command-context.js';

/**
 * Looks whether the push that is asked for can be expected to work, so that no run ends with one that is refused.
 * @returns what pushes at the end
 * @throws UserError where it can't work
 */
export async function preparePush(
  push: Push,
  environment: Environment,
  context: CommandContext,
): Promise<Publisher> {
  const { token } = environment.hub;
  if (token === null) {
    throw new UserError(
      `No token: --push_to_hub needs one that may write to ${push.repository} in the environment variable HF_TOKEN ` +
        `(${environment.hub.endpoint}/settings/tokens). Set it and run the command again.`,
    );
  }
  if (/[^\u0021-\u007e]/.test(token)) {
    throw new UserError('HF_TOKEN contains a space or another character that no token has; copy it again.');
  }
  const publisher = new HubPublisher(push, environment, context);
  await publisher.check();
  return publisher;
}

class HubPublisher implements Publisher {
  constructor(
    private readonly request: Push,
    private readonly environment: Environment,
    private readonly context: CommandContext,
  ) {}

  async check(): Promise<void> {
    await this.#connected(async (repository) => {
      const exists = await repository.check();
      const kind = exists ? 'which exists' : this.request.private ? 'new and private' : 'new';
      this.context.console.info(`The results will be pushed to ${repository.url} (${kind}).`);
    });
  }

  async publish(finished: FinishedRun, summary: Summary): Promise<void> {
    const { console } = this.context;
    const { rows } = summary;
    if (rows.pending > 0) {
      console.warning(
        `Not pushed to ${this.request.repository}: ${plural(rows.pending, 'row')} not sent yet. A run can be pushed once it is complete.`,
      );
      return;
    }
    if (summary.dropped?.kept === 0) {
      console.warning(
        `Not pushed to ${this.request.repository}: --drop and --decontaminate leave no row. Give others, or none.`,
      );
      return;
    }
    try {
      await this.#connected((repository) => this.#push(repository, finished, summary));
    } catch (error) {
      throw this.#notPushed(error, summary);
    }
  }

  async #push(repository: Repository, finished: FinishedRun, summary: Summary): Promise<void> {
    const { console } = this.context;
    const { redactor } = this.environment;
    const { folder, run, call } = finished;
    const started = performance.now();
    const endProgress = console.showProgress(
      () => `Pushing to ${this.request.repository}: ${duration(performance.now() - started)}`,
    );
    const data = await parquetFile(finished);
    const rows = summary.dropped?.kept ?? summary.rows.total;
    const listed = await listRows(finished, rows);
    try {
      const last = await repository.lastPush();
      const since = last === null ? null : await this.#since(last, listed.digests, data.path, repository);
      const record: PushRecord = { rows, digests: [...listed.files.keys()], since_last_push: since };
      const card = await datasetCard({
        repository: this.request.repository,
        identity: run.identity,
        annotator: call.annotator,
        summary,
        shape: resultShape(finished),
        changes: finished.config.parameter_changes ?? [],
        licenses: await this.#licenses(repository, finished),
        since,
        version: packageVersion(),
      });
      const files = {
        card: redactor.text(card),
        summary: redactor.text(readOwnText(folder.summary)),
        data: data.path,
        record: redactor.text(`${JSON.stringify(record, null, 2)}\n`),
        digests: listed.files,
      };
      await refuseSecrets(files, redactor, this.request.allowSecrets);
      const what = plural(rows, 'row');
      const title = `Add ${what} annotated by ${sanitize(call.annotator.name, 100)}`;
      const isNew = await repository.push(files, title, last?.revision ?? null);
      console.info(
        isNew
          ? `Pushed ${what} to ${repository.url}`
          : `Nothing to push: ${repository.url} holds these ${what} already.`,
      );
      const changes = since?.rows ?? null;
      if (isNew && changes !== null) console.info(`Since the last push: ${describeChanges(changes)}.`);
    } finally {
      data.remove();
      listed.remove();
      endProgress();
    }
  }

  /** How the rows differ from those of the last push; of data that is there already it is what was said of them then. */
  async #since(
    last: LastPush,
    digests: RowDigests | null,
    data: string,
    repository: Repository,
  ): Promise<SinceLastPush | null> {
    if (last.data !== null && last.data === (await digestOfFile(data)))
      return recordOf(last)?.since_last_push ?? null;
    return changesSince(last, digests, (path) => repository.textAt(last.revision, path));
  }

  /** What the source's card says; a card without a licence is better than no push. */
  async #licenses(repository: Repository, { run }: FinishedRun): Promise<string[]> {
    if (!isOnHub(run.identity)) return [];
    const { dataset } = run.identity.asked;
    try {
      return await repository.licensesOf(dataset);
    } catch (error) {
      this.context.interruption.soft.throwIfAborted();
      const { console } = this.context;
      console.warning(
        `The licence of ${sanitize(dataset, 120)} could not be looked up (${sanitize(messageOf(error), 160)}); the card names none.`,
      );
      return [];
    }
  }

  async #connected<T>(work: (repository: Repository) => Promise<T>): Promise<T> {
    const { console, interruption } = this.context;
    const connection = new HubConnection(this.environment.hub, console, interruption.soft);
    try {
      return await work(await Repository.open(connection, this.request));
    } finally {
      await connection.close();
    }
  }

  #notPushed(error: unknown, { rows }: Summary): UserError {
    const { interruption, resumeCommand } = this.context;
    const { repository } = this.request;
    const options = { cause: error };
    // A push is not to ask failed rows again.
    const hasFailed = rows.failed + rows.filtered > 0;
    const command = hasFailed ? resumeCommand.replace(/ --resume$/, ' --resume_no_retry') : resumeCommand;
    const again = `Push them with: ${command}`;
    if (interruption.soft.aborted) {
      return new UserError(
        `Stopped before the push to ${repository} was complete; the results are saved. ${again}`,
        interruption.exitCode,
        options,
      );
    }
    if (!(error instanceof UserError)) throw error;
    return new UserError(
      `The results are saved, but not pushed to ${repository}. ${error.message} ${again}`,
      error.exitCode,
      options,
    );
  }
}

/** The results as Parquet: the file that the run has written, or one for the push alone. */
async function parquetFile(finished: FinishedRun): Promise<{ path: string; remove: () => void }> {
  const { output, folder } = finished;
  const name = exportFile('parquet');
  if (output.formats.includes('parquet')) return { path: join(folder.save, name), remove: () => undefined };
  const path = join(folder.temp, name);
  await exportResults('parquet', { ...resultsOf(finished), onProgress: () => undefined }, folder.temp);
  return {
    path,
    remove: () => {
      rmSync(path, { force: true });
    },
  };
}

/** The rows that are pushed, as the next push is to know them. */
interface ListedRows {
  /** Null where there are too many. */
  digests: RowDigests | null;
  /** Where the files are on this disk, by their paths in the repository. */
  files: ReadonlyMap<string, string>;
  remove: () => void;
}

async function listRows(finished: FinishedRun, rows: number): Promise<ListedRows> {
  const files = new Map<string, string>();
  if (rows > MOST_ROWS) return { digests: null, files, remove: () => undefined };
  const { folder } = finished;
  const digests = new RowDigests(rows);
  const remove = (): void => {
    for (const path of files.values()) rmSync(path, { force: true });
  };
  let lines: string[] = [];
  const writeLines = (): void => {
    const number = files.size;
    const local = join(folder.temp, `row_digests.${number}.txt`);
    files.set(digestsPath(number), local);
    writeFileSync(local, `${lines.join('\n')}\n`);
    lines = [];
  };
  try {
    await readResults({ ...resultsOf(finished), onProgress: () => undefined }, (line) => {
      lines.push(digests.add(line.parse()));
      if (lines.length === ROWS_A_FILE) writeLines();
    });
    if (lines.length > 0) writeLines();
  } catch (error) {
    remove();
    throw error;
  }
  return { digests, files, remove };
}
