import type { LookupFunction } from 'node:net';

/**
 * Makes `localhost` both loopback addresses, as browsers and curl do (RFC 6761), whatever the resolver knows: servers
 * listen on one of them alone.
 * @returns settings for a connection to `origin`; empty for any other host
 */
export function lookupOnLoopback({ hostname }: URL): { lookup?: LookupFunction; autoSelectFamily?: boolean } {
  if (hostname !== 'localhost' && !hostname.endsWith('.localhost')) return {};
  return { lookup: lookupBoth, autoSelectFamily: true };
}

const LOOPBACK = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
];

const lookupBoth: LookupFunction = (_, options, callback) => {
  if (options.all === true) {
    callback(null, LOOPBACK);
    return;
  }
  const wanted = LOOPBACK.find(({ family }) => family === options.family) ?? LOOPBACK[0];
  callback(null, wanted?.address ?? '127.0.0.1', wanted?.family ?? 4);
};
