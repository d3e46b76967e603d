/** Why a run stopped, what to do about it, and the exit code for schedulers. */

import { isRedirect } from '../http/redirects.js';
import type { CallFailed } from '../batches/calls.js';
import { EXIT, TemporaryError, UserError } from '../lib/errors.js';
import { findEndpoint } from '../models/endpoint.js';
import type { ModelCall } from '../models/call.js';
import type { Stop, StopCause } from '../requests/processor.js';
import { packageVersion } from '../lib/package.js';
import { requestUrl, shownAddress, versionHint } from '../http/address.js';
import { listModels } from '../models/model-list.js';
import { nearest } from '../lib/suggest.js';
import { duration, sanitize } from '../lib/text.js';
import { describeUnreachable } from './unreachable.js';

/** A stop that was not asked for. */
export type ErrorStop = Extract<Stop, { reason: 'error' }>;

/** Whether the same command may work later (75), or a person has to change something first (1). */
const EXIT_CODES: Readonly<Record<StopCause, number>> = {
  key: EXIT.cannotGoOn,
  model: EXIT.cannotGoOn,
  quota: EXIT.cannotGoOn,
  account: EXIT.cannotGoOn,
  refused: EXIT.cannotGoOn,
  other: EXIT.cannotGoOn,
  unreachable: EXIT.tryLater,
  limit: EXIT.tryLater,
  disk: EXIT.tryLater,
  lock: EXIT.tryLater,
};

/**
 * A stop as the error that ends the command, with its exit code.
 * @param next what follows the reason: what is saved, and the command to run next; it may depend on the models that the
 *   server has where it does not have this one, nearest first
 */
export async function stopError(
  stop: ErrorStop,
  call: ModelCall,
  next: string | ((nearest: readonly string[]) => string) = '',
): Promise<UserError> {
  const models = stop.cause === 'model' ? await nearestModels(call) : [];
  const what = typeof next === 'string' ? next : next(models);
  return new UserError(`${describe(stop, call, models, what)} ${what}`.trim(), EXIT_CODES[stop.cause]);
}

/** Describes an error that ended the run. */
export async function describeStop(stop: ErrorStop, call: ModelCall): Promise<string> {
  return describe(stop, call, stop.cause === 'model' ? await nearestModels(call) : []);
}

/** @param next what is said after it: an address that is suggested there is not suggested twice */
function describe(stop: ErrorStop, call: ModelCall, models: readonly string[], next = ''): string {
  const { provider, model } = call.annotator;
  const said = sanitize(stop.message, 400);
  if (call.servers !== null && !NOT_OF_A_SERVER.has(stop.cause)) return describeSeveral(stop.cause, said);
  const { baseUrl, apiKey } = findEndpoint(call);
  const variable = call.apiKeyVariable ?? provider.apiKeyVariable;
  switch (stop.cause) {
    case 'key':
      return apiKey === null
        ? `${baseUrl} requires a key (${said}), but ${variable} is not set. Set it.`
        : `${baseUrl} refused the key in ${variable} (${said}). Set a valid key.`;
    case 'model':
      return `${baseUrl} has no model ${sanitize(model, 80)} for this key (${said}).${addressHint(said, call, next)}${models.length === 0 ? '' : ` The nearest it has: ${models.join(', ')}.`}`;
    case 'quota':
      return `No more credit or quota at ${baseUrl} (${said}). Add credit or raise the limit.`;
    case 'account':
      return `${baseUrl} does not serve this account (${said}). Check the account’s settings with the provider.`;
    case 'unreachable':
      return describeUnreachable(requestAddress(call), said);
    case 'limit':
      return `${baseUrl} accepts no more requests ${untilWhen(stop.wait)} (${said}). Run the command again once the limit has reset.`;
    case 'refused':
      return `${baseUrl} refuses the requests: ${said}. Check the model and the generation parameters.`;
    case 'disk':
    case 'lock':
      return said.endsWith('.') ? said : `${said}.`;
    case 'other':
      return said.endsWith('.')
        ? said
        : `${baseUrl}: ${said}. Check the address, the model and the flags.${addressHint(said, call, next)}`;
  }
}

/** `until 2026-01-31 14:05 (in 9 h 3 min)`, in local time; the year shows a clock that is wrong. */
function untilWhen(wait: number | undefined): string {
  if (wait === undefined) return 'for now';
  const date = new Date(Date.now() + wait);
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `until ${day} ${two(date.getHours())}:${two(date.getMinutes())} local time (in ${duration(wait)})`;
}

/** The models that the server has, nearest first; none where it does not list them. */
async function nearestModels(call: ModelCall): Promise<string[]> {
  const { address, apiKey } = findEndpoint(call);
  const names = await listModels(address, apiKey, `reannotate/${packageVersion()}`);
  return names.length === 0 ? [] : nearest(call.annotator.model, names);
}

const NOT_OF_A_SERVER: ReadonlySet<StopCause> = new Set(['disk', 'lock']);

/** @param said what the last of several servers said, with its name */
function describeSeveral(cause: StopCause, said: string): string {
  if (cause === 'refused')
    return `The servers refuse the requests (${said}). Check the model and the generation parameters.`;
  return `No server accepts requests at the moment; the last one said ${said}. The run’s output.log says why each is not used.`;
}

/** Where the request went, and which address to try instead, after a 404. */
function addressHint(said: string, call: ModelCall, next: string): string {
  if (!said.startsWith('404')) return '';
  const { address } = findEndpoint(call);
  const better = versionHint(address);
  const hint =
    better === null || next.includes('The address is probably')
      ? ''
      : ` Most addresses end in /v1: try --base_url ${shownAddress(better)}.`;
  return ` The request went to ${requestAddress(call)}.${hint}`;
}

/** The address that chat requests go to, without secrets. */
function requestAddress(call: ModelCall): string {
  return sanitize(shownAddress(requestUrl(findEndpoint(call).address, '/chat/completions')), 300);
}

/** A failed call of the Batch API as the error that ends the command, with its exit code. */
export async function failureError(failure: CallFailed, call: ModelCall): Promise<UserError> {
  const message = await describeFailure(failure, call);
  const { verdict } = failure;
  const mayRecover =
    isLedElsewhere(failure) ||
    verdict.kind === 'transient' ||
    verdict.kind === 'throttle' ||
    (verdict.kind === 'run' && EXIT_CODES[verdict.cause] === EXIT.tryLater);
  const cause = { cause: failure };
  return mayRecover ? new TemporaryError(message, cause) : new UserError(message, EXIT.cannotGoOn, cause);
}

/** The Batch API sends nobody elsewhere: it is a proxy or a sign-in page in between, which may be gone later. */
function isLedElsewhere({ status }: CallFailed): boolean {
  return status !== null && isRedirect(status);
}

/** A failed call of the Batch API in a sentence for the user. */
export async function describeFailure(failure: CallFailed, call: ModelCall): Promise<string> {
  const { verdict, status } = failure;
  if (isLedElsewhere(failure)) {
    return (
      `A proxy or a sign-in page answers instead of ${findEndpoint(call).baseUrl} (${sanitize(verdict.message, 200)}). ` +
      'Check the network and --base_url, then run the same command again.'
    );
  }
  if (status === 404 || status === 405) {
    const { baseUrl } = findEndpoint(call);
    const isOdd = versionHint(findEndpoint(call).address) !== null;
    const advice = isOdd ? 'Most addresses end in /v1.' : 'Run without --batch.';
    return `${baseUrl} has no Batch API (${sanitize(verdict.message, 200)}). ${advice}`;
  }
  if (verdict.kind === 'run') {
    return describeStop({ reason: 'error', cause: verdict.cause, message: verdict.message }, call);
  }
  if (verdict.kind === 'transient') {
    return (
      `${findEndpoint(call).baseUrl} gave no usable answer about batches (${sanitize(verdict.message, 400)}). Check the ` +
      'network, the address and the provider’s status page.'
    );
  }
  return `${sanitize(verdict.message, 400)} (from ${findEndpoint(call).baseUrl}; check the address, the key and the model).`;
}
