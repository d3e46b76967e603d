/** `jobs.json`: one request body a line, with the row's number as metadata that is not sent. */

import { isObject, parseJson } from '../json.js';
import { UserError } from '../errors.js';
import { breathe, readLines, replaceFile } from '../files.js';
import type { GenerationParameters } from '../options.js';
import type { Provider } from '../providers/index.js';
import { applyChanges, type ParameterChange } from '../requests/parameters.js';
import { inert } from '../text.js';
import type { ChatMessage, PromptRow } from '../types.js';
import { isUnusable } from './rows.js';

/** How every line that this program wrote ends. */
const METADATA = /,"metadata":\{"request_idx":(\d{1,15})\}\}$/;
const LONGEST_METADATA = 48;
const CLOSING_BRACE = Buffer.from('}');

/** What all requests of a run have in common. */
export interface RequestShape {
  model: string;
  generation: GenerationParameters;
  provider: Provider;
  changes: readonly ParameterChange[];
}

/** The body of one request; parameters that are null or not asked for are left out. */
export function requestBody(messages: readonly ChatMessage[], shape: RequestShape): Record<string, unknown> {
  const { logprobs, top_logprobs: topLogprobs, ...generation } = shape.generation;
  const body: Record<string, unknown> = { model: shape.model, messages };
  for (const [name, value] of Object.entries(generation)) {
    if (value !== null) body[name] = value;
  }
  if (logprobs) body['logprobs'] = true;
  if (topLogprobs !== null) body['top_logprobs'] = topLogprobs;
  if (shape.provider.streamed) {
    body['stream'] = true;
    body['stream_options'] = { include_usage: true };
  }
  applyChanges(body, shape.changes);
  return body;
}

/** The turns that a row asks with. */
export function messagesOf(row: PromptRow): ChatMessage[] {
  if (row.messages !== undefined) return row.messages;
  const user: ChatMessage = { role: 'user', content: row.user_prompt };
  return row.system_prompt === '' ? [user] : [{ role: 'system', content: row.system_prompt }, user];
}

/** Writes the jobs of all usable rows. */
export async function writeJobs(rowsPath: string, jobsPath: string, shape: RequestShape): Promise<number> {
  let jobs = 0;
  await replaceFile(jobsPath, async (file) => {
    let index = 0;
    for (const { bytes } of readLines(rowsPath)) {
      if (!isUnusable(bytes)) {
        const row = JSON.parse(bytes.toString('utf8')) as PromptRow;
        const body = requestBody(messagesOf(row), shape);
        body['metadata'] = { request_idx: index };
        file.write(`${JSON.stringify(body)}\n`);
        jobs += 1;
      }
      index += 1;
      if (index % 2000 === 0) await breathe();
    }
  });
  return jobs;
}

/** A line of `jobs.json`, taken apart. */
export interface JobLine {
  requestIdx: number;
  /** The body as it is sent. */
  body: Buffer;
}

/** The jobs of a file, in its order; lines that are no jobs are an error, since the file is ours or the Python tool's. */
export function* readJobs(path: string): Generator<JobLine> {
  let number = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    if (bytes.length === 0) continue;
    const job = readJob(bytes);
    if (job === null) {
      throw new UserError(
        `Line ${number} of ${path} is no job. Delete the file and run again with --resume: it is made anew.`,
      );
    }
    yield job;
  }
}

/** One line of `jobs.json`; null where it is no job. */
export function readJob(line: Buffer): JobLine | null {
  return spliceJob(line) ?? parseJob(line);
}

/** Cuts the metadata off without parsing the prompt; null where the line does not end as ours do. */
function spliceJob(line: Buffer): JobLine | null {
  const tail = line.toString('latin1', Math.max(0, line.length - LONGEST_METADATA));
  const match = METADATA.exec(tail);
  if (match === null) return null;
  const body = Buffer.concat([line.subarray(0, line.length - match[0].length), CLOSING_BRACE]);
  return { requestIdx: Number(match[1]), body };
}

function parseJob(line: Buffer): JobLine | null {
  const job = parseObject(line);
  if (job === null || !isObject(job['metadata'])) return null;
  const requestIdx = job['metadata']['request_idx'];
  if (typeof requestIdx !== 'number' || !Number.isSafeInteger(requestIdx) || requestIdx < 0) return null;
  const body = Object.fromEntries(
    Object.entries(job).filter(([name, value]) => name !== 'metadata' && value !== null),
  );
  return { requestIdx, body: Buffer.from(JSON.stringify(body), 'utf8') };
}

function parseObject(line: Buffer): Record<string, unknown> | null {
  const value = parseJson(line.toString('utf8'));
  return isObject(value) ? value : null;
}

/**
 * Makes sure that a `jobs.json` which the Python tool left asks for the same as this run would: the same prompts of
 * the same rows, and no parameter with another value.
 * @throws UserError that names the first difference
 */
export async function compareJobs(jobsPath: string, rowsPath: string, shape: RequestShape): Promise<void> {
  const jobs = readJobs(jobsPath);
  let next = jobs.next();
  let index = 0;
  for (const { bytes } of readLines(rowsPath)) {
    if (next.done !== true && next.value.requestIdx === index) {
      if (!isUnusable(bytes))
        compareJob(next.value, JSON.parse(bytes.toString('utf8')) as PromptRow, shape, jobsPath);
      next = jobs.next();
    }
    index += 1;
    if (index % 2000 === 0) await breathe();
  }
  if (next.done !== true) {
    throw new UserError(
      `${jobsPath} holds a job for row ${next.value.requestIdx}, but the dataset has ${index} rows now. ` +
        'It changed since; start anew with --overwrite.',
    );
  }
}

function compareJob(job: JobLine, row: PromptRow, shape: RequestShape, path: string): void {
  const theirs = parseObject(job.body) ?? {};
  const ours = requestBody(messagesOf(row), shape);
  for (const [name, value] of Object.entries(ours)) {
    const other = theirs[name];
    if (other === undefined || JSON.stringify(other) === JSON.stringify(value)) continue;
    const what = name === 'messages' ? 'another prompt' : `${name} ${inert(JSON.stringify(other), 60)}`;
    throw new UserError(
      `${path} asks row ${job.requestIdx} with ${what}, which is not what this command line and dataset give` +
        `${name === 'messages' ? '' : ` (${inert(JSON.stringify(value), 60)})`}. Give the same parameters to go on with ` +
        'that run, or start anew with --overwrite.',
    );
  }
}
