/**
 * Which addresses that a Hub names are requested: of Parquet files, of redirects, of uploads (Git LFS). A server can
 * name any, also one that only this machine can reach, such as a cloud's metadata service.
 */

import { isIP, type LookupFunction } from 'node:net';
import { sanitize } from '../lib/text.js';
import { AddressRefused, isInside, publicLookup } from './private-addresses.js';
import { isLoopback } from './proxy.js';
import { HUB_HOSTS_VARIABLE, type HubEnvironment } from '../types.js';

/**
 * Hosts of the real Hub, over https and port 443. Names: `hub-docs/docs/hub/datasets-downloading.md` ("Downloading
 * behind a proxy or firewall": `*.huggingface.co`, `*.hf.co` with Xet and the CDNs); buckets: addresses that
 * `/info/lfs/objects/batch` gives (huggingface_hub issues 1311, 1312, 1689).
 */
const HUB_HOSTS: readonly RegExp[] = [
  /^(?:[a-z0-9-]+\.)*huggingface\.co$/,
  /^(?:[a-z0-9-]+\.)*hf\.co$/,
  /^hf-hub-lfs-[a-z]{2}-[a-z]+-\d\.s3(?:-accelerate|[.-][a-z]{2}-[a-z]+-\d)?\.amazonaws\.com$/,
];
/** The Hub's first bucket, whose name has dots and is therefore in the path. */
const PATH_BUCKET = { host: /^s3(?:[.-][a-z]{2}-[a-z]+-\d)?\.amazonaws\.com$/, path: '/lfs.huggingface.co/' };

export class HubAddresses {
  readonly #own: ReadonlySet<string>;
  /** Hosts inside this network that the environment names: of such a machine, every port is its own. */
  readonly #inside: ReadonlySet<string>;
  readonly #named: readonly string[];
  readonly #mirror: string | null;

  constructor(hub: Pick<HubEnvironment, 'endpoint' | 'datasetsServerUrl' | 'hosts'>) {
    const configured = [hub.endpoint, hub.datasetsServerUrl].map((address) => new URL(address));
    this.#own = new Set(configured.map(({ origin }) => origin));
    this.#inside = new Set(
      configured
        .map(({ hostname }) => hostname)
        .filter(isInside)
        .map(machineOf),
    );
    this.#named = hub.hosts ?? [];
    const { protocol, hostname } = new URL(hub.endpoint);
    this.#mirror =
      protocol === 'https:' && isIP(hostname) === 0 && !hostname.startsWith('[') ? hostname : null;
  }

  /**
   * Checks an untrusted address.
   * @param from who named it, for the message
   * @throws AddressRefused with what to do
   */
  require(address: string, from: string): URL {
    const shown = sanitize(address, 120);
    if (!URL.canParse(address)) throw new AddressRefused(`${from} names an address that is none: ${shown}.`);
    const url = new URL(address);
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new AddressRefused(
        `${from} names an address that is no web address (${shown}), which is not opened. Check HF_ENDPOINT and ` +
          'HF_DATASETS_SERVER_URL.',
      );
    if (this.#isConfigured(url) || this.#isHub(url)) return url;
    const why = isInside(url.hostname)
      ? 'an address inside your network'
      : url.protocol === 'http:'
        ? 'an address without encryption'
        : 'an address that is not of the Hub';
    throw new AddressRefused(
      `${from} leads to ${sanitize(url.origin, 120)}, ${why}, and is not followed. If you trust it, name it: ` +
        `${HUB_HOSTS_VARIABLE}=${sanitize(url.host, 100)}`,
    );
  }

  /**
   * Settings for a connection: names of the Hub must not lead into this network, whatever a resolver says at that
   * moment. What the environment names may be anywhere. Behind a proxy, the proxy looks names up.
   */
  readonly lookupFor = (origin: URL): { lookup?: LookupFunction } =>
    this.#isConfigured(origin) ? {} : { lookup: lookupPublic };

  #isConfigured({ origin, host, hostname }: URL): boolean {
    if (this.#own.has(origin) || this.#inside.has(machineOf(hostname))) return true;
    return this.#named.some((name) => name === host || name === hostname);
  }

  #isHub({ protocol, hostname, port, pathname }: URL): boolean {
    if (protocol !== 'https:' || port !== '') return false;
    if (HUB_HOSTS.some((pattern) => pattern.test(hostname))) return true;
    if (PATH_BUCKET.host.test(hostname) && pathname.startsWith(PATH_BUCKET.path)) return true;
    return this.#mirror !== null && hostname.endsWith(`.${this.#mirror}`);
  }
}

/** Every name and address of this machine is the same. */
function machineOf(hostname: string): string {
  return isLoopback(hostname) ? 'localhost' : hostname;
}

/** See `publicLookup`. */
export const lookupPublic: LookupFunction = publicLookup(
  (name) => ` If you trust it, name it: ${HUB_HOSTS_VARIABLE}=${name}`,
);
