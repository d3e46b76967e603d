/**
 * Which addresses that a Hub names are requested: of Parquet files, of redirects, of uploads (Git LFS). A server can
 * name any, also one that only this machine can reach, such as a cloud's metadata service.
 */

import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { isLoopback, withoutBrackets } from './proxy.js';
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

/** Networks that are nobody's in public: this machine, this network, and those that are reserved (IANA registries). */
const PRIVATE = new BlockList();
for (const network of [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...['::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16', 'fc00::/7'],
  ...['fe80::/10', 'fec0::/10', 'ff00::/8'],
]) {
  const [address = '', bits] = network.split('/');
  PRIVATE.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4');
}
/** An IPv4 address behind a network's NAT64, such as `64:ff9b::a00:1`. */
const NAT64 = /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/;

/** True for an IP address, in any spelling, that is not one of the public internet. */
export function isPrivateAddress(address: string): boolean {
  // Without the zone of a link-local address, as in `fe80::1%eth0`.
  const [text = ''] = address.split('%', 1);
  if (isIP(text) === 4) return PRIVATE.check(text, 'ipv4');
  if (isIP(text) !== 6) return false;
  const plain = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [, high = '0', low] = NAT64.exec(plain) ?? [];
  if (low === undefined) return PRIVATE.check(plain, 'ipv6');
  const bytes = [high, low].flatMap((part) => [parseInt(part, 16) >> 8, parseInt(part, 16) & 255]);
  return isPrivateAddress(bytes.join('.'));
}

/** An address that was refused; trying again changes nothing. */
export class AddressRefused extends UserError {}

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
   * Checks an address that came from outside.
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

/** @param hostname of a parsed URL, which writes every spelling of an IPv4 address (`0x7f.1`, `2130706433`) in one way */
function isInside(hostname: string): boolean {
  const name = withoutBrackets(hostname);
  return (
    isPrivateAddress(name) ||
    /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/.test(name) ||
    !/[.:]/.test(name)
  );
}

/** Every name and address of this machine is the same. */
function machineOf(hostname: string): string {
  return isLoopback(hostname) ? 'localhost' : hostname;
}

/** Looks a name up as usual, and fails where it leads to an address that is not public. */
export const lookupPublic: LookupFunction = (name, options, callback) => {
  lookup(name, options, (error, found, family) => {
    const addresses =
      typeof found === 'string' ? [found] : (found as { address: string }[]).map(({ address }) => address);
    const inside = error === null ? addresses.find(isPrivateAddress) : undefined;
    if (inside === undefined) {
      callback(error, found, family);
      return;
    }
    const message =
      `${sanitize(name, 100)} leads to ${inside}, an address inside your network, and is not followed. If you trust it, ` +
      `name it: ${HUB_HOSTS_VARIABLE}=${sanitize(name, 100)}`;
    callback(new AddressRefused(message), found, family);
  });
};
