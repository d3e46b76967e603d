/** Keeps the page of a run up to date while it is in progress. */

import type { ReportData } from '../data.js';
import { element, number } from './dom.js';

const POLL_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;

/** What is said of the run's progress. */
export const liveStatus = element('p', { class: 'live', role: 'status' });

/**
 * Asks the server for new data again and again.
 * @param address relative to the page
 */
export async function follow(
  address: string,
  first: ReportData,
  onData: (data: ReportData) => void,
): Promise<void> {
  let tag: string | null = null;
  let pause = POLL_MS;
  say(first);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    // Nobody sees a hidden page; it catches up when it is shown.
    if (document.hidden) continue;
    try {
      const response: Response = await fetch(address, {
        cache: 'no-store',
        headers: tag === null ? {} : { 'if-none-match': tag },
      });
      pause = POLL_MS;
      if (response.status === 304) continue;
      if (!response.ok) throw new Error(String(response.status));
      tag = response.headers.get('etag');
      const data = (await response.json()) as ReportData;
      onData(data);
      say(data);
    } catch {
      pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
      liveStatus.textContent = 'The server of this page has stopped; this is its last state.';
    }
  }
}

function say({ status, rows, states, made }: ReportData): void {
  const done = rows - (states.pending ?? 0);
  const progress = `${number(done)} of ${number(rows)} rows`;
  const text = {
    running: `In progress: ${progress}`,
    stopped: `Not running: ${progress}`,
    finished: `Finished: ${progress}`,
  }[status];
  liveStatus.textContent = `${text} (${made.slice(11, 19)} UTC)`;
}
