// A finished run's folder of any size, written in one go: what a run of many hours would leave behind.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { alpacaRow, answer, words } from './support.js';

export const RUN = 'run';
/** Another run, with the same requests. */
export const OTHER_RUN = 'other';
/** Answers arrive in a different order than their requests, by at most this many places. */
const IN_FLIGHT = 256;
const CHUNK_CHARACTERS = 1 << 20;

/**
 * Writes rows.jsonl and output.jsonl below `folder/temp/run`.
 * @param bytes of a row's prompt and original answer together, about; the new answer has as many again as the original
 */
export function writeHistory(folder, rows, bytes) {
  const temp = join(folder, 'temp', RUN);
  mkdirSync(temp, { recursive: true });
  mkdirSync(join(folder, 'saved', RUN), { recursive: true });
  writeLines(join(temp, 'rows.jsonl'), rows, (index) => rowOf(index, bytes));
  writeLines(join(temp, 'output.jsonl'), rows, (position) => {
    // Blocks of rows that were in flight together, each back to front.
    const block = Math.floor(position / IN_FLIGHT) * IN_FLIGHT;
    const index = block + Math.min(IN_FLIGHT, rows - block) - 1 - (position - block);
    const answered = answer(words(Math.floor(bytes / 18), index), index);
    return [requestOf(index, bytes), answered, { request_idx: index }];
  });
}

/** Writes the jobs.json of that run, or of one with the same requests. */
export function writeRequests(path, rows, bytes) {
  writeLines(path, rows, (index) => ({ ...requestOf(index, bytes), metadata: { request_idx: index } }));
}

function requestOf(index, bytes) {
  const { user_prompt: content } = rowOf(index, bytes);
  return { model: 'gpt-4o-mini', messages: [{ role: 'user', content }], max_tokens: 2048, seed: 42 };
}

function rowOf(index, bytes) {
  const { instruction, input, output } = alpacaRow(index, bytes);
  return {
    system_prompt: '',
    user_prompt: `### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:`,
    annotation_original: output,
  };
}

export function writeLines(path, count, valueOf) {
  const file = openSync(path, 'w');
  let text = '';
  for (let index = 0; index < count; index++) {
    text += `${JSON.stringify(valueOf(index))}\n`;
    if (text.length < CHUNK_CHARACTERS && index < count - 1) continue;
    writeSync(file, text);
    text = '';
  }
  closeSync(file);
}
