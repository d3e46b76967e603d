/** Where a run's requests go and the key that goes with them, from flags and environment. */

import { UserError } from '../lib/errors.js';
import type { ModelCall } from './call.js';
import { warnOfPlainHttp } from '../http/plain-http.js';
import { BATCH_TERMS, type BatchTerms } from './batch-terms.js';
import { readKey } from './key.js';
import { knownSecrets } from './known-secrets.js';
import { PROVIDERS, type Provider } from './providers.js';
import { answersOnResponsesOnly } from './responses-api.js';
import type { NamedServer } from './server-list.js';
import type { Reporter } from '../types.js';
import { checkUrl, readAddress, shownAddress, type ApiAddress } from '../http/address.js';

export interface Endpoint {
  address: ApiAddress;
  /** The address for people: no passwords or keys in it. */
  baseUrl: string;
  /** Null where the server needs none. */
  apiKey: string | null;
}

/**
 * Settles server and key of the run's annotator.
 * @throws UserError that names the variable to set where a key is needed and missing
 */
export function findEndpoint(call: ModelCall): Endpoint {
  const { annotator, environment, baseUrl, apiKeyVariable } = call;
  const { provider } = annotator;
  const variable = apiKeyVariable ?? provider.apiKeyVariable;
  const key = readKey(environment.variables[variable] ?? '');
  const url = givenBaseUrl(call);
  const address = addressOf(call, url);
  // A server of one's own may need no key; if it does, it will say so.
  const needed = apiKeyVariable !== null || (baseUrl === null && !provider.keyIsOptional);
  if (key === '' && needed && address.basic === null) {
    throw new UserError(
      `No API key: ${annotator.name} needs one in the environment variable ${variable}. ` +
        `Set it (export ${variable}=…) and run the command again.`,
    );
  }
  if (/[^\u0021-\u007e]/.test(key)) {
    throw new UserError(
      `The key in ${variable} contains a space or another character that no key has; copy it again.`,
    );
  }
  // A run that is resumed may take its key from a variable that only its record names.
  environment.redactor.add(knownSecrets(environment.variables, [variable], [url]));
  return { address, baseUrl: shownAddress(address.base + address.query), apiKey: key === '' ? null : key };
}

function givenBaseUrl({ annotator, environment, baseUrl }: ModelCall): string {
  const { baseUrl: usual, baseUrlVariable } = annotator.provider;
  const fromVariable = baseUrlVariable === null ? '' : (environment.variables[baseUrlVariable]?.trim() ?? '');
  if (baseUrl !== null) return baseUrl;
  if (fromVariable !== '') return checkUrl(fromVariable, baseUrlVariable ?? '');
  if (!usual.includes('//RESOURCE.')) return usual;
  throw new UserError(
    `${annotator.provider.title} has one address per resource. Set ${baseUrlVariable ?? ''} or --base_url to yours, ` +
      `such as ${usual}.`,
  );
}

/** The address of an API from what the user knows of it. */
function addressOf({ annotator, environment }: ModelCall, given: string): ApiAddress {
  return annotator.provider.addressOf?.(given, annotator.model, environment.variables) ?? readAddress(given);
}

/** Warns once of a key that travels for everybody to read. */
export function warnOfPlainKey({ address, baseUrl, apiKey }: Endpoint, reporter: Reporter): void {
  if (apiKey === null && address.basic === null) return;
  warnOfPlainHttp({ what: 'The key', url: address.base, shown: baseUrl }, reporter);
}

/** Hosts of Azure's model services. */
const AZURE_HOST = /\.(?:openai|cognitiveservices|services\.ai)\.azure\.(?:com|us|cn)$/;

/**
 * What the batches of the run's server cost and hold: those of the annotator's provider, or of the provider whose
 * address `--base_url` gives. Any other server is taken to have OpenAI's Batch API. Null where there are no batches.
 */
export function batchTermsOf(call: ModelCall): BatchTerms | null {
  const { provider, providerName } = call.annotator;
  if (providerName !== 'openai') return provider.batches;
  const { hostname } = new URL(readAddress(givenBaseUrl(call)).base);
  if (AZURE_HOST.test(hostname)) return BATCH_TERMS.azure;
  const known = Object.values<Provider>(PROVIDERS).find(
    ({ baseUrl, keyIsOptional }) => !keyIsOptional && new URL(baseUrl).hostname === hostname,
  );
  return (known ?? provider).batches;
}

/**
 * True where the requests go to the Responses API from the start. A server of one's own may answer by chat completions
 * for any model; if it does not, it will say so.
 */
export function answersOnResponses(call: ModelCall): boolean {
  const { providerName, model } = call.annotator;
  return providerName === 'openai' && !hasOwnServer(call) && answersOnResponsesOnly(model);
}

/**
 * True where batches go to the Responses API. A batch cannot be sent to another endpoint once its lines are refused, so
 * the model's name decides, whatever the address.
 */
export function batchesOnResponses({ annotator: { providerName, model } }: ModelCall): boolean {
  return providerName === 'openai' && answersOnResponsesOnly(model);
}

/** True where the requests go to another server than the provider's own. */
export function hasOwnServer(call: ModelCall): boolean {
  return addressOf(call, givenBaseUrl(call)).base !== readAddress(call.annotator.provider.baseUrl).base;
}

/**
 * The addresses that requests go to, for the record, as `--base_url` lists them: no secrets in it, and a missing key does
 * not matter here.
 */
export function shownBaseUrl(call: ModelCall): string {
  return shownAddress(call.servers?.baseUrl ?? givenBaseUrl(call));
}

/** The call of one of several servers. */
export function callOf(call: ModelCall, { baseUrl, apiKeyVariable }: NamedServer): ModelCall {
  return { ...call, baseUrl, apiKeyVariable, servers: null };
}

/**
 * Checks the address and the key of every server of a call.
 * @throws UserError that names the variable to set where a key is needed and missing
 */
export function checkEndpoints(call: ModelCall): void {
  if (call.servers === null) findEndpoint(call);
  else for (const server of call.servers.servers) findEndpoint(callOf(call, server));
}

/** The variables that hold the keys of a run's servers, separated by commas; null where none needs one. */
export function keyVariablesOf({ annotator, apiKeyVariable, servers }: ModelCall): string | null {
  const { provider } = annotator;
  return (
    servers?.apiKeyVariables ?? apiKeyVariable ?? (provider.keyIsOptional ? null : provider.apiKeyVariable)
  );
}
