/** `reannotate status` of a run that was not cut into shards: how far it is, by its files alone. */

import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, UserError } from '../lib/errors.js';
import { isObject } from '../lib/json.js';
import { count, dollars, duration, sanitize } from '../lib/text.js';
import { LiveRun, type LiveFigures } from '../report/live-run.js';
import { findReportedRun } from '../session/reported-run.js';
import { openBatches } from '../session/run-list.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';
import { ROW_STATES, type RowState } from '../types.js';

const LOOK_MS = 2000;
/** The rate is that of so long a time. */
const WINDOW_MS = 60_000;

/** What is known of a run, as `--json` prints it. */
export interface RunStatus {
  run: string;
  dataset: string;
  annotator: string;
  /** `running`: a process works on it. `stopped`: none does, and rows are missing or results are not written. */
  state: LiveFigures['status'];
  mode: 'online' | 'batch';
  /** `3 of 4 batches ended`; null where no batch is in progress. */
  batches: string | null;
  rows: { total: number } & Record<RowState, number>;
  requests: { sent: number; throttled: number; retried: number } | null;
  tokens: { prompt: number; completion: number };
  /** Null where it is not known. */
  cost_usd: number | null;
  /** ISO 8601; null before the first request. */
  started_at: string | null;
}

/**
 * Shows the run in a folder; on a terminal until no process works on it any more, or a signal comes.
 * @param path of its working files or of its results
 * @returns the exit code
 * @throws UserError where there is no run
 */
export async function runStatus(
  path: string,
  json: boolean,
  { console, signal }: { console: Console; signal: AbortSignal },
): Promise<number> {
  const look = await openStatus(path);
  let seen = await look();
  if (json || !console.isTerminal || seen.state !== 'running') {
    const text = json ? JSON.stringify(seen, null, 2) : statusLines(seen, null).join('\n');
    await printResult(`${text}\n`);
    return EXIT.done;
  }
  const samples: { at: number; finished: number }[] = [];
  const endTable = console.showTable(() => statusLines(seen, rateOf(samples)));
  try {
    while (!signal.aborted && seen.state === 'running') {
      samples.push({ at: performance.now(), finished: seen.rows.total - seen.rows.pending });
      while (samples.length > 2 && performance.now() - (samples[0]?.at ?? 0) > WINDOW_MS) samples.shift();
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      seen = await look();
    }
  } finally {
    endTable();
  }
  console.print(statusLines(seen, null).join('\n'));
  return EXIT.done;
}

/** @throws UserError where there is no run */
export async function openStatus(path: string): Promise<() => Promise<RunStatus>> {
  const name = { path, dataset: null, annotator: '', saveDir: '', tempDir: null, runName: null };
  const run = await findReportedRun(name);
  if (run.parts.length === 0)
    throw new UserError(
      `The working files of the run in ${sanitize(path, 300)} are not in ${sanitize(run.folder.temp, 300)}. Give the folder that ` +
        'has them, such as datasets/temp/NAME; reannotate list shows the runs.',
    );
  const live = new LiveRun(run, { sample: 0, rows: [], onlyRows: true, isPublic: false, version: '' });
  return async () => {
    await live.update();
    const { status, rows, summary } = live.figures;
    const { requests, tokens, cost_usd: cost, mode, started_at: started } = summary;
    const batches = openBatches(run.folder);
    return {
      run: run.folder.name,
      dataset: run.dataset,
      annotator: run.annotator,
      state: status,
      mode: mode === 'batch' ? 'batch' : 'online',
      batches: batches === '' ? null : batches,
      rows,
      requests: isObject(requests) ? (requests as RunStatus['requests']) : null,
      tokens: isObject(tokens) ? (tokens as RunStatus['tokens']) : { prompt: 0, completion: 0 },
      cost_usd: typeof cost === 'number' ? cost : null,
      started_at: typeof started === 'string' ? started : null,
    };
  };
}

/** @param rate rows a second; null where it is not known */
export function statusLines(status: RunStatus, rate: number | null): string[] {
  const { rows, requests, tokens, cost_usd: cost, batches } = status;
  const finished = rows.total - rows.pending;
  const share = Math.floor((finished / Math.max(1, rows.total)) * 100);
  const left =
    rate === null || rate <= 0 || rows.pending === 0
      ? ''
      : `, ${count(Math.round(rate * 60))}/min, ${duration((rows.pending / rate) * 1000)} left`;
  const states = ROW_STATES.filter((one) => one !== 'pending' && rows[one] > 0).map(
    (one) => `${count(rows[one])} ${one}`,
  );
  return [
    `Run:      ${sanitize(status.run, 120)}: ${status.state}, ${status.mode}${batches === null ? '' : `, ${batches}`}`,
    `Rows:     ${count(finished)} of ${count(rows.total)} (${share} %${left})${states.length === 0 ? '' : `: ${states.join(', ')}`}`,
    ...(requests === null
      ? []
      : [
          `Requests: ${count(requests.sent)} sent, ${count(requests.throttled)} throttled, ${count(requests.retried)} retried`,
        ]),
    `Tokens:   ${count(tokens.prompt)} prompt, ${count(tokens.completion)} completion; ${cost === null ? 'cost not known' : dollars(cost)}`,
  ];
}

function rateOf(samples: readonly { at: number; finished: number }[]): number | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || last.at - first.at < LOOK_MS) return null;
  return ((last.finished - first.finished) / (last.at - first.at)) * 1000;
}
