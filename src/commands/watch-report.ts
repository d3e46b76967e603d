/** `reannotate report --watch`: serves the page of a run in progress. */

import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { collect, type CollectOptions, type ReportedRun } from '../report/collect.js';
import { renderPage } from '../report/html.js';
import { LiveRun } from '../report/live-run.js';
import { serveReport, type Source } from '../report/watch-server.js';
import type { Redactor } from '../secrets/redactor.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';

const LOOK_MS = 1000;
/** Making the data takes at most this share of the time. */
const MAKING_SHARE = 0.1;

type Options = Omit<CollectOptions, 'onProgress' | 'now'>;

/**
 * Serves the page until a signal comes.
 * @returns the exit code
 * @throws UserError where nothing of the run is there
 */
export async function watchReport(
  run: ReportedRun,
  options: Options,
  { console, signal, redactor }: { console: Console; signal: AbortSignal; redactor: Redactor },
): Promise<number> {
  const { source, look } = await sourceOf(run, options, redactor);
  const server = await serveReport(source);
  try {
    await printResult(`${server.url}\n`);
    console.info(
      `Serving the report of ${sanitize(run.folder.name, 120)}, to this machine only. Ctrl-C stops it.`,
    );
    for (;;) {
      await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) break;
      await look();
    }
  } finally {
    await server.close();
  }
  return EXIT.done;
}

interface Watched {
  source: Source;
  /** Looks for what is new. */
  look: () => Promise<void>;
}

async function sourceOf(run: ReportedRun, options: Options, redactor: Redactor): Promise<Watched> {
  if (run.parts.length > 0) return liveSource(new LiveRun(run, options), redactor);
  if (!existsSync(run.folder.reannotated)) {
    throw new UserError(
      `There is no run in ${run.folder.temp} or ${run.folder.save}. reannotate list shows the runs; name one by its folder.`,
    );
  }
  // Its working files are gone, so nothing will change.
  const data = redactor.shown(
    await collect(run, { ...options, now: new Date(), onProgress: () => undefined }),
  );
  return {
    source: { version: () => '1', data: () => data, page: (live) => renderPage(data, live) },
    look: () => Promise.resolve(),
  };
}

async function liveSource(live: LiveRun, redactor: Redactor): Promise<Watched> {
  let version = 1;
  let hasNews = false;
  let made = performance.now();
  await live.update();
  let data = redactor.shown(live.report(new Date()));
  let cost = performance.now() - made;
  return {
    source: {
      version: () => String(version),
      data: () => data,
      page: (address) => renderPage(data, address),
    },
    look: async () => {
      hasNews = (await live.update()) || hasNews;
      const now = performance.now();
      if (!hasNews || now - made < cost / MAKING_SHARE) return;
      data = redactor.shown(live.report(new Date()));
      version += 1;
      hasNews = false;
      made = performance.now();
      cost = made - now;
    },
  };
}
