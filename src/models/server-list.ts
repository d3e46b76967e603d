/**
 * Several servers of one model, as `--base_url URL,URL` or `@FILE` and `--api_key_env A,B` name them. A file has one server
 * a line: its address, and after a space the variable that holds its key where that is its own. Lines that begin with `#`
 * are notes.
 */

import { bareFileReason } from '../lib/files.js';
import { checkUrl, shownAddress, splitAddresses } from '../http/address.js';
import { UsageError } from '../lib/errors.js';
import { readSmallFile } from '../lib/small-file.js';
import { keyLikeIn } from '../secrets/key-patterns.js';
import { sanitize, plural } from '../lib/text.js';

/** More than any process has sockets for. */
const MOST_SERVERS = 1000;

/** A server, and the variable that holds its key. */
export interface NamedServer {
  /** May hold a password or a key; null for the annotator's own address. */
  baseUrl: string | null;
  /** Null for the annotator's own. */
  apiKeyVariable: string | null;
}

/** Where a run's servers are listed. */
export interface ServerSource {
  /** As `--base_url` has it; null where only keys differ. */
  baseUrl: string | null;
  /** As `--api_key_env` has it; null where it is not given. */
  apiKeyVariables: string | null;
  /** A file to read again when it changes; null where the flags list the servers. */
  file: string | null;
  /** Those that were listed when the flags were read; each once, and at least one. */
  servers: readonly NamedServer[];
}

/** The value of `--base_url`, checked as far as it can be without reading a file. */
export function readBaseUrls(given: string, source: string): string {
  const text = given.trim();
  if (text.startsWith('@')) {
    if (text.length > 1) return text;
    throw new UsageError(`${source} @ lacks the name of a file that lists servers.`);
  }
  return splitAddresses(text)
    .map((one) => {
      refuseComma(one, source);
      return checkUrl(one, source);
    })
    .join(',');
}

/** `http://a/v1,b:8000/v1` would be one address with an odd path. */
function refuseComma(address: string, source: string): void {
  const path = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#]*@)?([^?#]*)/i.exec(address)?.[1] ?? '';
  if (!path.includes(',')) return;
  throw new UsageError(
    `${source} ${sanitize(shownAddress(address), 120)}: each address of a list begins with http:// or https://.`,
  );
}

/**
 * The servers that the flags name.
 * @param isSending false where nothing is sent to them, so that their list need not be here
 * @returns the one server there is, or a list of several
 * @throws UsageError where a file can't be read, or keys and addresses do not pair
 */
export function serversOf(
  baseUrl: string | null,
  apiKeyVariables: string | null,
  isSending = true,
): NamedServer & { servers: ServerSource | null } {
  const file = baseUrl?.startsWith('@') === true ? baseUrl.slice(1) : null;
  const source = { baseUrl, apiKeyVariables, file };
  const servers = isSending || file === null ? readServers(source) : [];
  const [first = { baseUrl: null, apiKeyVariable: null }] = servers;
  const isOne = file === null && servers.length === 1;
  return { ...first, servers: isOne ? null : { ...source, servers } };
}

/**
 * Reads the list, whose file may have changed.
 * @throws UsageError where it can't be used
 */
export function readServers({
  baseUrl,
  apiKeyVariables,
  file,
}: Pick<ServerSource, 'baseUrl' | 'apiKeyVariables' | 'file'>): NamedServer[] {
  const listed = file === null ? splitAddresses(baseUrl ?? '').map(withoutKey) : readListing(file);
  const addresses = listed.length === 0 ? [withoutKey(null)] : listed;
  const names = namesIn(apiKeyVariables);
  if (names.length <= 1)
    return distinct(
      addresses.map((one) => ({ ...one, apiKeyVariable: one.apiKeyVariable ?? names[0] ?? null })),
    );
  // Several accounts at one address.
  const paired = addresses.length === 1 ? names.map(() => addresses[0] ?? withoutKey(null)) : addresses;
  if (paired.length !== names.length)
    throw new UsageError(
      `--api_key_env names ${plural(names.length, 'variable')} for ${plural(paired.length, 'server')}: give one for all ` +
        'servers, or one for each of them, in the same order.',
    );
  return distinct(
    paired.map((one, place) => ({ ...one, apiKeyVariable: one.apiKeyVariable ?? names[place] ?? null })),
  );
}

/**
 * The value of `--api_key_env`. People often give the key itself, which would be shown, saved and in the list of processes:
 * the message does not repeat it.
 * @throws UsageError
 */
export function readKeyNames(given: string, source: string): string {
  const wrong = namesIn(given).find((name) => !/^[A-Za-z_][\w.-]{0,99}$/.test(name) || isKeyItself(name));
  if (wrong === undefined) return given;
  throw new UsageError(
    `${source} takes the name of an environment variable, such as OPENAI_API_KEY, and not the key itself. Set the variable ` +
      '(export MY_KEY=…) and give its name. A key that was typed into a command line should be replaced.',
  );
}

/** Names of variables are words; keys have letters and digits without an order. */
function isKeyItself(name: string): boolean {
  if (keyLikeIn(name) !== null) return true;
  return name.length >= 24 && !name.includes('_') && /\d/.test(name) && /[a-z]/i.test(name);
}

/** The variables that `--api_key_env` names. */
export function namesIn(apiKeyVariables: string | null): string[] {
  return (apiKeyVariables ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function withoutKey(baseUrl: string | null): NamedServer {
  return { baseUrl, apiKeyVariable: null };
}

/** A server that is listed twice does not get twice as much. */
function distinct(servers: readonly NamedServer[]): NamedServer[] {
  return [
    ...new Map(servers.map((one) => [JSON.stringify([one.baseUrl, one.apiKeyVariable]), one])).values(),
  ];
}

function readListing(file: string): NamedServer[] {
  const shown = `--base_url @${sanitize(file, 200)}`;
  let text: string;
  try {
    text = readSmallFile(file);
  } catch (error) {
    throw new UsageError(`${shown} cannot be read: ${sanitize(bareFileReason(error), 200)}.`);
  }
  const servers = text
    .split(/\r?\n/)
    .flatMap((line, place) => serversInLine(line, `${shown}, line ${place + 1},`));
  if (servers.length === 0) throw new UsageError(`${shown} lists no server. Write one address on each line.`);
  if (servers.length > MOST_SERVERS)
    throw new UsageError(`${shown} lists ${plural(servers.length, 'server')}; ${MOST_SERVERS} are allowed.`);
  return servers;
}

function serversInLine(line: string, source: string): NamedServer[] {
  const [addresses = '', variable, ...more] = line.trim().split(/\s+/);
  if (addresses === '' || addresses.startsWith('#')) return [];
  if (more.length > 0 || (variable !== undefined && !/^\w+$/.test(variable)))
    throw new UsageError(`${source} takes an address and, after a space, the variable that holds its key.`);
  return splitAddresses(readBaseUrls(addresses, source)).map((baseUrl) => ({
    baseUrl,
    apiKeyVariable: variable ?? null,
  }));
}
