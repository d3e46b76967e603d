import { UserError } from '../lib/errors.js';

/** A process has one lock (see `lib/fence.ts`), so it has one run at a time. */
let isBusy = false;

/** @throws UserError where another run of this process is in progress */
export async function alone<Result>(work: () => Promise<Result>): Promise<Result> {
  if (isBusy)
    throw new UserError(
      'Another run is in progress in this process. Await it first, or start a second process.',
    );
  isBusy = true;
  try {
    return await work();
  } finally {
    isBusy = false;
  }
}
