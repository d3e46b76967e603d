/** Addresses of APIs: read from what people write, joined with paths, and shown without the secrets in them. */

import { UsageError } from '../lib/errors.js';
import { sanitize, withoutTrailing } from '../lib/text.js';

/** Stands for a secret wherever an address is shown or recorded. */
const HIDDEN = '…';

/** A server's address, taken apart. */
export interface ApiAddress {
  /** Scheme, host and path, with no slash, query, fragment or credentials at the end, e.g. `https://api.openai.com/v1`. */
  base: string;
  /** What follows the path of every request, with its question mark; empty where there is nothing. */
  query: string;
  /** The value of `Authorization: Basic`, from `user:password@`; null where the address has none. */
  basic: string | null;
  /** Present where it is known to be Azure's, whatever its name. */
  isAzure?: true;
}

/** Paths that people copy from documentation together with the base URL. */
const FULL_PATH = /\/(?:(?:chat\/)?completions|responses)$/;

/** @param text an address that `new URL` takes */
export function readAddress(text: string): ApiAddress {
  const url = new URL(text.trim());
  const path = withoutTrailing(withoutTrailing(url.pathname, '/').replace(FULL_PATH, ''), '/');
  return { base: url.origin + path, query: url.search, basic: basicCredentials(url) };
}

/** What follows `Basic ` in a header, from `user:password@`; null where the address has neither. */
export function basicCredentials({ username, password }: URL): string | null {
  if (username === '' && password === '') return null;
  return Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64');
}

/** A percent-encoded text, decoded; a stray `%` is kept. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An API's resources that belong to the account, not to one deployment of a model. */
const ACCOUNT_PATHS = /^\/(?:models|files|batches|responses)(?:\/|$)/;
const DEPLOYMENT = /\/deployments\/[^/]+$/;

/**
 * The address of a request: the path goes before the query. Azure has files, batches, models and responses beside its
 * deployments
 * (https://learn.microsoft.com/azure/ai-foundry/openai/reference).
 * @param path such as `/chat/completions`
 */
export function requestUrl({ base, query }: Pick<ApiAddress, 'base' | 'query'>, path: string): string {
  return `${ACCOUNT_PATHS.test(path) ? base.replace(DEPLOYMENT, '') : base}${path}${query}`;
}

/** Hosts of Azure's model services, in all its clouds. */
const AZURE_HOST =
  /\.(?:openai\.azure\.(?:com|us|cn)|cognitiveservices\.azure\.(?:com|us|cn)|services\.ai\.azure\.com|api\.cognitive\.microsoft\.com)$/;
/** Azure API Management, whose subscription keys go where its owner says; by default into `api-key`. */
const AZURE_GATEWAY = /\.azure-api\.net$/;
/** A token of Microsoft Entra ID is a JSON Web Token; an API key is none. */
const WEB_TOKEN = /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/;

/**
 * The headers that a request is authorised by.
 *
 * Azure takes a key in `api-key` and a token of Entra ID as a bearer token, as its own SDK sends them (`azure.ts` of
 * openai-node). Behind another name, such as a gateway's, both are sent.
 */
export function authorization(
  { base, basic, isAzure }: ApiAddress,
  apiKey: string | null,
): Record<string, string> {
  if (apiKey === null) return basic === null ? {} : { authorization: `Basic ${basic}` };
  const bearer = { authorization: `Bearer ${apiKey}` };
  if (WEB_TOKEN.test(apiKey)) return bearer;
  const { hostname, pathname } = new URL(base);
  if (AZURE_HOST.test(hostname))
    return { 'api-key': apiKey, ...(basic === null ? {} : { authorization: `Basic ${basic}` }) };
  if (isAzure === true || AZURE_GATEWAY.test(hostname) || /\/openai\/deployments\//.test(`${pathname}/`))
    return { ...bearer, 'api-key': apiKey };
  return bearer;
}

/** Names of query parameters whose value is a secret. */
const SECRET_NAME =
  /(?:^|[-_.])(?:key|apikey|token|auth|authorization|sig|signature|code|secret|password|passwd|pwd|pass|credentials?|jwt|bearer|session)$|key$|token$|secret$|password$/i;
const HARMLESS_NAME = /version|model|deployment|region|location|project/i;

/** Each address of a list begins with its scheme: a query and a password may hold commas of their own. */
const BETWEEN_ADDRESSES = /,(?=\s*[a-z][a-z0-9+.-]*:\/\/)/i;

/** The addresses of a list. */
export function splitAddresses(text: string): string[] {
  return text
    .split(BETWEEN_ADDRESSES)
    .map((one) => withoutTrailing(one.trim(), ','))
    .filter((one) => one !== '');
}

/** One address, or several, for a person, a log or a file: passwords, and keys in the query, are left out. */
export function shownAddress(text: string): string {
  return text.includes(',') ? text.split(BETWEEN_ADDRESSES).map(shownOne).join(',') : shownOne(text);
}

function shownOne(text: string): string {
  // A password may hold any character; what is left of the last @ before the path goes.
  const authority = /^([a-z][a-z0-9+.-]*:)?\/\/[^\s?#]*@/i.exec(text);
  const start =
    authority === null ? text : `${authority[1] ?? ''}//${HIDDEN}@${text.slice(authority[0].length)}`;
  const question = start.indexOf('?');
  if (question === -1) return start;
  const [query = '', ...fragment] = start.slice(question + 1).split('#');
  const parts = query.split('&').map(shownParameter).join('&');
  return [`${start.slice(0, question)}?${parts}`, ...fragment].join('#');
}

function shownParameter(parameter: string): string {
  const equals = parameter.indexOf('=');
  if (equals === -1) return looksSecret(parameter) ? HIDDEN : parameter;
  const name = parameter.slice(0, equals);
  const value = parameter.slice(equals + 1);
  const isSecret = SECRET_NAME.test(decoded(name)) || (!HARMLESS_NAME.test(name) && looksSecret(value));
  return value !== '' && isSecret ? `${name}=${HIDDEN}` : parameter;
}

/** Keys are long, and have letters and digits. */
function looksSecret(value: string): boolean {
  return value.length >= 16 && /\d/.test(value) && /[a-z]/i.test(value);
}

/** A text with every address in it shown without its secrets. */
export function withoutSecrets(text: string): string {
  return text.replace(/\b[a-z][a-z0-9+.-]*:\/\/[^\s'"<>]+/gi, shownAddress);
}

/** The secrets in an address, as they may turn up in other texts. */
export function secretsIn(text: string): string[] {
  if (!URL.canParse(text.trim())) return [];
  const url = new URL(text.trim());
  const { basic } = readAddress(text);
  const values = [...url.searchParams].flatMap(([name, value]) =>
    shownParameter(`${name}=${value}`).endsWith(HIDDEN) ? [value] : [],
  );
  return [url.password, decoded(url.password), basic ?? '', ...values].filter((secret) => secret !== '');
}

/** True for an address that was recorded without its secrets and cannot be used. */
export function isIncomplete(text: string): boolean {
  return text.includes(`${HIDDEN}@`) || new RegExp(`=${HIDDEN}(?:&|#|$)`).test(text);
}

/** Where a base URL lacks the version that nearly all servers have in their paths: the address to try; null otherwise. */
export function versionHint({ base, query }: Pick<ApiAddress, 'base' | 'query'>): string | null {
  const { pathname } = new URL(base);
  return /\/v\d|\/openai|\/api\//.test(`${pathname}/`) ? null : `${base}/v1${query}`;
}

/**
 * Checks an address that a flag or a variable gives.
 * @returns the text as it was given, which may hold a password or a key: `shownAddress` leaves them out
 * @throws UsageError where it is no web address
 */
export function checkUrl(given: string, source: string): string {
  const text = given.trim();
  const url = URL.canParse(text) ? new URL(text) : null;
  const shown = sanitize(shownAddress(text), 80);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    const bare = /^[\w.-]+(?::\d+)?(?:\/|$)/.test(text) ? ` Did you mean http://${shown}?` : '';
    throw new UsageError(
      `${source} takes an address such as https://api.openai.com/v1, not ${shown}.${bare}`,
    );
  }
  if (isIncomplete(text)) {
    throw new UsageError(
      `${source} ${shown} was recorded without its password or key; give the whole address again.`,
    );
  }
  return text;
}
