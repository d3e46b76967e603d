/** Keys that travel unencrypted, for everybody on the way to read. */

import type { Reporter } from '../types.js';
import { isLoopback } from './proxy.js';

/** What is sent, and where to. */
export interface Sent {
  /** As a sentence begins: `The key`, `HF_TOKEN`. */
  what: string;
  url: string;
  /** The address for people: no passwords or keys in it. */
  shown: string;
}

/** Addresses that were warned about. */
const warned = new Set<string>();

/** Warns once of an address that gets a key without encryption. */
export function warnOfPlainHttp(sent: Sent, reporter: Reporter): void {
  const warning = plainHttpWarning(sent);
  if (warning === null || warned.has(sent.shown)) return;
  warned.add(sent.shown);
  reporter.warning(warning);
}

/** What to say where a key is sent without encryption to another machine; null where it is not. */
export function plainHttpWarning({ what, url, shown }: Sent): string | null {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'http:' || isLoopback(hostname)) return null;
  return `${what} is sent to ${shown} unencrypted (http), so others on the network can read it. Use https if the server supports it.`;
}
