/** The ways in which people write the name of a dataset. */

import { existsSync } from 'node:fs';
import { hasFileEnding } from './file-names.js';

/** What a page of the Hub, `hf://` or a copied path puts before an id. */
const HUB_PREFIX =
  /^(?:https?:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\/datasets\/|hf:\/\/datasets\/|datasets\/)/i;
/** What may follow it: the page's own path and query, the default revision, a slash. */
const HUB_SUFFIX = /(?:\/(?:tree|blob|viewer)\/[^]*|@main|\/)$/;
const TWO_PARTS = /^[^/]+\/[^/]+$/;

/**
 * The id of a Hub dataset however it was written (`https://huggingface.co/datasets/me/data`, `hf://datasets/me/data`,
 * `datasets/me/data`, `me/data/`, `me/data@main`); any other name, such as that of a file, as it is.
 */
export function datasetName(given: string): string {
  if (existsSync(given)) return given;
  const name = given.trim();
  let id = name.replace(HUB_PREFIX, '').split(/[?#]/, 1)[0] ?? '';
  for (let shorter = id.replace(HUB_SUFFIX, ''); shorter !== id; shorter = id.replace(HUB_SUFFIX, ''))
    id = shorter;
  const isPlain = id !== name && !/^[./~]/.test(name) && !hasFileEnding(id);
  return isPlain && (TWO_PARTS.test(id) || HUB_PREFIX.test(name)) ? id : name === '' ? given : name;
}
