/** Addresses that only this machine or its network can reach, such as a cloud's metadata service. */

import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { UserError } from '../lib/errors.js';
import { sanitize, withoutTrailing } from '../lib/text.js';
import { withoutBrackets } from './proxy.js';

/** Networks that are not public: this machine, this network, and those that are reserved (IANA registries). */
const PRIVATE = new BlockList();
for (const network of [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12'],
  ...['192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15'],
  ...['198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4'],
  ...[
    '::/96',
    '::ffff:0:0:0/96',
    '64:ff9b:1::/48',
    '100::/64',
    '2001::/23',
    '2001:db8::/32',
    '2002::/16',
    'fc00::/7',
  ],
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

/** @param hostname of a parsed URL, which writes every spelling of an IPv4 address (`0x7f.1`, `2130706433`) in one way */
export function isInside(hostname: string): boolean {
  const name = withoutTrailing(withoutBrackets(hostname), '.');
  return (
    isPrivateAddress(name) ||
    /(?:^|\.)(?:localhost|local|internal|home\.arpa)$/.test(name) ||
    !/[.:]/.test(name)
  );
}

/** An address that was refused; trying again changes nothing. */
export class AddressRefused extends UserError {}

/**
 * An ordinary lookup, except that it fails if a name resolves to an address that is not public.
 * @param advice a sentence on what to do if the name is trusted, with a space before it; empty for none
 */
export function publicLookup(advice: (name: string) => string): LookupFunction {
  return (name, options, callback) => {
    lookup(name, options, (error, found, family) => {
      const addresses =
        typeof found === 'string' ? [found] : (found as { address: string }[]).map(({ address }) => address);
      const inside = error === null ? addresses.find(isPrivateAddress) : undefined;
      if (inside === undefined) {
        callback(error, found, family);
        return;
      }
      const shown = sanitize(name, 100);
      const message = `${shown} leads to ${inside}, an address inside your network, and is not followed.${advice(shown)}`;
      callback(new AddressRefused(message), found, family);
    });
  };
}
