/**
 * Fireworks' batch inference, by its API reference (docs.fireworks.ai/api-reference): data sets and jobs below an
 * account. Chat completions are below `/inference`.
 */

import { writeFileSync, readFileSync } from 'node:fs';
import { isObject, parseJson } from '../../lib/json.js';
import type { Described } from '../batch.js';
import { sendBatch, sendCreated, type Shape } from '../batches.js';
import type { StoredFile } from '../files.js';
import { receiveForm } from '../form.js';
import { ApiError, sendJson, type Route } from '../http.js';
import {
  addInput,
  endOf,
  isoTime,
  listed,
  Mount,
  nameBelow,
  orderOf,
  pageAt,
  readFields,
  type ProviderParts,
} from './mount.js';
import { linesIn, resultFiles, sendResults } from './results.js';

const ACCOUNT = 'simulator';
const BASE = `/v1/accounts/${ACCOUNT}`;
const JOBS = `${BASE}/batchInferenceJobs`;
const DATASETS = `${BASE}/datasets`;

interface Job {
  id: string;
  owner: string;
  displayName: string;
  model: string;
  input: string;
  output: string;
  batchId: string;
}

/** Jobs and data sets by the names that their owner gave them. */
class Names {
  readonly jobs = new Map<string, Job>();
  readonly byBatch = new Map<string, Job>();
  readonly datasets = new Map<string, { owner: string; displayName: string; file: StoredFile | null }>();

  add(job: Job): void {
    this.jobs.set(job.id, job);
    this.byBatch.set(job.batchId, job);
  }
}

export function fireworksRoutes(prefix: string, parts: ProviderParts, openai: readonly Route[]): Route[] {
  const mount = new Mount(prefix, parts, ({ status, message }) => ({ code: status, message, details: [] }));
  mount.also(openai, '/v1/chat/', '/inference/v1/chat/');
  const names = new Names();
  mount.on('GET', '/v1/accounts', ({ response }) => {
    sendJson(response, 200, { accounts: [{ name: `accounts/${ACCOUNT}`, state: 'READY' }] });
  });
  mount.on('GET', '/v1/accounts/*', ({ path, response }) => {
    if (!/\/models\/[^/]+$/.test(path)) throw new ApiError(404, 'not found');
    sendJson(response, 200, {
      name: path.slice('/v1/'.length),
      state: 'READY',
      batchInferenceSupported: true,
    });
  });
  addDatasetUploads(mount, parts, names);
  addDatasetDownloads(mount, parts, names);
  addJobs(mount, parts, names);
  // The routes of jobs and data sets are more special than that of models.
  return mount.routes.sort((a, b) => b.path.length - a.path.length);
}

function addDatasetUploads(mount: Mount, parts: ProviderParts, names: Names): void {
  mount.on('POST', DATASETS, async ({ request, response, owner }) => {
    const { datasetId: id, dataset } = await readFields(request);
    if (typeof id !== 'string' || !/^[a-z][a-z0-9-]{0,62}$/.test(id))
      throw new ApiError(400, 'datasetId is not valid');
    if (names.datasets.has(id)) throw new ApiError(409, 'the data set exists already');
    const displayName = textOf(isObject(dataset) ? dataset['displayName'] : '');
    names.datasets.set(id, { owner, displayName, file: null });
    sendJson(response, 200, {
      name: `accounts/${ACCOUNT}/datasets/${id}`,
      displayName,
      createTime: new Date().toISOString(),
      state: 'UPLOADING',
    });
  });
  mount.on('POST', `${DATASETS}/*`, async ({ path, request, response, owner }) => {
    const [, id = ''] = /^(.*):upload$/.exec(nameBelow(DATASETS, path)) ?? [];
    const dataset = names.datasets.get(id);
    if (dataset?.owner !== owner) throw new ApiError(404, 'no such data set');
    const target = parts.files.newPath();
    const { file } = await receiveForm(request, target);
    if (file === null) throw new ApiError(400, 'file is missing');
    // Of a line, only custom_id and body are read.
    const lines = readFileSync(target, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map(completeLine);
    writeFileSync(target, lines.map((line) => `${line}\n`).join(''));
    dataset.file = addInput(parts, { owner, path: target, ...file }, id);
    sendJson(response, 200, { id, filename: file.name, bytes: file.bytes });
  });
}

/** Data sets of input, and the signed addresses of a job's results. */
function addDatasetDownloads(mount: Mount, { files, book, statistics }: ProviderParts, names: Names): void {
  mount.on('GET', `${DATASETS}/*`, ({ path, request, response, owner }) => {
    const name = nameBelow(DATASETS, path);
    const output = /^(.*):getDownloadEndpoint$/.exec(name)?.[1];
    if (output !== undefined) {
      const job = [...names.jobs.values()].find((one) => one.output === output);
      if (job === undefined) throw new ApiError(404, 'no such data set');
      const batch = book.require(job.batchId, owner);
      const host = `${mount.addressFor(request)}/signed/${job.id}`;
      const { output_file_id: answers, error_file_id: errors } = batch.describe();
      const urls = {
        ...(answers === null ? {} : { 'BIJOutputSet.jsonl': `${host}/answers` }),
        ...(errors === null ? {} : { 'error-data.jsonl': `${host}/errors` }),
      };
      sendJson(response, 200, { filenameToSignedUrls: urls });
      return;
    }
    const dataset = names.datasets.get(name);
    if (dataset?.owner !== owner) throw new ApiError(404, 'no such data set');
    sendJson(response, 200, {
      name: `accounts/${ACCOUNT}/datasets/${name}`,
      displayName: dataset.displayName,
      state: 'READY',
    });
  });
  mount.open('GET', '/signed/*', async (exchange) => {
    const [id = '', kind] = exchange.path.slice('/signed/'.length).split('/').map(decodeURIComponent);
    const job = names.jobs.get(id);
    if (job === undefined) throw new ApiError(403, 'the signature is not valid');
    const batch = book.require(job.batchId, job.owner);
    const wanted = kind === 'errors' ? batch.describe().error_file_id : batch.describe().output_file_id;
    const found = resultFiles(files, batch).filter((file) => file.id === wanted);
    statistics.count('fileDownloads');
    await sendResults(
      exchange,
      found,
      linesIn(found).map((line) => (typeof line === 'string' ? line : JSON.stringify(line))),
    );
  });
}

function completeLine(text: string): string {
  const line = parseJson(text);
  if (!isObject(line)) return text;
  const { custom_id: id, body } = line;
  return JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body });
}

function addJobs(mount: Mount, { book }: ProviderParts, names: Names): void {
  const shape: Shape = (batch) => describe(batch, names.byBatch.get(batch.id));
  mount.on('POST', JOBS, async (asked) => {
    const fields = await readFields(asked.request);
    const id = asked.query.get('batchInferenceJobId') ?? '';
    if (names.jobs.has(id)) throw new ApiError(409, 'the job exists already');
    const input = lastPart(fields['inputDatasetId']);
    const file = names.datasets.get(input)?.file ?? null;
    if (file?.owner !== asked.owner) throw new ApiError(400, 'inputDatasetId names no data set');
    const job = {
      id,
      owner: asked.owner,
      displayName: textOf(fields['displayName']),
      model: textOf(fields['model']),
      input,
      output: lastPart(fields['outputDatasetId']),
    };
    const named: Shape = (batch) => {
      names.add({ ...job, batchId: batch.id });
      return shape(batch);
    };
    try {
      sendCreated(asked.response, book.create(asked.owner, orderOf(file.id), file), named);
    } finally {
      // A batch that was made has its job, whatever became of the answer.
      const [made] = book.of(asked.owner);
      if (made !== undefined && !names.byBatch.has(made.id)) names.add({ ...job, batchId: made.id });
    }
  });
  mount.on('GET', JOBS, ({ owner, query, response }) => {
    const all = listed(book, owner, shape, 'name');
    const { page, next } = pageAt(all, query.get('pageToken'), Number(query.get('pageSize') ?? 50));
    sendJson(response, 200, {
      batchInferenceJobs: page.map(({ entry }) => entry),
      nextPageToken: next ?? '',
      totalSize: all.length,
    });
  });
  mount.on('GET', `${JOBS}/*`, ({ path, owner, response }) => {
    sendBatch(response, book.require(requireJob(names, path).batchId, owner), shape);
  });
  mount.on('POST', `${JOBS}/*`, ({ path, owner, response }) => {
    if (!path.endsWith(':cancel')) throw new ApiError(404, 'not found');
    book.require(requireJob(names, path.slice(0, -':cancel'.length)).batchId, owner).cancel();
    sendJson(response, 200, {});
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function lastPart(name: unknown): string {
  return textOf(name).split('/').at(-1) ?? '';
}

function requireJob(names: Names, path: string): Job {
  const job = names.jobs.get(nameBelow(JOBS, path));
  if (job === undefined) throw new ApiError(404, 'no such job');
  return job;
}

function describe(batch: Described, job: Job | undefined): object {
  const { total, completed, failed } = batch.request_counts;
  const state =
    batch.status === 'in_progress' || batch.status === 'finalizing' ? 'RUNNING' : batch.status.toUpperCase();
  return {
    name: `accounts/${ACCOUNT}/batchInferenceJobs/${job?.id ?? batch.id}`,
    displayName: job?.displayName ?? '',
    model: job?.model ?? '',
    inputDatasetId: `accounts/${ACCOUNT}/datasets/${job?.input ?? ''}`,
    outputDatasetId: `accounts/${ACCOUNT}/datasets/${job?.output ?? ''}`,
    state: `JOB_STATE_${state}`,
    status: { code: 'OK', message: batch.errors?.data[0]?.message ?? '' },
    createTime: isoTime(batch.created_at),
    updateTime: isoTime(endOf(batch) ?? batch.created_at),
    jobProgress: {
      totalInputRequests: total,
      totalProcessedRequests: completed + failed,
      successfullyProcessedRequests: completed,
      failedRequests: failed,
    },
  };
}
