/** Why a server could not be reached, in words, and what to look at. */

/** What a system's error code means for somebody who waits for a server; the first that is in a message counts. */
const MEANINGS: readonly (readonly [code: RegExp, describe: (address: string, code: string) => string])[] = [
  [
    /\bECONNREFUSED\b/,
    (address, code) => `Cannot connect to ${address}: connection refused (${code}). Is the server running?`,
  ],
  [
    /\b(?:ENOTFOUND|EAI_AGAIN|EAI_NODATA|EAI_NONAME)\b/,
    (address, code) =>
      `Cannot find the host of ${address} (${code}). Check the spelling of the address, and the network.`,
  ],
  [
    /\b(?:EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL)\b/,
    (address, code) => `No route to ${address} (${code}). Check the network, the VPN and the address.`,
  ],
  [
    /\b(?:UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT)\b/,
    (address, code) =>
      `Connecting to ${address} timed out (${code}). Check the network, the address and the firewall.`,
  ],
  [
    /\b(?:UND_ERR_HEADERS_TIMEOUT|UND_ERR_BODY_TIMEOUT|UND_ERR_ABORTED)\b/,
    (address, code) =>
      `${address} took too long to answer (${code}). Raise --request_timeout, or lower --max_concurrency.`,
  ],
  [
    /\b(?:ECONNRESET|EPIPE|UND_ERR_SOCKET)\b/,
    (address, code) =>
      `${address} closed the connection (${code}). Check the server, and proxies on the way to it.`,
  ],
];

/**
 * A sentence or two.
 * @param said the last error
 */
export function describeUnreachable(address: string, said: string): string {
  for (const [pattern, describe] of MEANINGS) {
    const code = pattern.exec(said)?.[0];
    if (code !== undefined) return describe(address, code);
  }
  return `${address} gave no usable answer (${said}). Check the network, the address and the provider’s status page.`;
}
