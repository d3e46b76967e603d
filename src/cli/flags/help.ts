/** What help says of a flag. */

import type { CommandFlag } from './table.js';

/** One line: what the flag is, and its default. */
export function helpOf(flag: CommandFlag): string {
  const usual = defaultOf(flag);
  return usual === '' ? flag.help : `${flag.help} (default: ${usual})`;
}

/** What a flag comes to where nobody gives it; empty where there is nothing to say. */
export function defaultOf({ usual, fallback }: CommandFlag): string {
  if (usual !== undefined) return usual;
  if (typeof fallback === 'string' || typeof fallback === 'number') return String(fallback);
  return Array.isArray(fallback) ? fallback.join(', ') : '';
}
