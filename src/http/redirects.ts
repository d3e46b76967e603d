/**
 * One rule for redirects: a key or token is sent only to the addresses that it was set for, wherever a response leads.
 * Requests that need one do not follow redirects at all: chat requests, batch APIs, pushes to the Hub. Only reads from
 * the Hub follow them, step by step, and without the token.
 */

/** How many redirects are followed. */
export const MAXIMUM_REDIRECTS = 5;

/** True for the status of a redirect. */
export function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

/**
 * The target of a redirect; null if the response is not a usable one.
 * @param location its header
 * @param from the address that was requested
 */
export function redirectTarget(status: number, location: unknown, from: string): URL | null {
  if (!isRedirect(status) || typeof location !== 'string' || !URL.canParse(location, from)) return null;
  return new URL(location, from);
}

/**
 * The token's header, only for the addresses that it was set for.
 * @param own these addresses; only their origins are compared
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
