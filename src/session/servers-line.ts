/** The line of several servers while requests are sent: each one's share of the answers, and why one gets no requests. */

import { count, sanitize, plural } from '../lib/text.js';
import type { ServerStanding } from '../requests/fleet.js';

/** `Servers: gpu1:8000 41 % (12 in flight), gpu2:8000 out (no answer), 3 more`, not wider than `columns`. */
export function serversLine(standings: readonly ServerStanding[], columns: number): string {
  const answers = standings.reduce((sum, one) => sum + one.answers, 0);
  // What needs attention comes first, then the busiest.
  const sorted = [...standings].sort(
    (a, b) => Number(b.absence !== null) - Number(a.absence !== null) || b.answers - a.answers,
  );
  const parts = sorted.map((one) => describe(one, answers));
  for (let shown = parts.length; shown > 0; shown--) {
    const more = parts.length - shown;
    const line = `Servers: ${[...parts.slice(0, shown), ...(more === 0 ? [] : [`${count(more)} more`])].join(', ')}`;
    if (line.length <= columns) return line;
  }
  const out = standings.filter(({ absence }) => absence !== null).length;
  return `${plural(standings.length, 'server')}${out === 0 ? '' : `, ${count(out)} left out`}`;
}

function describe({ server, answers, inFlight, absence }: ServerStanding, all: number): string {
  const name = shortName(server);
  const share = `${Math.round(all === 0 ? 0 : (100 * answers) / all)} %`;
  if (absence === null) return `${name} ${share} (${count(inFlight)} in flight)`;
  return `${name} ${share}, left out (${sanitize(absence, 40)})`;
}

/** `gpu1:8000` of `http://gpu1:8000/v1`, and what follows it to distinguish accounts. */
function shortName(server: string): string {
  return server.replace(/^https?:\/\//, '').replace(/\/(?:openai\/)?v\d+(?= |$)/, '');
}
