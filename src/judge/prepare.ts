/**
 * A judgement's own little run inside the folder of the run that is judged: jobs and a journal. Each combination of
 * judge, prompts, sample and answers has a folder of its own, so that nothing is ever moved or mixed; a new one takes
 * over what was answered before to the very same messages.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  cooperativePause,
  digestOfFile,
  readLines,
  removeTemporaryFiles,
  replaceFile,
  type BufferedFile,
  readOwnText,
} from '../lib/files.js';
import { makeOwnFolder } from '../lib/own-folder.js';
import { isObject, parseJson } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import { shownBaseUrl } from '../models/endpoint.js';
import { requestFiles, runName, type RequestFiles } from '../run/folder.js';
import { requestBody, readJobs } from '../run/jobs.js';
import { parseJournalLine } from '../run/journal-line.js';
import { requestShape } from '../run/prepare.js';
import type { JudgeOptions } from './options.js';
import { judgeMessages, type JudgePrompts } from './prompts.js';
import { readPairs, type Pair, type Sample } from './sample.js';
import type { Order } from './verdict.js';

/** Every pair is asked about in both; a pair's requests are numbered in this order. */
export const ORDERS: readonly Order[] = ['new_first', 'old_first'];

/** What makes a judgement this one; kept in `judge.json`. */
export interface Setup {
  version: 1;
  annotator: string;
  model: string;
  base_url: string;
  generation: unknown;
  template_digest: string;
  sample: number;
  seed: number;
  results_digest: string;
}

export interface JudgeFolder extends RequestFiles {
  path: string;
  /** `judge.json`, written last: where it is, the others are complete. */
  setup: string;
}

export async function setupOf(options: JudgeOptions, prompts: JudgePrompts): Promise<Setup> {
  const { sample, seed, folder } = options;
  const { call } = options.settings;
  return {
    version: 1,
    annotator: call.annotator.name,
    model: call.annotator.model,
    // Servers of one model may come and go; they make no other judgement.
    base_url: call.servers === null ? shownBaseUrl(call) : 'several',
    generation: call.generation,
    template_digest: prompts.digest,
    sample,
    seed,
    results_digest: await digestOfFile(folder.reannotated),
  };
}

/** Where a judgement works; nothing is made yet. */
export function judgeFolder({ folder }: JudgeOptions, setup: Setup): JudgeFolder {
  const digest = createHash('sha256').update(JSON.stringify(setup)).digest('hex').slice(0, 12);
  const path = join(folder.judge, runName(setup.annotator, digest));
  return {
    path,
    setup: join(path, 'judge.json'),
    ...requestFiles(path),
  };
}

/** What the judge is asked, and about which rows. */
export interface JudgeQuestions {
  prompts: JudgePrompts;
  setup: Setup;
  sample: Sample;
}

/** Writes the jobs of a judgement and takes earlier answers over, if that was not done before. */
export async function prepareJobs(
  options: JudgeOptions,
  { prompts, setup, sample }: JudgeQuestions,
  onProgress: (rows: number) => void,
): Promise<JudgeFolder> {
  const folder = judgeFolder(options, setup);
  makeOwnFolder(folder.path);
  removeTemporaryFiles(folder.path);
  if (existsSync(folder.setup) && existsSync(folder.jobs)) return folder;
  await replaceFile(folder.jobs, async (file) => {
    let request = 0;
    await readPairs(options.folder.reannotated, sample, onProgress, (pair) => {
      for (const body of bodiesOf(pair, options, prompts)) {
        file.write(`${JSON.stringify({ ...body, metadata: { request_idx: request } })}\n`);
        request += 1;
      }
    });
  });
  await takeAnswersOver(options.folder.judge, folder, setup);
  await replaceFile(folder.setup, (file) => {
    file.write(`${JSON.stringify(setup, null, 2)}\n`);
  });
  return folder;
}

/** The two requests about a pair. */
export function bodiesOf(
  { prompt, newAnswer, oldAnswer }: Pair,
  { settings }: JudgeOptions,
  prompts: JudgePrompts,
): Record<string, unknown>[] {
  return ORDERS.map((order) => {
    const [first, second] = order === 'new_first' ? [newAnswer, oldAnswer] : [oldAnswer, newAnswer];
    const messages = judgeMessages(prompts, { prompt, answer_a: first, answer_b: second });
    return requestBody({ messages }, requestShape(settings.call));
  });
}

/** Copies answers of the same model at the same address to the same messages into a new journal. */
async function takeAnswersOver(parent: string, folder: JudgeFolder, setup: Setup): Promise<void> {
  const journals = readdirSync(parent)
    .map((name) => join(parent, name))
    .filter((path) => path === folder.path || isAlike(join(path, 'judge.json'), setup))
    .map((path) => requestFiles(path).journal)
    .filter((path) => existsSync(path));
  if (journals.length === 0) return;
  const wanted = new Map<string, number[]>();
  for (const { requestIdx, body } of readJobs(folder.jobs)) {
    const key = keyOf(parseJson(body.toString('utf8')));
    noteDiscarded(body.length * 3);
    const same = wanted.get(key);
    if (same === undefined) wanted.set(key, [requestIdx]);
    else same.push(requestIdx);
  }
  await replaceFile(folder.journal, async (file) => {
    const pause = cooperativePause();
    for (const journal of journals) {
      for (const { bytes } of readLines(journal)) {
        copyAnswer(bytes, wanted, file);
        await pause();
      }
    }
  });
}

function isAlike(path: string, { model, base_url: baseUrl }: Setup): boolean {
  const earlier = existsSync(path) ? parseJson(readOwnText(path)) : undefined;
  return isObject(earlier) && earlier['model'] === model && earlier['base_url'] === baseUrl;
}

/** Only whole answers: one that was cut short, say, may get further with other parameters. */
function copyAnswer(line: Buffer, wanted: Map<string, number[]>, file: BufferedFile): void {
  const entry = parseJournalLine(line);
  noteDiscarded(line.length * 3);
  if (entry?.kind !== 'answer' || entry.completion.state !== 'ok') return;
  const [request, response] = JSON.parse(line.toString('utf8')) as unknown[];
  const requestIdx = wanted.get(keyOf(request))?.shift();
  if (requestIdx === undefined) return;
  file.write(`${JSON.stringify([request, response, { request_idx: requestIdx }])}\n`);
}

/** Requests with the same key have interchangeable answers. */
function keyOf(request: unknown): string {
  const { messages } = isObject(request) ? request : { messages: null };
  return createHash('sha256').update(JSON.stringify(messages)).digest('base64');
}
