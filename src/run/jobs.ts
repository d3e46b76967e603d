/** `jobs.json`: one request body a line, with the row's number as metadata that is not sent. */

import { isObject, parseJson } from '../lib/json.js';
import { UserError } from '../lib/errors.js';
import { matchesAt } from '../lib/bytes.js';
import {
  cooperativePause,
  endOfLine,
  readBlocks,
  readLines,
  replaceFile,
  type BufferedFile,
} from '../lib/files.js';
import { asksTheSame, isGenerationName, type GenerationParameters } from '../models/generation.js';
import type { Provider } from '../models/providers.js';
import { applyChanges, type ParameterChange } from '../requests/parameters.js';
import { sanitize } from '../lib/text.js';
import { IMAGE_MARK, type ChatMessage, type PromptRow, type RowImage } from '../types.js';
import { parseRow, rowMark } from './row-line.js';
import { isUnusable } from './rows.js';

/** How every line that this program wrote ends, before and after its row's number. */
const METADATA = Buffer.from(',"metadata":{"request_idx":');
const MOST_DIGITS = 15;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const CLOSING_BRACE = 0x7d;

/** What all requests of a run have in common. */
export interface RequestShape {
  model: string;
  generation: GenerationParameters;
  /** Those that the command line names. */
  given: ReadonlySet<string>;
  provider: Provider;
  changes: readonly ParameterChange[];
}

/** A turn as it is sent, with its images in place of their marks. */
export type SentMessage = Omit<ChatMessage, 'content'> & { content: ChatMessage['content'] | object[] };

/** What a row sends: its turns, and the tools that may be called. */
export interface RowRequest {
  messages: readonly SentMessage[];
  tools?: readonly object[];
}

/** The body of one request; parameters that are null are left out, and `--extra_body` has the last word. */
export function requestBody({ messages, tools }: RowRequest, shape: RequestShape): Record<string, unknown> {
  const body: Record<string, unknown> = { model: shape.model, messages };
  if (tools !== undefined) body['tools'] = tools;
  const { reasoning_effort: effort, extra_body: extra, ...plain } = shape.generation;
  for (const [name, value] of Object.entries(plain)) {
    if (value !== null) body[name] = value;
  }
  // Runs of earlier versions have no effort.
  if (typeof effort === 'string')
    Object.assign(body, shape.provider.effort(effort, { model: shape.model, maxTokens: plain.max_tokens }));
  if (shape.provider.streamed) {
    body['stream'] = true;
    body['stream_options'] = { include_usage: true };
  }
  applyChanges(body, shape.changes);
  return Object.assign(body, extra);
}

/** The turns that a row asks with. */
export function messagesOf(row: PromptRow): ChatMessage[] {
  if (row.messages !== undefined) return row.messages;
  const user: ChatMessage = { role: 'user', content: row.user_prompt };
  return row.system_prompt === '' ? [user] : [{ role: 'system', content: row.system_prompt }, user];
}

/** The request of a row. */
export function requestOf(row: PromptRow): RowRequest {
  const turns = messagesOf(row);
  const messages = row.images === undefined ? turns : withImages(turns, row.images);
  return row.tools === undefined ? { messages } : { messages, tools: row.tools };
}

/** Puts images where their marks are in the user turns. */
function withImages(turns: readonly ChatMessage[], images: readonly RowImage[]): SentMessage[] {
  let next = 0;
  return turns.map((turn) => {
    const texts = turn.role === 'user' ? (turn.content ?? '').split(IMAGE_MARK) : [];
    if (texts.length < 2) return turn;
    const parts: object[] = [];
    for (const [place, text] of texts.entries()) {
      if (place > 0) parts.push({ type: 'image_url', image_url: { url: images[next++]?.url ?? '' } });
      if (text !== '') parts.push({ type: 'text', text });
    }
    return { ...turn, content: parts };
  });
}

/** Writes the jobs of all usable rows. */
export async function writeJobs(
  rowsPath: string,
  jobsPath: string,
  shape: RequestShape,
  onProgress: (rows: number) => void,
): Promise<number> {
  let jobs = 0;
  const pause = cooperativePause();
  const writer = new JobWriter(shape);
  await replaceFile(jobsPath, async (file) => {
    let index = 0;
    for (const { bytes } of readBlocks(rowsPath)) {
      for (let start = 0; start < bytes.length; index++) {
        const end = endOfLine(bytes, start);
        if (writer.write(file, bytes, start, end, index)) jobs += 1;
        start = end + 1;
      }
      onProgress(index);
      await pause();
    }
  });
  return jobs;
}

/** The start of rows with one turn and no system prompt, and what follows the prompt, as `JSON.stringify` writes them. */
const ROW_START = Buffer.from('{"system_prompt":"","user_prompt":');
const AFTER_PROMPT = Buffer.from(',"annotation_original":');
/** Turns, tools and images. */
const SENT_KEYS = 1 | 2 | 16;
const QUOTE = 0x22;
const LETTER_L = 0x6c;

/**
 * Writes rows as jobs. An ordinary row's prompt is copied unchanged, between what all jobs have in common: parsing
 * and rewriting it would cost five times as much.
 */
class JobWriter {
  readonly #before: Buffer;
  readonly #after: string;

  constructor(private readonly shape: RequestShape) {
    const mark = '\u0000prompt\u0000';
    const body = JSON.stringify({
      ...requestBody({ messages: [{ role: 'user', content: mark }] }, shape),
      metadata: { request_idx: 0 },
    });
    const [before = '', after = ''] = body.split(JSON.stringify(mark));
    this.#before = Buffer.from(before);
    this.#after = after.slice(0, -'0}}'.length);
  }

  /** Writes the job of a line of `rows.jsonl`; false where the row can't be used. */
  write(file: BufferedFile, block: Buffer, start: number, end: number, index: number): boolean {
    const promptEnd = endOfPrompt(block, start, end);
    if (promptEnd !== -1) {
      file.write(this.#before);
      file.writeRange(block, start + ROW_START.length, promptEnd);
      file.write(`${this.#after}${index}}}\n`);
      return true;
    }
    const line = block.subarray(start, end);
    if (isUnusable(line)) return false;
    const body = requestBody(requestOf(parseRow(line)), this.shape);
    body['metadata'] = { request_idx: index };
    file.write(`${JSON.stringify(body)}\n`);
    return true;
  }
}

/** Where the prompt of an ordinary row ends as JSON; -1 where the row has to be parsed. */
function endOfPrompt(block: Buffer, start: number, end: number): number {
  if (!matchesAt(block, ROW_START, start)) return -1;
  const prompt = start + ROW_START.length;
  // The key is nowhere else: inside a text its quotes are escaped. Chats have more after the original answer.
  const after = block.indexOf(AFTER_PROMPT, prompt);
  // A text's quote or the `l` of null: the turns of a chat would end in a bracket.
  const last = block[end - 2];
  if (after === -1 || after >= end) return -1;
  if (last === QUOTE || last === LETTER_L) return after;
  // Kept columns are no part of the request.
  const mark = rowMark(block, start, end);
  return mark !== null && (mark.keys & SENT_KEYS) === 0 ? after : -1;
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
        `Line ${number} of ${path} is not a job. Delete the file and run again with --resume, which rebuilds it.`,
      );
    }
    yield job;
  }
}

/** One line of `jobs.json`; null where it is not a job. */
export function readJob(line: Buffer): JobLine | null {
  return spliceJob(line) ?? parseJob(line);
}

/** Cuts the metadata off without parsing the prompt; null where the line does not end as ours do. */
function spliceJob(line: Buffer): JobLine | null {
  const metadata = findMetadata(line);
  if (metadata === null) return null;
  const { requestIdx, start } = metadata;
  const body = Buffer.allocUnsafe(start + 1);
  line.copy(body, 0, 0, start);
  body[start] = CLOSING_BRACE;
  return { requestIdx, body };
}

/** The metadata of a line that we wrote: from `start` on, and before it is a body without its last brace. */
function findMetadata(line: Buffer): { requestIdx: number; start: number } | null {
  let at = line.length - 1;
  if (line[at] !== CLOSING_BRACE || line[at - 1] !== CLOSING_BRACE) return null;
  at -= 2;
  let row = 0;
  let digits = 0;
  for (let unit = 1; ; unit *= 10, digits++, at--) {
    const digit = line[at] ?? 0;
    if (digit < DIGIT_0 || digit > DIGIT_9 || digits > MOST_DIGITS) break;
    row += (digit - DIGIT_0) * unit;
  }
  const start = at + 1 - METADATA.length;
  if (digits === 0 || digits > MOST_DIGITS || !matchesAt(line, METADATA, start)) return null;
  return { requestIdx: row, start };
}

/** A line of `jobs.json`, of which nothing is copied where it is ours. */
export interface JobHead {
  requestIdx: number;
  /** The body without its last brace; bytes of the line. */
  head: Buffer;
}

/** One line of `jobs.json` without a copy of its body; null where it is not a job. */
export function readJobHead(line: Buffer): JobHead | null {
  const metadata = findMetadata(line);
  if (metadata !== null) return { requestIdx: metadata.requestIdx, head: line.subarray(0, metadata.start) };
  const job = parseJob(line);
  return job === null ? null : { requestIdx: job.requestIdx, head: headOf(job.body) };
}

/** What a body's line begins with, for comparisons. */
export function headOf(body: Buffer): Buffer {
  return body.subarray(0, body.length - 1);
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
  const pause = cooperativePause();
  for (const { bytes } of readLines(rowsPath)) {
    if (next.done !== true && next.value.requestIdx === index) {
      if (!isUnusable(bytes)) compareJob(next.value, parseRow(bytes), shape, jobsPath);
      next = jobs.next();
    }
    index += 1;
    await pause();
  }
  if (next.done !== true) {
    throw new UserError(
      `${jobsPath} holds a job for row ${next.value.requestIdx}, but the dataset has ${index} rows now. ` +
        'It has changed; start over with --overwrite.',
    );
  }
}

function compareJob(job: JobLine, row: PromptRow, shape: RequestShape, path: string): void {
  const theirs = parseObject(job.body) ?? {};
  const ours = requestBody(requestOf(row), shape);
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs).filter(isGenerationName)]);
  for (const name of names) {
    const value = ours[name];
    const other = theirs[name];
    if (
      isGenerationName(name) ? asksTheSame(name, other, value, shape.given.has(name)) : isEqual(other, value)
    ) {
      continue;
    }
    const what = name === 'messages' ? 'another prompt' : `${name} ${shown(other)}`;
    throw new UserError(
      `${path} has row ${job.requestIdx} with ${what}, which is not what this command line and dataset give` +
        `${name === 'messages' ? '' : ` (${shown(value)})`}. Use the same parameters to resume ` +
        'that run, or start over with --overwrite.',
    );
  }
}

/** What the Python tool left out it did not ask for otherwise. */
function isEqual(theirs: unknown, ours: unknown): boolean {
  return theirs === undefined || JSON.stringify(theirs) === JSON.stringify(ours);
}

function shown(value: unknown): string {
  return value === undefined || value === null ? 'not given' : sanitize(JSON.stringify(value), 60);
}
