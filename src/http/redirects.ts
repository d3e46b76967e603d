/**
 * Redirects, by one rule: a key or token goes to the addresses that it was set for and to no other, wherever an answer
 * leads. What cannot be sent without one is not redirected at all: chat requests, batch APIs, pushes to the Hub. Only
 * reading from the Hub follows redirects, by hand, and its token stays behind.
 */

/** How many redirects are followed. */
export const MAXIMUM_REDIRECTS = 5;

/** True for the status of an answer that leads elsewhere. */
export function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

/**
 * Where an answer leads; null where it leads nowhere.
 * @param location its header
 * @param from the address that was requested
 */
export function redirectTarget(status: number, location: unknown, from: string): URL | null {
  if (!isRedirect(status) || typeof location !== 'string' || !URL.canParse(location, from)) return null;
  return new URL(location, from);
}

/**
 * The token's header, for the addresses that it was set for alone.
 * @param own the addresses; their origins count
 */
export function tokenFor(
  url: string,
  token: string | null,
  own: readonly string[],
): { authorization?: string } {
  const { origin } = new URL(url);
  const isOwn = own.some((address) => new URL(address).origin === origin);
  return token !== null && isOwn ? { authorization: `Bearer ${token}` } : {};
}
