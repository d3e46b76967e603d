/** A dataset repository on the Hub that results go into: looked at before a run is paid for, written to at its end. */

import type * as Library from '@huggingface/hub';
import { createHash } from 'node:crypto';
import { EXIT, isTlsProblem, messageOf, UserError } from '../lib/errors.js';
import { digestOfFile, fileProblem, isFileProblem } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { isTransientStatus, pauseAfter } from '../http/retry.js';
import { systemClock } from '../lib/clock.js';
import { sanitize } from '../lib/text.js';
import type { Push } from '../run/settings.js';
import { requireWritable } from './account.js';
import { DiskBlob } from './disk-blob.js';
import { RECORD_PATH, type LastPush } from './last-push.js';
import { STAND_IN_TOKEN, Unanswered, type HubConnection } from './connection.js';

/** Where files go in the repository. */
export const CARD_PATH = 'README.md';
export const SUMMARY_PATH = 'summary.json';
export const DATA_PATH = 'data/train-00000-of-00001.parquet';

/** What is pushed in one commit. */
export interface PushedFiles {
  card: string;
  summary: string;
  /** The path of a Parquet file. */
  data: string;
  /** The record of this push for the next one, as JSON. */
  record: string;
  /** Text files that belong to the record: their paths on this disk, by their paths in the repository. */
  digests: ReadonlyMap<string, string>;
}

/** The present state of a repository. */
interface State {
  /** The commit; null if the Hub does not name it. */
  revision: string | null;
  private: boolean;
  /** Those of our files that it holds. */
  files: Map<string, RemoteFile>;
}

interface RemoteFile {
  /** The Git object's SHA-1. */
  oid: string | null;
  /** The content's SHA-256, where it is a large file. */
  sha256: string | null;
}

const COMMIT_TRIES = 3;
/** What a licence's tag looks like; anything else may be anything. */
const LICENSE = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/;
const MAXIMUM_LICENSES = 5;

/** The licences that the metadata of a dataset card names; what is no tag of a licence is left out. */
export function licensesIn(cardData: unknown): string[] {
  const named: unknown = isObject(cardData) ? cardData['license'] : null;
  return [named]
    .flat()
    .filter((license): license is string => typeof license === 'string' && LICENSE.test(license))
    .slice(0, MAXIMUM_LICENSES);
}

export class Repository {
  private constructor(
    private readonly library: typeof Library,
    private readonly connection: HubConnection,
    private readonly request: Push,
  ) {}

  static async open(connection: HubConnection, request: Push): Promise<Repository> {
    return new Repository(await import('@huggingface/hub'), connection, request);
  }

  /** The address of its page. */
  get url(): string {
    return `${this.connection.endpoint}/datasets/${this.request.repository}`;
  }

  /**
   * Looks whether a push can be expected to work, and changes nothing.
   * @returns true where the repository exists already
   * @throws UserError where the token, the name, the visibility or the files that are there speak against it
   */
  async check(): Promise<boolean> {
    return this.#explaining(async () => {
      requireWritable(
        await this.library.whoAmI(this.#access),
        this.request.repository,
        this.connection.endpoint,
      );
      const state = await this.#look();
      if (state !== null) this.#refuse(state);
      return state !== null;
    });
  }

  /** What the last push left; null where there was none. */
  async lastPush(): Promise<LastPush | null> {
    return this.#explaining(async () => {
      const state = await this.#look();
      const revision = state?.revision ?? null;
      if (state === null || revision === null || !state.files.has(SUMMARY_PATH)) return null;
      const [summary, record] = await Promise.all(
        [SUMMARY_PATH, RECORD_PATH].map(async (path) =>
          parseJson((await this.#textAt(revision, path)) ?? 'null'),
        ),
      );
      return { revision, data: state.files.get(DATA_PATH)?.sha256 ?? null, summary, record };
    });
  }

  /** A small file of text at a commit; null where there is none. */
  async textAt(revision: string, path: string): Promise<string | null> {
    return this.#explaining(() => this.#textAt(revision, path));
  }

  /** `raw` gives what Git holds: `resolve` may lead elsewhere, which is not followed with a token. */
  async #textAt(revision: string, path: string): Promise<string | null> {
    const response = await this.connection.fetch(`${this.url}/raw/${revision}/${path}`);
    if (response.ok) return response.text();
    if (response.status === 404) return null;
    const { status } = response;
    const said = explainStatus(status, '', this.request.repository, this.connection.endpoint);
    throw new UserError(said, isTransientStatus(status) ? EXIT.tryLater : EXIT.cannotGoOn);
  }

  /**
   * Makes the repository where there is none, and one commit with all files.
   * @param title of the commit
   * @param base the commit that the files are compared with; null for none
   * @returns false where it holds the same card and data already; then there is no commit
   * @throws UserError where the Hub refuses or can't be reached
   */
  async push(files: PushedFiles, title: string, base: string | null = null): Promise<boolean> {
    return this.#explaining(async () => {
      const state = (await this.#look()) ?? (await this.#create());
      const hash = once(() => digestOfFile(files.data));
      if (await holds(state, files, hash)) return false;
      if (base !== null && state.revision !== base)
        throw new UserError(explainStatus(412, '', this.request.repository, this.connection.endpoint));
      this.#refuse(state);
      await this.#commit(files, title, state, hash);
      return true;
    });
  }

  /** The licences that a dataset's card names; none where they are not known. */
  async licensesOf(dataset: string): Promise<string[]> {
    const { cardData } = await this.library.datasetInfo({
      ...this.#access,
      name: dataset,
      additionalFields: ['cardData'],
    });
    return licensesIn(cardData);
  }

  get #access(): { accessToken: string; hubUrl: string; fetch: typeof fetch } {
    return {
      accessToken: STAND_IN_TOKEN,
      hubUrl: this.connection.endpoint,
      fetch: this.connection.fetch,
    };
  }

  get #designation(): { type: 'dataset'; name: string } {
    return { type: 'dataset', name: this.request.repository };
  }

  /** What is there; null where nothing is, or nothing that this token may see. */
  async #look(): Promise<State | null> {
    const info = await this.#unlessMissing(() =>
      this.library.datasetInfo({
        ...this.#access,
        name: this.request.repository,
        additionalFields: ['sha'],
      }),
    );
    if (info === null) return null;
    const paths = [CARD_PATH, SUMMARY_PATH, DATA_PATH];
    const found: unknown = await this.#unlessMissing(() =>
      this.library.pathsInfo({ ...this.#access, repo: this.#designation, paths }),
    );
    const files = (Array.isArray(found) ? (found as unknown[]) : [])
      .filter(isObject)
      .map((file): [unknown, RemoteFile] => [
        file['path'],
        { oid: text(file['oid']), sha256: isObject(file['lfs']) ? text(file['lfs']['oid']) : null },
      ])
      .filter((entry): entry is [string, RemoteFile] => paths.includes(entry[0] as string));
    const revision: unknown = info.sha;
    return {
      revision: typeof revision === 'string' && /^[0-9a-f]{40,64}$/.test(revision) ? revision : null,
      private: (info.private as unknown) === true,
      files: new Map(files),
    };
  }

  /** The answer; null where the Hub says that there is no such thing, which it also says of what one may not see. */
  async #unlessMissing<T>(request: () => Promise<T>): Promise<T | null> {
    try {
      return await request();
    } catch (error) {
      if (error instanceof this.library.HubApiError && (error.statusCode === 404 || error.statusCode === 401))
        return null;
      throw error;
    }
  }

  async #create(): Promise<State> {
    const { repository, private: isPrivate } = this.request;
    try {
      await this.library.createRepo({
        ...this.#access,
        repo: this.#designation,
        // An organisation may have a default of its own.
        ...(isPrivate ? { visibility: 'private' as const } : {}),
      });
    } catch (error) {
      // It was made meanwhile, by a request of ours that was not answered or by somebody else.
      if (!(error instanceof this.library.HubApiError) || error.statusCode !== 409) throw error;
      const state = await this.#look();
      if (state !== null) return state;
      throw new UserError(`${repository} already exists, but HF_TOKEN cannot see it; choose another name.`);
    }
    return (await this.#look()) ?? { revision: null, private: isPrivate, files: new Map() };
  }

  /** @throws UserError where what is there is not to be written to */
  #refuse(state: State): void {
    const { repository, yes } = this.request;
    if (this.request.private && !state.private) {
      throw new UserError(
        `${repository} is already public, so --private would not hide what is pushed; make it private at ` +
          `${this.url}/settings, or give another name.`,
      );
    }
    if (yes || state.files.size === 0) return;
    throw new UserError(
      `${repository} has files that a push would replace: ${[...state.files.keys()].join(', ')}. Give --yes to ` +
        'replace them (the old versions stay in its history), or choose another name.',
    );
  }

  /** A commit that was not answered may have been made, so that comes to be known before it is sent again. */
  async #commit(
    files: PushedFiles,
    title: string,
    { revision }: State,
    hash: () => Promise<string>,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#commitOnce(files, title, revision);
        return;
      } catch (error) {
        const isUnanswered = error instanceof Unanswered && error.isCommit;
        const isSecond = attempt > 1 && error instanceof this.library.HubApiError && error.statusCode === 412;
        if (!isUnanswered && !isSecond) throw error;
        const { signal } = this.connection;
        await systemClock.sleep(pauseAfter(attempt, null), signal);
        const state = await this.#look();
        if (state !== null && (await holds(state, files, hash))) return;
        if (attempt >= COMMIT_TRIES || isSecond) throw error;
      }
    }
  }

  async #commitOnce(files: PushedFiles, title: string, parent: string | null): Promise<void> {
    await this.library.commit({
      ...this.#access,
      repo: this.#designation,
      title,
      // With it the Hub refuses where somebody else was faster, and a second try of a commit that was made.
      ...(parent === null ? {} : { parentCommit: parent }),
      operations: [
        { operation: 'addOrUpdate', path: CARD_PATH, content: new Blob([files.card]) },
        { operation: 'addOrUpdate', path: SUMMARY_PATH, content: new Blob([files.summary]) },
        { operation: 'addOrUpdate', path: DATA_PATH, content: DiskBlob.of(files.data) },
        { operation: 'addOrUpdate', path: RECORD_PATH, content: new Blob([files.record]) },
        ...[...files.digests].map(([path, local]) => ({
          operation: 'addOrUpdate' as const,
          path,
          content: DiskBlob.of(local),
        })),
      ],
      // Its chunks need WebAssembly and a host of their own; every repository takes plain uploads as well.
      useXet: false,
      abortSignal: this.connection.signal,
    });
  }

  /** Makes whatever goes wrong a sentence. */
  async #explaining<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.connection.signal.throwIfAborted();
      if (error instanceof UserError) throw error;
      throw this.#problem(error);
    }
  }

  #problem(error: unknown): UserError {
    const options = { cause: error };
    const { repository } = this.request;
    const { endpoint } = this.connection;
    if (error instanceof Unanswered) {
      return new UserError(
        `${error.message}. Check the network and the variables HTTPS_PROXY and HF_ENDPOINT.`,
        isTlsProblem(error) ? EXIT.cannotGoOn : EXIT.tryLater,
        options,
      );
    }
    if (error instanceof this.library.HubApiError)
      return new UserError(
        explainStatus(error.statusCode, saidBy(error.data), repository, endpoint),
        isTransientStatus(error.statusCode) ? EXIT.tryLater : EXIT.cannotGoOn,
        options,
      );
    if (isFileProblem(error)) return fileProblem(error, 'read what is to be pushed');
    return new UserError(
      `${sanitize(endpoint, 100)} answered with something unexpected (${sanitize(messageOf(error), 160)}); check HF_ENDPOINT, ` +
        'or try again later.',
      undefined,
      options,
    );
  }
}

/** One sentence for each status, which says what to do. */
function explainStatus(status: number, said: string, repository: string, endpoint: string): string {
  const suffix = said === '' ? '' : ` (${said})`;
  const tokens = `${endpoint}/settings/tokens`;
  switch (status) {
    case 401:
      return `The Hub refused HF_TOKEN${suffix}: set one that is valid, from ${tokens}.`;
    case 403:
      return `The account of HF_TOKEN may not write to ${repository}${suffix}: give a name of its own, or a token that may write, from ${tokens}.`;
    case 404:
      return `The Hub has no ${repository} that HF_TOKEN may write to${suffix}: check the name and the token.`;
    case 409:
    case 412:
      return `${repository} changed while it was pushed to${suffix}: look at it, and push again.`;
    case 413:
      return `What is pushed is too large for the Hub${suffix}: see ${endpoint}/docs/hub/storage-limits.`;
    case 429:
      return `The Hub's rate limit is exhausted${suffix}: wait a few minutes.`;
    default:
      return status >= 500
        ? `The Hub failed with ${status}${suffix}: try again later.`
        : `The Hub refused the push with ${status}${suffix}.`;
  }
}

/** The server's own words. */
function saidBy(data: unknown): string {
  if (!isObject(data)) return '';
  const said = data['error'] ?? data['message'];
  return typeof said === 'string' ? sanitize(said, 240) : '';
}

/** True where card and data are there as they are; the summary's times change with every session. */
async function holds(state: State, { card }: PushedFiles, hash: () => Promise<string>): Promise<boolean> {
  if (state.files.get(CARD_PATH)?.oid !== gitObject(card)) return false;
  const data = state.files.get(DATA_PATH)?.sha256 ?? null;
  return data !== null && data === (await hash());
}

/** How Git names a file's content. */
function gitObject(content: string): string {
  const bytes = Buffer.from(content);
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => (made ??= make());
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
