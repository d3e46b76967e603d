/** Makes sure, before anything is paid for, that a run's other annotator can be called. */

import { UserError } from '../lib/errors.js';
import { packageVersion } from '../lib/package.js';
import { sanitize } from '../lib/text.js';
import type { ModelCall } from '../models/call.js';
import { findEndpoint } from '../models/endpoint.js';
import { lookUpModel } from '../models/model-list.js';
import { priceFor } from '../run/budget.js';
import { fallbackCall } from '../run/fallback.js';
import type { RunPolicy } from '../run/settings.js';

/**
 * Settles the other annotator's server, key and model.
 * @throws UserError where its key is missing or refused, its server does not have the model, or `--max_cost` cannot be
 *   kept with it
 */
export async function checkFallback(own: ModelCall, policy: RunPolicy): Promise<void> {
  const call = fallbackCall(own, policy);
  if (call === null) return;
  const { address, apiKey, baseUrl } = findEndpoint(call);
  const { name, model } = call.annotator;
  const what = `--fallback_annotator ${sanitize(name, 80)}`;
  const status = await lookUpModel(address, apiKey, `reannotate/${packageVersion()}`, model);
  if (status === 'key refused')
    throw new UserError(`${what}: ${baseUrl} refuses its key${keyName(call)}. Nothing was sent.`);
  if (status === 'missing')
    throw new UserError(
      `${what}: ${baseUrl} has no model ${sanitize(model, 80)} for this key. Nothing was sent.`,
    );
  // Its rows are sent online, whatever the others are.
  if (policy.maxCost !== null) await priceFor(call, { ...policy, batch: false });
}

function keyName({ apiKeyVariable, annotator }: ModelCall): string {
  return ` in ${apiKeyVariable ?? annotator.provider.apiKeyVariable}`;
}
