/** In place of a provider's API where only files are worked with: `watch-batch --results`. */

import { NotFoundError } from 'openai';
import { UserError } from '../lib/errors.js';
import type { BatchApi } from './apis/batch-api.js';

const refuse = (): Promise<never> =>
  Promise.reject(
    new UserError(
      '--results works with files alone. Run watch-batch without it to look at batches of an API.',
    ),
  );

/** An API that is not there: whatever would need one is refused. */
export const OFFLINE: BatchApi = {
  upload: refuse,
  create: refuse,
  retrieve: refuse,
  cancel: refuse,
  list: refuse,
  identify: (batch) => Promise.resolve(batch),
  hasFile: refuse,
  // What there is of a file is on this disk already.
  download: () => Promise.reject(new NotFoundError(404, {}, 'there is no API', new Headers())),
  requireModel: refuse,
  queueRefusal: () => null,
  close: () => Promise.resolve(),
};
