/** Where `--n` above 1 is sent as it is, and where each answer is requested separately. */

import type { ModelCall } from './call.js';
import { answersOnResponses } from './endpoint.js';
import { hasSeveral } from './generation.js';

/**
 * True where it is known that one request brings one answer, whatever it asks for: by the provider's table, and on the
 * Responses API, which has no `n`. Other servers are found out by a refusal, or by an answer that has fewer.
 */
export function splitsChoices(call: ModelCall): boolean {
  return hasSeveral(call.generation) && (call.annotator.provider.oneAnswer || answersOnResponses(call));
}
