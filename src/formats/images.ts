/**
 * Images of a row, in the ways in which datasets hold them. Inside the program a text has a mark where an image belongs, as
 * LLaVA, TRL and LLaMA-Factory have it; requests have the image itself there.
 */

import { createHash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { isAbsolute, join, sep } from 'node:path';
import { isObject, parseJson } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import { IMAGE_MARK, type PromptRow, type RowImage } from '../types.js';
import { cell, kindOf } from './cells.js';
import type { ColumnRoles, Row } from './format.js';
import { RowProblem } from './row-problem.js';

/** OpenAI takes 20 MB for an image and 50 MB for a request (https://platform.openai.com/docs/guides/images-vision). */
const LARGEST_IMAGE_BYTES = 20_000_000;
const LARGEST_ROW_BYTES = 40_000_000;
const SHORTEST_BASE64 = 100;

/** The kinds of images that the API takes, by how their files begin. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  ['image/png', /^\x89PNG\r\n\x1a\n/],
  ['image/jpeg', /^\xff\xd8\xff/],
  ['image/gif', /^GIF8[79]a/],
  ['image/webp', /^RIFF[\s\S]{4}WEBP/],
];

/** Parts of messages that hold an image, by their types; the value is under one of these keys. */
export const IMAGE_PARTS = new Set(['image_url', 'input_image', 'image']);
const IMAGE_KEYS = ['image_url', 'url', 'image', 'src', 'bytes', 'data', 'base64', 'source', 'path'];

/**
 * Adds the images of a row's columns, and of parts of its messages, to its prompt.
 * @param found images of parts in their order; null where a part only says that there is one
 * @param folders in which local images may be; none for a dataset of the Hub
 * @throws RowProblem where one cannot be sent, or their number is not that of the marks
 */
export function withImages(
  row: PromptRow,
  source: Row,
  { images: columns, media }: ColumnRoles,
  folders: readonly string[],
): PromptRow {
  for (const column of media) refuseMedia(source, column);
  const inColumns = columns.flatMap((column) => imagesOf(cell(source, column)));
  const found = row.found_images ?? [];
  if (found.length === 0 && inColumns.length === 0) return refuseMarks(row, columns);
  const values = found.map((value) => value ?? inColumns.shift());
  const images = [...values, ...inColumns].map((value) => readImage(value, folders));
  if (images.reduce((sum, { url }) => sum + url.length, 0) > LARGEST_ROW_BYTES)
    throw new RowProblem('its images are more than 40 MB together');
  return withMarks(withPlainMarks({ ...row, images }));
}

function refuseMedia(source: Row, column: string): void {
  const value = cell(source, column);
  if (value === null || value === '' || (Array.isArray(value) && value.length === 0)) return;
  throw new RowProblem(
    `"${column}" holds ${/video/i.test(column) ? 'video' : 'audio'}, which cannot be sent`,
  );
}

/** @throws RowProblem where a text has marks, and the column of images has none for this row */
function refuseMarks(row: PromptRow, columns: readonly string[]): PromptRow {
  const [column] = columns;
  if (column === undefined || marksIn(row) === 0) return row;
  throw new RowProblem(`its text has ${IMAGE_MARK}, and "${column}" holds no image`);
}

function imagesOf(value: unknown): unknown[] {
  if (value === null || value === '') return [];
  const parsed = typeof value === 'string' && value.startsWith('[') ? parseJson(value) : value;
  if (!Array.isArray(parsed)) return [value];
  const list = parsed as unknown[];
  // Bytes as a list of numbers are one image.
  if (list.length > 8 && list.every((one) => typeof one === 'number')) return [Uint8Array.from(list)];
  return list.filter((one) => one !== null);
}

/** MMMU's marks say which image they mean. */
const NUMBERED = /<image[ _-]?(\d{1,3})>/g;

/** Numbered marks as plain ones, with the images in their order; as it is where an image would have no mark. */
function withPlainMarks(row: PromptRow): PromptRow {
  const { images = [], messages } = row;
  const places = userTexts(row).flatMap((text) =>
    [...text.matchAll(NUMBERED)].map(([, number]) => Number(number) - 1),
  );
  const isWhole = images.every((_, place) => places.includes(place));
  const ordered = places.map((place) => images[place]).filter((image) => image !== undefined);
  if (!isWhole || ordered.length < places.length || marksIn(row) > 0) return row;
  const plain = (text: string): string => text.replaceAll(NUMBERED, IMAGE_MARK);
  return {
    ...row,
    images: ordered,
    user_prompt: plain(row.user_prompt),
    ...(messages === undefined
      ? {}
      : {
          messages: messages.map((turn) =>
            turn.role === 'user' ? { ...turn, content: plain(turn.content ?? '') } : turn,
          ),
        }),
  };
}

/** Makes sure that there is a mark for each image: images without marks come before the first user turn. */
function withMarks(row: PromptRow): PromptRow {
  const wanted = row.images?.length ?? 0;
  const marks = marksIn(row);
  if (marks === wanted) return row;
  if (marks > 0) throw new RowProblem(`it has ${wanted} images and ${marks} times ${IMAGE_MARK} in its text`);
  const before = `${IMAGE_MARK}\n`.repeat(wanted);
  const { messages } = row;
  if (messages === undefined) return { ...row, user_prompt: before + row.user_prompt };
  const first = messages.findIndex(({ role }) => role === 'user');
  const last = messages.findLastIndex(({ role }) => role === 'user');
  const marked = messages.map((turn, place) =>
    place === first ? { ...turn, content: before + (turn.content ?? '') } : turn,
  );
  return { ...row, messages: marked, ...(first === last ? { user_prompt: before + row.user_prompt } : {}) };
}

function marksIn(row: PromptRow): number {
  return userTexts(row).reduce((sum, text) => sum + text.split(IMAGE_MARK).length - 1, 0);
}

/** The texts that may have marks: the prompt, or all user turns of a chat. */
function userTexts({ messages, user_prompt: prompt }: PromptRow): string[] {
  return messages?.filter(({ role }) => role === 'user').map(({ content }) => content ?? '') ?? [prompt];
}

/** The image of a part or a cell: an address, a path, bytes, or an object with one of them. */
function readImage(value: unknown, folders: readonly string[]): RowImage {
  if (typeof value === 'string') return readText(value, folders);
  if (value instanceof Uint8Array)
    return ofBytes(Buffer.from(value.buffer, value.byteOffset, value.length), null);
  if (!isObject(value))
    throw new RowProblem(`an image is ${value === undefined ? 'missing' : kindOf(value)}`);
  const { path } = value;
  const { bytes } = value;
  if (bytes instanceof Uint8Array || typeof bytes === 'string') {
    const buffer =
      typeof bytes === 'string'
        ? textBytes(bytes)
        : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    return ofBytes(buffer, typeof path === 'string' && path !== '' ? path : null);
  }
  const inner = IMAGE_KEYS.map((key) => cell(value, key)).find((one) => one !== null);
  if (inner === undefined) throw new RowProblem('an image has neither address, path nor bytes');
  return readImage(inner, folders);
}

/** Bytes that a column holds as text: as base64, or an image that is text for chance. */
function textBytes(text: string): Buffer {
  const decoded = Buffer.from(text, 'base64');
  return kindOfImage(decoded) === null ? Buffer.from(text, 'utf8') : decoded;
}

function readText(text: string, folders: readonly string[]): RowImage {
  if (/^https?:\/\//i.test(text)) {
    if (!URL.canParse(text)) throw new RowProblem(`the address of an image is wrong: ${sanitize(text, 80)}`);
    return { reference: text, url: text };
  }
  const encoded = /^data:[\w/+.-]*;base64,/i.exec(text)?.[0];
  if (encoded !== undefined) return ofBytes(Buffer.from(text.slice(encoded.length), 'base64'), null);
  if (text.length >= SHORTEST_BASE64 && /^[A-Za-z0-9+/=\s]+$/.test(text)) {
    const bytes = Buffer.from(text, 'base64');
    if (kindOfImage(bytes) !== null) return ofBytes(bytes, null);
  }
  return ofFile(text, folders);
}

/** An image in the dataset's own folder: its path is untrusted, so it must not lead anywhere else. */
function ofFile(path: string, folders: readonly string[]): RowImage {
  const shown = sanitize(path, 120);
  if (/^sha256:[0-9a-f]{64}$/.test(path)) throw new RowProblem('the dataset has only the digest of an image');
  if (folders.length === 0)
    throw new RowProblem(`the image ${shown} is a file, and only its name is in the dataset`);
  for (const folder of folders) {
    const file = realPath(isAbsolute(path) ? path : join(folder, path));
    if (file === null) continue;
    if (!file.startsWith(`${realPath(folder) ?? folder}${sep}`))
      throw new RowProblem(`the image ${shown} is outside of the dataset’s folder`);
    const found = statSync(file);
    if (!found.isFile()) throw new RowProblem(`the image ${shown} is not a file`);
    if (found.size > LARGEST_IMAGE_BYTES) throw new RowProblem(`the image ${shown} is larger than 20 MB`);
    return ofBytes(readFileSync(file), path);
  }
  throw new RowProblem(`the image ${shown} is not in the dataset’s folder`);
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

/** @param name by which results know it; null for its digest */
function ofBytes(bytes: Buffer, name: string | null): RowImage {
  const shown = name === null ? 'an image' : `the image ${sanitize(name, 120)}`;
  if (bytes.length > LARGEST_IMAGE_BYTES) throw new RowProblem(`${shown} is larger than 20 MB`);
  const kind = kindOfImage(bytes);
  if (kind === null) throw new RowProblem(`${shown} is not PNG, JPEG, GIF or WebP`);
  const reference = name ?? `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { reference, url: `data:${kind};base64,${bytes.toString('base64')}` };
}

function kindOfImage(bytes: Buffer): string | null {
  const start = bytes.toString('latin1', 0, 16);
  return KINDS.find(([, pattern]) => pattern.test(start))?.[0] ?? null;
}
