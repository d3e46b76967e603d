/** Which proxy a request goes through, by the environment's variables as curl reads them. */

import { UserError } from '../lib/errors.js';
import { basicCredentials, shownAddress } from './address.js';
import { sanitize } from '../lib/text.js';

/** A proxy, and where it was named. */
export interface Proxy {
  url: URL;
  /** Such as `HTTPS_PROXY`. */
  variable: string;
}

type Variables = Readonly<Record<string, string | undefined>>;

/** In the order of precedence. curl ignores HTTP_PROXY, which a CGI server sets from a header; this program is none. */
const VARIABLES = {
  'http:': ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'],
  'https:': ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'],
} as const;

/**
 * The proxy for an address; null where it is reached directly, as servers on this machine always are.
 * @throws UserError where the variable names no HTTP proxy
 */
export function proxyFor(target: URL, variables: Variables = process.env): Proxy | null {
  const names = target.protocol === 'http:' || target.protocol === 'https:' ? VARIABLES[target.protocol] : [];
  const variable = names.find((name) => (variables[name] ?? '').trim() !== '');
  if (variable === undefined || isLoopback(target.hostname)) return null;
  if (isExcepted(target, variables['no_proxy'] ?? variables['NO_PROXY'] ?? '')) return null;
  return { url: readProxy((variables[variable] ?? '').trim(), variable), variable };
}

/** A proxy's address; `host:port` means HTTP, as it does for curl. */
function readProxy(text: string, variable: string): URL {
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const shown = sanitize(shownAddress(whole), 100);
  if (!URL.canParse(whole) || new URL(whole).hostname === '') {
    throw new UserError(
      `${variable} takes the address of a proxy such as http://proxy.example:3128, not ${shown}.`,
    );
  }
  const url = new URL(whole);
  if (url.protocol === 'http:' || url.protocol === 'https:') return url;
  throw new UserError(
    `${variable} names a ${url.protocol.slice(0, -1)} proxy (${shown}); only http and https proxies can be used. ` +
      'Name one of these, or unset the variable.',
  );
}

/** True for names and addresses of this machine, as `URL` writes them: `127.evil.example` is a name of any other. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(?:\.\d{1,3}){3}$/.test(hostname)
  );
}

/** True where NO_PROXY names the target: `*`, a name and all below it, `host:port`, an address or a CIDR block. */
function isExcepted(target: URL, list: string): boolean {
  const host = withoutBrackets(target.hostname.toLowerCase());
  const port = target.port === '' ? (target.protocol === 'https:' ? '443' : '80') : target.port;
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const withPort = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry);
  if (withPort !== null && withPort[2] !== port) return false;
  const name = withoutBrackets(withPort?.[1] ?? entry).replace(/^\*?\./, '');
  if (name === '') return false;
  if (name.includes('/')) return isInBlock(host, name);
  return host === name || host.endsWith(`.${name}`);
}

/** A host as it is looked up: an IPv6 address without brackets, a name without the dot at its end. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');
}

/** True where an IPv4 address is in a block such as `10.0.0.0/8`. */
function isInBlock(host: string, block: string): boolean {
  const [network = '', bits = ''] = block.split('/');
  const address = ipv4(host);
  const base = ipv4(network);
  const length = Number(bits);
  if (address === null || base === null || !/^\d{1,2}$/.test(bits) || length > 32) return false;
  const shift = 2 ** (32 - length);
  return Math.floor(address / shift) === Math.floor(base / shift);
}

function ipv4(text: string): number | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined || parts.some((part) => part > 255)) return null;
  return parts.reduce((value, part) => value * 256 + part, 0);
}

/** A proxy for people: scheme, host and port. */
export function shownProxy({ url, variable }: Proxy): string {
  return `${url.protocol}//${url.host} (${variable})`;
}

/** The value of `Proxy-Authorization`; null where the proxy's address has no name and password. */
export function proxyAuthorization({ url }: Proxy): string | null {
  const credentials = basicCredentials(url);
  return credentials === null ? null : `Basic ${credentials}`;
}
