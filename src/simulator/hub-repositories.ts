/**
 * The part of the Hub that is written to: accounts, dataset repositories, commits, large files. As in
 * https://huggingface.co/docs/hub/api, https://huggingface.co/.well-known/openapi.json, the Git LFS batch API
 * (https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md) and what `@huggingface/hub` sends.
 */

import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { parse } from 'yaml';
import { isObject, parseJson } from '../lib/json.js';
import { answering, HubError, HubFaults } from './hub-error.js';
import { HubObjects } from './hub-objects.js';
import type { Hub } from './hub.js';
import { bearerToken, decodePath, readBody, sendJson, type Exchange, type Route } from './http.js';
import type { SimulatorSettings } from './options.js';
import type { Statistics } from './statistics.js';

/** Files above this are large ones, whatever they are called. */
const LARGE_FROM_BYTES = 10 << 20;
const LARGE_NAME = /\.(?:parquet|arrow|bin|zip|gz)$/;
const REPOSITORY = /^[A-Za-z0-9._-]{1,96}\/[A-Za-z0-9._-]{1,96}$/;
const MAXIMUM_REPOSITORIES = 1000;
/** Small files of all commits together. */
const MAXIMUM_SMALL_BYTES = 256 << 20;
const UPLOADS = '/simulator/uploads/';

interface StoredFile {
  /** The Git object's SHA-1. */
  oid: string;
  bytes: number;
  /** Null for a large file, whose content is an object. */
  content: Buffer | null;
  /** SHA-256 of a large file. */
  sha256: string | null;
}

interface Commit {
  oid: string;
  title: string;
  date: string;
  files: ReadonlyMap<string, StoredFile>;
}

interface Repository {
  name: string;
  private: boolean;
  /** Newest last. */
  commits: Commit[];
}

export class HubRepositories {
  readonly #repositories = new Map<string, Repository>();
  readonly #objects = new HubObjects();
  readonly #faults: HubFaults;
  #smallBytes = 0;

  constructor(
    private readonly settings: SimulatorSettings,
    private readonly statistics: Statistics,
    private readonly hub: Hub,
  ) {
    this.#faults = new HubFaults(settings, statistics);
  }

  routes(): Route[] {
    const route = (
      method: string,
      path: string,
      handle: (exchange: Exchange) => void | Promise<void>,
    ): Route => ({
      method,
      path,
      handle: (exchange) => answering(exchange, this.statistics, () => handle(exchange)),
    });
    const read = (exchange: Exchange): void => {
      this.#read(exchange);
    };
    const file = (exchange: Exchange): void => {
      this.#sendFile(exchange);
    };
    return [
      route('GET', '/api/whoami-v2', (exchange) => {
        this.#requireToken(exchange);
        sendJson(exchange.response, 200, this.#account());
      }),
      route('POST', '/api/repos/create', (exchange) => this.#create(exchange)),
      route('GET', '/api/datasets/*', read),
      route('POST', '/api/datasets/*', (exchange) => this.#write(exchange)),
      route('POST', '/datasets/*', (exchange) => this.#announce(exchange)),
      route('PUT', `${UPLOADS}*`, (exchange) => this.#upload(exchange)),
      route('POST', `${UPLOADS}*`, (exchange) => this.#completeUpload(exchange)),
      route('GET', '/datasets/*', file),
      route('HEAD', '/datasets/*', file),
    ];
  }

  close(): void {
    this.#objects.close();
  }

  /** @see https://huggingface.co/docs/hub/api#get-apiwhoami-v2 */
  #account(): unknown {
    const { hubUser, hubOrganisations, hubRole } = this.settings;
    return {
      type: 'user',
      id: 'simulated',
      name: hubUser,
      fullname: hubUser,
      orgs: hubOrganisations.map((name) => ({ type: 'org', id: name, name, fullname: name })),
      auth: {
        type: 'access_token',
        accessToken: { displayName: 'simulated', role: hubRole, createdAt: new Date(0).toISOString() },
      },
    };
  }

  #requireToken({ request }: Exchange): void {
    const token = bearerToken(request);
    const { hubToken } = this.settings;
    if (token === null || (hubToken !== null && token !== hubToken))
      throw new HubError(401, 'InvalidCredentials', 'Invalid credentials in Authorization header');
  }

  #requireWriter(exchange: Exchange, name: string): void {
    this.#requireToken(exchange);
    const { hubUser, hubOrganisations, hubRole } = this.settings;
    const namespace = name.split('/')[0] ?? '';
    if (hubRole === 'write' && [hubUser, ...hubOrganisations].includes(namespace)) return;
    throw new HubError(
      403,
      'Forbidden',
      `You don't have the rights to write to the namespace "${namespace}" with this token.`,
    );
  }

  /** A repository that one may not see is reported like one that does not exist. */
  #require(exchange: Exchange, name: string): Repository {
    const repository = this.#repositories.get(name);
    if (repository !== undefined) {
      if (!repository.private) return repository;
      this.#requireToken(exchange);
      return repository;
    }
    if (bearerToken(exchange.request) === null)
      throw new HubError(401, 'RepoNotFound', 'Invalid username or password.');
    throw new HubError(404, 'RepoNotFound', 'Repository not found');
  }

  async #create(exchange: Exchange): Promise<void> {
    const body = await jsonBody(exchange);
    const name = `${textOf(body, 'organization') ?? this.settings.hubUser}/${textOf(body, 'name') ?? ''}`;
    this.#requireWriter(exchange, name);
    this.#faults.spoil(exchange);
    if (!REPOSITORY.test(name)) throw new HubError(400, 'InvalidName', 'Invalid repository name.');
    if (body['type'] !== 'dataset')
      throw new HubError(400, 'InvalidType', 'The simulator has datasets only.');
    const url = `${addressOf(exchange)}/datasets/${name}`;
    if (this.#repositories.has(name)) {
      const message = 'You already created this dataset repo';
      sendJson(exchange.response, 409, { error: message, url }, { 'x-error-code': 'RepoExists' });
      return;
    }
    if (this.#repositories.size >= MAXIMUM_REPOSITORIES)
      throw new HubError(429, 'TooManyRepositories', 'The simulator has no room for more repositories.');
    const isPrivate = body['visibility'] === 'private' || body['private'] === true;
    const attributes = Buffer.from('*.parquet filter=lfs diff=lfs merge=lfs -text\n');
    const repository: Repository = { name, private: isPrivate, commits: [] };
    addCommit(repository, 'initial commit', new Map([['.gitattributes', smallFile(attributes)]]));
    this.#repositories.set(name, repository);
    sendJson(exchange.response, 200, { url, name, id: name });
  }

  #read(exchange: Exchange): void {
    const { name, action } = splitPath(exchange.path, '/api/datasets/');
    this.#faults.spoil(exchange);
    const [what = '', revision, ...folder] = action;
    const { response } = exchange;
    if (what === '' || what === 'revision') {
      sendJson(response, 200, this.#describe(exchange, name));
      return;
    }
    const repository = this.#require(exchange, name);
    const { files } = requireRevision(repository, revision);
    if (what === 'tree') {
      const below = folder.length === 0 ? '' : `${folder.join('/')}/`;
      sendJson(
        response,
        200,
        [...files].filter(([path]) => path.startsWith(below)).map(([path, file]) => describeFile(path, file)),
      );
    } else if (what === 'commits') {
      const commits = repository.commits.map(({ oid, title, date }) => ({
        id: oid,
        title,
        message: '',
        date,
      }));
      sendJson(response, 200, commits.reverse());
    } else throw new HubError(404, 'NotFound', 'Not found');
  }

  /** The description of a repository, or of a dataset that the simulator serves. */
  #describe(exchange: Exchange, name: string): unknown {
    const served = this.#repositories.has(name) ? null : this.hub.revisionOf(exchange, name);
    if (served !== null)
      return { ...info(name, false, served, []), cardData: this.settings.datasetCards[name] };
    const repository = this.#require(exchange, name);
    const { oid, files, date } = newest(repository);
    const card = files.get('README.md')?.content ?? null;
    return {
      ...info(name, repository.private, oid, [...files.keys()]),
      lastModified: date,
      ...(card === null ? {} : { cardData: frontMatter(card.toString('utf8')) }),
    };
  }

  async #write(exchange: Exchange): Promise<void> {
    const { name, action } = splitPath(exchange.path, '/api/datasets/');
    const [what = '', revision] = action;
    if (what === 'paths-info') {
      const { files } = requireRevision(this.#require(exchange, name), revision);
      const { paths } = await jsonBody(exchange);
      this.#faults.spoil(exchange);
      const wanted = Array.isArray(paths) ? (paths as unknown[]) : [];
      const found = [...files].filter(([path]) => wanted.includes(path));
      sendJson(
        exchange.response,
        200,
        found.map(([path, file]) => describeFile(path, file)),
      );
      return;
    }
    const repository = this.#require(exchange, name);
    this.#requireWriter(exchange, name);
    requireRevision(repository, revision);
    if (what === 'preupload') await this.#preupload(exchange);
    else if (what === 'commit') await this.#commit(exchange, repository);
    else throw new HubError(404, 'NotFound', 'Not found');
  }

  /** Says which files go as large ones. */
  async #preupload(exchange: Exchange): Promise<void> {
    const { files } = await jsonBody(exchange);
    this.#faults.spoil(exchange);
    const told = (Array.isArray(files) ? (files as unknown[]) : []).filter(isObject).map((file) => {
      const path = textOf(file, 'path') ?? '';
      const isLarge = LARGE_NAME.test(path) || Number(file['size']) > LARGE_FROM_BYTES;
      return { path, uploadMode: isLarge ? 'lfs' : 'regular', shouldIgnore: false };
    });
    sendJson(exchange.response, 200, { files: told });
  }

  /** One commit: a line with its header, then a line for each file. */
  async #commit(exchange: Exchange, repository: Repository): Promise<void> {
    const lines = (await readBody(exchange.request)).toString('utf8').split('\n');
    this.#faults.spoil(exchange);
    const operations = lines.filter((line) => line.trim() !== '').map(readOperation);
    const [header] = operations;
    if (header?.key !== 'header') throw new HubError(400, 'BadRequest', 'A commit begins with its header.');
    const title = textOf(header.value, 'summary') ?? '';
    if (title === '') throw new HubError(400, 'BadRequest', '"summary" is required');
    const parent = textOf(header.value, 'parentCommit');
    const before = newest(repository);
    if (parent !== null && parent !== before.oid)
      throw new HubError(
        412,
        'PreconditionFailed',
        'A commit has happened since. Please refresh and try again.',
      );
    const files = new Map(before.files);
    for (const operation of operations.slice(1)) this.#apply(operation, files);
    const card = files.get('README.md')?.content ?? null;
    if (card !== null && frontMatter(card.toString('utf8')) === null)
      throw new HubError(400, 'InvalidCard', 'Invalid metadata in README.md.');
    const { oid } = addCommit(repository, title, files);
    const url = `${addressOf(exchange)}/datasets/${repository.name}/commit/${oid}`;
    sendJson(exchange.response, 200, { success: true, commitOid: oid, commitUrl: url, hookOutput: '' });
  }

  #apply({ key, value }: Operation, files: Map<string, StoredFile>): void {
    const path = textOf(value, 'path') ?? '';
    if (path === '' || path.split('/').some((part) => part === '' || part === '.' || part === '..'))
      throw new HubError(400, 'BadRequest', 'Invalid path.');
    if (key === 'deletedFile') files.delete(path);
    else if (key === 'file') files.set(path, this.#smallFile(value));
    else if (key === 'lfsFile') files.set(path, this.#largeFile(value));
    else throw new HubError(400, 'BadRequest', `Unknown operation ${key.slice(0, 40)}.`);
  }

  #smallFile(value: Record<string, unknown>): StoredFile {
    const encoding = value['encoding'] === 'base64' ? 'base64' : 'utf8';
    const content = Buffer.from(textOf(value, 'content') ?? '', encoding);
    this.#smallBytes += content.length;
    if (this.#smallBytes > MAXIMUM_SMALL_BYTES)
      throw new HubError(413, 'StorageLimit', 'The simulator stores no more small files.');
    return smallFile(content);
  }

  #largeFile(value: Record<string, unknown>): StoredFile {
    const sha256 = textOf(value, 'oid') ?? '';
    const bytes = Number(value['size']);
    if (!this.#objects.holds(sha256, bytes))
      throw new HubError(400, 'LfsNotFound', `The large file ${sha256.slice(0, 64)} was not uploaded.`);
    return { oid: gitObject(pointer(sha256, bytes)), bytes, content: null, sha256 };
  }

  /** The Git LFS batch API: where objects that are not there yet are uploaded to. */
  async #announce(exchange: Exchange): Promise<void> {
    const [, name = ''] = /^\/datasets\/(.+)\.git\/info\/lfs\/objects\/batch$/.exec(exchange.path) ?? [];
    this.#require(exchange, name);
    this.#requireWriter(exchange, name);
    const { objects, transfers } = await jsonBody(exchange);
    this.#faults.spoil(exchange);
    const takesParts = Array.isArray(transfers) && transfers.includes('multipart');
    const told = (Array.isArray(objects) ? (objects as unknown[]) : []).filter(isObject).map((object) => {
      const oid = textOf(object, 'oid') ?? '';
      const bytes = Number(object['size']);
      if (this.#objects.holds(oid, bytes)) return { oid, size: bytes };
      this.#objects.announce(oid, bytes);
      const href = `${this.settings.hubStorageUrl ?? addressOf(exchange)}${UPLOADS}${oid}`;
      const header = takesParts ? this.#parts(href, bytes) : {};
      return { oid, size: bytes, authenticated: true, actions: { upload: { href, header } } };
    });
    const transfer = takesParts ? 'multipart' : 'basic';
    sendJson(exchange.response, 200, { transfer, objects: told });
  }

  /** The address of each part, by its number, for files that are too large for one. */
  #parts(href: string, bytes: number): Record<string, string> {
    const { hubPartBytes } = this.settings;
    if (bytes <= hubPartBytes) return {};
    const parts = Array.from({ length: Math.ceil(bytes / hubPartBytes) }, (_, index) => [
      String(index + 1).padStart(5, '0'),
      `${href}?part=${index + 1}`,
    ]);
    return { chunk_size: String(hubPartBytes), ...(Object.fromEntries(parts) as Record<string, string>) };
  }

  async #upload(exchange: Exchange): Promise<void> {
    const { path, query, request, response } = exchange;
    this.#faults.spoil(exchange);
    const oid = path.slice(UPLOADS.length);
    const part = Number(query.get('part') ?? 0);
    const { hubPartBytes } = this.settings;
    if (part === 0) {
      await this.#objects.receive(request, oid, 0, Infinity);
      await this.#objects.complete(oid);
    } else await this.#objects.receive(request, oid, (part - 1) * hubPartBytes, hubPartBytes);
    response.writeHead(200, { etag: `"${oid.slice(0, 16)}-${part}"`, 'content-length': 0 }).end();
  }

  async #completeUpload(exchange: Exchange): Promise<void> {
    const { parts } = await jsonBody(exchange);
    if (!Array.isArray(parts) || parts.some((part) => !isObject(part) || textOf(part, 'etag') === null))
      throw new HubError(400, 'InvalidPart', 'A part lacks its ETag.');
    await this.#objects.complete(exchange.path.slice(UPLOADS.length));
    sendJson(exchange.response, 200, {});
  }

  /** Serves a file of a repository, or one of a served dataset. */
  #sendFile(exchange: Exchange): void {
    const [, name = '', action, revision, path = ''] =
      /^\/datasets\/([^/]+\/[^/]+)\/(resolve|raw)\/([^/]+)\/(.+)$/.exec(exchange.path) ?? [];
    if (!this.#repositories.has(name)) {
      this.hub.sendFile(exchange);
      return;
    }
    const { files, oid } = requireRevision(this.#require(exchange, name), revision);
    const file = files.get(decodePath(path) ?? '');
    if (file === undefined) throw new HubError(404, 'EntryNotFound', 'Entry not found');
    const { method, response } = exchange;
    if (action === 'raw') {
      // What Git holds: of a large file a pointer.
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(file.content ?? pointerTo(file));
      return;
    }
    const type = 'application/octet-stream';
    response.writeHead(200, {
      ...{ 'content-type': type, 'content-length': file.bytes, etag: `"${file.sha256 ?? file.oid}"` },
      'x-repo-commit': oid,
    });
    if (method === 'HEAD') response.end();
    else if (file.sha256 === null) response.end(file.content);
    else pipeline(createReadStream(this.#objects.path(file.sha256)), response, () => undefined);
  }
}

/** @see https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
function pointerTo({ sha256, bytes }: StoredFile): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256 ?? ''}\nsize ${bytes}\n`;
}

interface Operation {
  key: string;
  value: Record<string, unknown>;
}

function readOperation(line: string): Operation {
  const value = parseJson(line);
  if (isObject(value) && typeof value['key'] === 'string' && isObject(value['value']))
    return { key: value['key'], value: value['value'] };
  throw new HubError(400, 'BadRequest', 'A line of a commit is {"key": …, "value": {…}}.');
}

/** `/api/datasets/USER/NAME/tree/main` into the name and what follows. */
function splitPath(path: string, before: string): { name: string; action: string[] } {
  const parts = path
    .slice(before.length)
    .split('/')
    .map((part) => decodePath(part) ?? '');
  return { name: parts.slice(0, 2).join('/'), action: parts.slice(2) };
}

async function jsonBody({ request }: Exchange): Promise<Record<string, unknown>> {
  const value = parseJson((await readBody(request)).toString('utf8'));
  if (isObject(value)) return value;
  throw new HubError(400, 'BadRequest', 'The body is no JSON object.');
}

function textOf(value: Record<string, unknown>, name: string): string | null {
  const text = value[name];
  return typeof text === 'string' ? text : null;
}

function addressOf({ request }: Exchange): string {
  return `http://127.0.0.1:${request.socket.localPort ?? 80}`;
}

function newest({ commits }: Repository): Commit {
  const last = commits.at(-1);
  if (last === undefined) throw new HubError(404, 'RevisionNotFound', 'Invalid rev id');
  return last;
}

function requireRevision(repository: Repository, revision: string | undefined): Commit {
  if (revision === 'main' || revision === 'HEAD') return newest(repository);
  const found = repository.commits.find(({ oid }) => oid === revision);
  if (found !== undefined) return found;
  throw new HubError(404, 'RevisionNotFound', `Invalid rev id: ${(revision ?? '').slice(0, 80)}`);
}

function addCommit(repository: Repository, title: string, files: ReadonlyMap<string, StoredFile>): Commit {
  const commit = { oid: randomBytes(20).toString('hex'), title, date: new Date().toISOString(), files };
  repository.commits.push(commit);
  return commit;
}

function info(name: string, isPrivate: boolean, sha: string, paths: string[]): Record<string, unknown> {
  return {
    _id: createHash('sha1').update(name).digest('hex').slice(0, 24),
    id: name,
    author: name.split('/')[0],
    sha,
    private: isPrivate,
    gated: false,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: [],
    lastModified: new Date(0).toISOString(),
    siblings: paths.map((rfilename) => ({ rfilename })),
  };
}

function describeFile(path: string, { oid, bytes, sha256 }: StoredFile): unknown {
  const lfs = { oid: sha256, size: bytes, pointerSize: sha256 === null ? 0 : pointer(sha256, bytes).length };
  return { type: 'file', path, oid, size: bytes, ...(sha256 === null ? {} : { lfs }) };
}

function smallFile(content: Buffer): StoredFile {
  return { oid: gitObject(content), bytes: content.length, content, sha256: null };
}

/** What Git holds in place of a large file. */
function pointer(sha256: string, bytes: number): Buffer {
  return Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${bytes}\n`);
}

/** How Git names a file's content. */
function gitObject(content: Buffer): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

/** The YAML before a card; null where it is none. */
function frontMatter(card: string): Record<string, unknown> | null {
  const [, yaml] = /^---\r?\n([\s\S]*?)\r?\n---(?:\r?\n|$)/.exec(card) ?? [];
  if (yaml === undefined) return {};
  try {
    const value: unknown = parse(yaml);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}
