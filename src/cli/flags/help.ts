/** What help says of a flag. */

import type { CommandFlag } from './table.js';

/** One line: what the flag is, and its default. */
export function helpOf({ help, usual, fallback }: CommandFlag): string {
  const told = usual ?? shown(fallback);
  return told === '' ? help : `${help} (default: ${told})`;
}

function shown(fallback: unknown): string {
  if (typeof fallback === 'string' || typeof fallback === 'number') return String(fallback);
  return Array.isArray(fallback) ? fallback.join(', ') : '';
}
