/** Asks a run's pending rows online: jobs through the processor into the journal. */

import { existsSync } from 'node:fs';
import type { ModelCall } from '../models/call.js';
import type { Price } from '../models/prices.js';
import type { Interruption } from '../terminal/interruption.js';
import { noteDiscarded } from '../lib/memory.js';
import { checkEndpoints } from '../models/endpoint.js';
import { systemClock } from '../lib/clock.js';
import { holdsLock } from '../lib/fence.js';
import type { RunPolicy } from '../run/settings.js';
import { flagOf, type ParameterChange } from '../requests/parameters.js';
import type { Job, Processor, ProcessorEvents, Stop } from '../requests/processor.js';
import type { Limits } from '../requests/pooled-limits.js';
import type { BindingLimit } from '../requests/rate-limiter.js';
import { usageOfAnswer } from '../models/usage-estimate.js';
import type { Usage } from '../models/usage.js';
import type { Account } from '../run/account.js';
import { budgetFor, costUnknown } from '../run/budget.js';
import type { RunFolder } from '../run/folder.js';
import { JournalGone, JournalWriter, type JournalIndex } from '../run/journal.js';
import type { PartLine } from '../run/parts.js';
import { LatencyLog } from '../run/latencies.js';
import { annotatorOf, type Resent } from '../run/origin.js';
import type { PreparedRun } from '../run/prepare.js';
import type { SessionFigures } from '../run/summary.js';
import type { Totals } from '../run/totals.js';
import { count, plural } from '../lib/text.js';
import { answerRules } from '../models/answer-rules.js';
import { splitsChoices } from '../models/several-answers.js';
import { openOnlineSession, type Abortable, type OnlineSession } from './online-session.js';
import { missing, openRowJobs, type RowJobs, type Wanted } from './row-jobs.js';
import { sendingHours, type SendingHours } from './off-peak.js';
import { Meter, type MeterOptions, type Misses } from './meter.js';
import { TimeLeft } from './time-left.js';
import type { OnlinePermit } from './online-permit.js';
import type { SessionPool } from './session-pool.js';
import type { CommandContext } from './command-context.js';

/** How long requests in flight may take after the first Ctrl-C. */
const GRACE_MS = 30_000;
/** How often this process's part of shared limits is updated: the sooner, the less of an ended worker's part is wasted. */
const SHARE_MS = 250;
/** Failed rows are reported one by one up to here; a line a second is enough after that. */
const FAILURES_SHOWN = 5;

const ONE_BY_ONE = 'From now on each answer of --n is requested separately';

/** What is asked for, in messages. */
export interface Naming {
  /** What the count of all is of, such as `row`. */
  one: string;
  /** What a request is about, such as `Row 17`. */
  nameOf: (requestIdx: number) => string;
}

const ROWS: Naming = { one: 'row', nameOf: (row) => `Row ${row}` };

/** Requests, and what of them is answered. */
export interface RequestSet
  extends Pick<PreparedRun, 'index' | 'rows'>, Partial<Pick<PreparedRun, 'partialBefore'>> {
  /** Rows for which there is no request. */
  unusable?: number;
  /** Where they are no rows of a dataset. */
  naming?: Naming;
}

/** How sending went. */
export interface OnlineResult extends SessionFigures {
  stop: Stop | null;
  /** How the model was called that got the last request, and so the one that stopped the run. */
  call: ModelCall;
  /** US dollars in all that the request which `--max_cost` kept back would have needed; null where it kept none. */
  needed: number | null;
}

/** How sending went twice, one after the other. */
export function combineResults(first: OnlineResult, then: OnlineResult): OnlineResult {
  return {
    stop: then.stop,
    call: then.call,
    answered: first.answered + then.answered,
    milliseconds: first.milliseconds + then.milliseconds,
    bound: first.bound ?? then.bound,
    needed: then.needed,
  };
}

/** Where nothing is sent. */
export function nothingSent(call: ModelCall): OnlineResult {
  return { stop: null, call, answered: 0, milliseconds: 0, bound: null, needed: null };
}

/** What is sent online. */
export interface OnlineWork {
  call: ModelCall;
  policy: RunPolicy;
  folder: Pick<RunFolder, 'jobs' | 'journal' | 'segments'> & Partial<Pick<RunFolder, 'save' | 'latencies'>>;
  run: RequestSet;
  totals: Totals;
  price: Price | null;
  /** Called when the API refused a parameter, with all changes learnt so far. */
  onChanges: (learnt: readonly ParameterChange[]) => void;
  /** Sent with every request; null for the account's usual one. */
  serviceTier: 'flex' | null;
  /** The most tokens that the model writes, as earlier sessions learnt; absent or null where that is not known. */
  mostTokens?: number | null;
  /** US dollars of `--max_cost` that are not to be spent here. */
  reserved: number;
  /** The part of the account's limits that is this process's, from 0 to 1; all of it where absent. */
  share?: () => number;
  /** Servers that stay open for what is sent after this; absent where nothing is. */
  pool?: SessionPool;
  /** What keeps other machines from sending the same rows; null for a run of which that is not known. */
  permit?: OnlinePermit | null;
  /** Rows that have an answer and are sent with another request than their job; absent for a run's own requests. */
  again?: SentAgain;
}

/** Rows that are sent again, although they have an answer. */
export interface SentAgain extends Wanted {
  /** What the journal says of where their answers come from; null where their jobs are sent as they are. */
  origin: Resent | null;
  /** What is sent, for people. */
  announcement: (rows: number) => string;
}

/** Sends a request for every row that has no answer yet. */
export async function sendOnline(work: OnlineWork, context: CommandContext): Promise<OnlineResult> {
  const { call, policy, folder, run, totals, serviceTier, again } = work;
  const { console, interruption } = context;
  const { index } = run;
  const wanted = again ?? missing(index, policy.retry);
  const waiting = countRows(run.rows, wanted.row);
  if (waiting === 0) return nothingSent(call);
  const isSplit = index.parts?.layout.kind === 'choice' && splitsChoices(call);
  console.info(
    again === undefined
      ? describeStart(
          run,
          waiting,
          isSplit || index.parts?.layout.kind === 'turn' ? countParts(index, wanted) : waiting,
          call.annotator.name,
        )
      : again.announcement(waiting),
  );

  const rowJobs = openRowJobs(folder, index, inTier(wanted, serviceTier), {
    rules: await answerRules(call),
    isSplit,
    onSplit: () => {
      console.warning(`${ONE_BY_ONE}: this server returned one answer when asked for several.`);
    },
  });
  const sending = isSplit ? { ...work, call: withOneAnswer(call) } : work;
  const { session, journal, latencies, budget, hours, misses, timeLeft } = await openJournaled(
    sending,
    rowJobs,
    waiting,
    context,
  );
  const { client, limiter, processor } = session;
  totals.follow(processor.counts, session.standings ?? undefined);

  const started = performance.now();
  const meter = meterFor(run, waiting, session, { totals, misses, hours, timeLeft });
  const endProgress = console.showProgress((columns) => meter.render(columns));
  const { onProgress = () => undefined } = context;
  const stopWatching = watchEverySecond(work, session, () => {
    meter.sample();
    latencies.flush();
    onProgress(meter.progress());
  });
  const stopListening = heed(interruption, processor, client, context);
  let stop: Stop | null;
  try {
    stop = await processor.run(rowJobs.jobs(), rowJobs);
  } finally {
    stopListening();
    stopWatching();
    endProgress();
    // What is paid for goes to disk before what only counts it.
    journal.flush();
    if (holdsLock()) totals.save();
    latencies.flush();
    await session.release();
    journal.close();
    latencies.flush();
    onProgress(meter.progress());
  }
  return {
    stop,
    call,
    answered: processor.counts.answered,
    milliseconds: performance.now() - started,
    bound: describeBound(limiter.bindingLimit, limiter),
    needed: budget?.needed ?? null,
  };
}

/** What rate limits and `--max_cost` reserve where each answer is requested on its own. */
function withOneAnswer(call: ModelCall): ModelCall {
  return { ...call, generation: { ...call.generation, n: null } };
}

/** What sends requests, and writes what comes of them into the journal. */
interface Journaled {
  session: OnlineSession;
  journal: JournalWriter;
  latencies: LatencyLog;
  /** Null where nothing bounds the cost. */
  budget: ReturnType<typeof budgetFor>;
  /** Null where requests are sent at any time. */
  hours: SendingHours | null;
  misses: Misses;
  timeLeft: TimeLeft;
}

/** @throws UserError where the key is missing, or the journal can't be written */
async function openJournaled(
  work: OnlineWork,
  rowJobs: RowJobs,
  waiting: number,
  { console, onPause }: CommandContext,
): Promise<Journaled> {
  const { call, policy, folder, run, totals, price, onChanges, reserved, permit = null } = work;
  const { index, naming = ROWS } = run;
  const annotator = annotatorOf(work.again?.origin ?? null);
  const account = totals.accountOf(annotator);
  // A missing key is reported before anything is opened.
  checkEndpoints(call);
  const budget = budgetFor({ call, policy, price }, () => (totals.cost ?? 0) + reserved);
  const onFailure = (error: Error): void => {
    const cause = error instanceof JournalGone ? 'other' : 'disk';
    session.processor.stop({ reason: 'error', cause, message: error.message });
  };
  const journal = new JournalWriter(folder.journal, onFailure, folder.segments?.at(-1)?.number);
  const latencies = new LatencyLog(folder.latencies ?? null);
  const hours = sendingHours(policy, price);
  const misses: Misses = { refused: 0, failed: 0 };
  const timeLeft = new TimeLeft(hours);
  const recording = {
    journal,
    latencies,
    index,
    naming,
    misses,
    timeLeft,
    rowJobs,
    origin: work.again?.origin ?? null,
  };
  const events = journaling(recording, { account, timeline: totals.timeline }, console, {
    onFirstAnswer: () => {
      console.record('info', describeLimits(session.limiter));
      warnOfDays(waiting, session.limiter, console);
      // A table of prices takes longer to load than anything else here, and nothing waited for it.
      if (price === null) void account.findPrice(call.annotator);
    },
    onChange: () => {
      onChanges(session.parameters.learnt);
    },
    onPause: (isPaused) => {
      const until = isPaused ? (hours?.opensAt ?? null) : null;
      const what =
        until === null ? 'Off-peak hours: sending.' : `${hours?.notice ?? ''}; sending starts by itself.`;
      console.info(what);
      onPause?.(until);
    },
    onUse: (usage, { sentAt }) => {
      const now = Date.now();
      const latency = sentAt === undefined ? 0 : systemClock.now() - sentAt;
      account.noteHours(usage, now - latency, now);
      budget?.observe(usage);
      if (budget === null || totals.cost !== null) return;
      session.processor.stop({
        reason: 'error',
        cause: 'other',
        message: costUnknown(call.annotator.name),
      });
    },
  });
  const hasAnswers = annotator === null && index.count('ok') + index.count('truncated') > 0;
  const session = await openOnlineSession(call, {
    ...{ budget, schedule: hours, events, reporter: console, hasAnswers },
    partialBefore: run.partialBefore ?? null,
    ...(permit === null ? {} : { mayProceed: () => permit.isHeld() }),
    pool: work.pool,
  });
  permit?.keep((message) => {
    session.processor.stop({ reason: 'error', cause: 'lock', message });
  });
  return { session, journal, latencies, budget, hours, misses, timeLeft };
}

/** Updates this process's part of the limits and, every second, the figures on disk; stops once the results' folder was deleted. */
function watchEverySecond(
  { folder, totals, share = () => 1 }: OnlineWork,
  { limiter, processor, shared }: OnlineSession,
  onSecond: () => void,
): () => void {
  // Limits that are shared exactly are divided only while that can't be done.
  const part = (): number =>
    shared === null ? share() : shared.isInForce ? 1 : Math.min(share(), 1 / shared.workers);
  limiter.share(part());
  const sharing = setInterval(() => {
    limiter.share(part());
  }, SHARE_MS);
  const timer = setInterval(() => {
    if (folder.save !== undefined && !existsSync(folder.save)) {
      const message = `The results folder ${folder.save} was deleted or moved during this run.`;
      processor.stop({ reason: 'error', cause: 'other', message });
    }
    totals.saveNowAndThen(performance.now());
    onSecond();
  }, 1000);
  return () => {
    clearInterval(sharing);
    clearInterval(timer);
  };
}

/** Counts rows, or their parts where rows take several requests. */
function meterFor(
  { index, rows }: RequestSet,
  waiting: number,
  { processor, limiter, standings }: OnlineSession,
  counted: Pick<MeterOptions, 'totals' | 'misses' | 'hours' | 'timeLeft'>,
): Meter {
  const { parts } = index;
  const figures = { processor, limiter, standings, ...counted };
  if (parts === null) return new Meter({ ...figures, before: rows - waiting, rows });
  const { slots } = parts;
  const dealtWith = (): number => slots.rows - slots.count('pending');
  const before = dealtWith();
  const done = (): number => dealtWith() - before;
  return new Meter({ ...figures, before, rows: slots.rows, done });
}

function warnOfDays(waiting: number, { requestsPerDay }: Limits, console: CommandContext['console']): void {
  if (requestsPerDay === null || waiting <= requestsPerDay) return;
  console.warning(
    `The account allows ${plural(requestsPerDay, 'request')} per day, and ${count(waiting)} are left to send: ` +
      `this will take ${count(Math.ceil(waiting / requestsPerDay))} days. You can stop and resume the run at any time.`,
  );
}

/** `Sending 3 requests to gpt-4o-mini.` or `Resuming: 2 of 5 rows are done, 3 to go.` */
function describeStart(
  { rows, index, unusable = 0, naming = ROWS }: RequestSet,
  waiting: number,
  requests: number,
  name: string,
): string {
  const done = rows - waiting - unusable - index.countAside;
  const skipped = unusable === 0 ? '' : ` (${plural(unusable, 'row')} cannot be used)`;
  const each = requests === waiting ? '' : ` for ${plural(waiting, naming.one)}`;
  if (done === 0) return `Sending ${plural(requests, 'request')}${each} to ${name}${skipped}.`;
  return `Resuming: ${count(done)} of ${plural(rows, naming.one)} are done, ${count(waiting)} to go${skipped}.`;
}

/** The same requests in a service tier; null for the account's usual one. */
function inTier(wanted: Wanted, serviceTier: string | null): Wanted {
  if (serviceTier === null) return wanted;
  const tier = Buffer.from(`,"service_tier":${JSON.stringify(serviceTier)}}`);
  const requestFor = (body: Buffer): Buffer => {
    const request = wanted.requestFor(body);
    return Buffer.concat([request.subarray(0, request.length - 1), tier]);
  };
  return { ...wanted, requestFor };
}

/** What else happens as answers come. */
interface Occasions {
  onFirstAnswer: () => void;
  onChange: () => void;
  /** Something was billed. */
  onUse: (usage: Usage, job: Job) => void;
  /** Requests wait for their hours, or are sent again. */
  onPause: (isPaused: boolean) => void;
}

function countRows(rows: number, wanted: (row: number) => boolean): number {
  let count = 0;
  for (let row = 0; row < rows; row++) if (wanted(row)) count += 1;
  return count;
}

/** How many requests the rows take that are to be sent, as far as that is known. */
function countParts({ rows, parts }: JournalIndex, wanted: Wanted): number {
  let count = 0;
  for (let row = 0; row < rows; row++) {
    if (!wanted.row(row)) continue;
    const numbers = wanted.parts(row);
    // The turns after the next one follow from its answer.
    const after = parts?.layout.kind === 'turn' ? parts.layout.countOf(row) - (numbers[0] ?? 0) - 1 : 0;
    count += numbers.length + after;
  }
  return count;
}

/** Where answers go. */
interface Recording {
  journal: JournalWriter;
  latencies: LatencyLog;
  index: JournalIndex;
  naming: Naming;
  misses: Misses;
  timeLeft: TimeLeft;
  rowJobs: RowJobs;
  /** Null where the rows' jobs are sent unchanged. */
  origin: Resent | null;
}

/** What answers add up to. */
interface Figures extends Pick<Totals, 'timeline'> {
  account: Account;
}

/** What happens to a row's answer or failure: into the journal first, then into the figures. */
function journaling(
  { journal, latencies, index, naming, misses, timeLeft, rowJobs, origin }: Recording,
  { account, timeline }: Figures,
  console: CommandContext['console'],
  { onFirstAnswer, onChange, onUse, onPause }: Occasions,
): ProcessorEvents {
  const nameOf = (job: Job): string => `${naming.nameOf(job.requestIdx)}${describePart(job)}`;
  let isFirst = true;
  let failures = 0;
  let isShortened = false;
  let lastShown = 0;
  return {
    answered: (job, sent, json, completion) => {
      const { requestIdx, part } = job;
      const place = journal.appendAnswer(sent, json, { row: requestIdx, part, origin });
      const now = systemClock.now();
      if (job.sentAt !== undefined) latencies.note(requestIdx, part, now - job.sentAt, Date.now());
      timeLeft.answered(job.startedAt ?? now, now);
      const line = lineOf(job, completion.annotations.length);
      const counts = index.recordLine(line, completion.state, place, { origin });
      rowJobs.answered(job, completion);
      if (completion.state === 'refused' || completion.state === 'filtered') misses.refused += 1;
      const usage = usageOfAnswer(completion.usage, sent, json);
      const figures = { usage, tier: completion.tier };
      if (counts) account.addAnswer(figures);
      // A retried row keeps its earlier answer.
      else account.addUnused(figures);
      timeline.spent(usage.promptTokens + usage.completionTokens);
      onUse(usage, job);
      noteDiscarded(sent.length + json.length);
      console.record('debug', `${nameOf(job)}: ${completion.state}`);
      if (isFirst) onFirstAnswer();
      isFirst = false;
    },
    partial: (job, sent, json, { usage: reported, tier }) => {
      journal.appendAnswer(sent, json, { row: job.requestIdx, part: job.part, origin });
      const usage = usageOfAnswer(reported, sent, json);
      account.addUnused({ usage, tier });
      onUse(usage, job);
      noteDiscarded(sent.length + json.length);
    },
    failed: (job, sent, errors, filtered) => {
      const place = journal.appendFailure(
        sent,
        { errors, filtered },
        { row: job.requestIdx, part: job.part, origin },
      );
      const state = filtered ? 'filtered' : 'failed';
      index.recordLine(lineOf(job, 1), state, place, { isError: true, origin });
      if (filtered) misses.refused += 1;
      else misses.failed += 1;
      failures += 1;
      const now = performance.now();
      if (failures > FAILURES_SHOWN && now - lastShown < 1000) return;
      lastShown = now;
      const more = failures > FAILURES_SHOWN ? ` (${plural(failures, 'failure')} so far)` : '';
      console.warning(`${nameOf(job)} failed${more}: ${errors.at(-1) ?? ''}`);
    },
    exchanged: (latency, kind) => {
      timeline.exchanged(latency, kind);
    },
    wasted: (usage, job) => {
      account.addWasted(usage);
      onUse(usage, job);
    },
    paused: () => {
      onPause(true);
    },
    resumed: () => {
      onPause(false);
    },
    parameterChanged: (change, message) => {
      if (change.parameter === 'n') rowJobs.split();
      console.warning(describeChange(change, message));
      onChange();
    },
    shortened: (job, tokens, message) => {
      const text =
        `${nameOf(job)} is sent again with --max_tokens ${tokens}, because its prompt leaves no room for ` +
        `more: ${message}`;
      if (isShortened) {
        console.record('debug', text);
        return;
      }
      isShortened = true;
      console.warning(`${text} (Other rows like it are not reported.)`);
    },
    streamed: (message) => {
      console.warning(`From now on answers are streamed: ${message}`);
    },
    movedToResponses: (message) => {
      console.warning(`From now on requests go to the Responses API: ${message}`);
    },
  };
}

function lineOf({ requestIdx, part }: Job, choices: number): PartLine {
  return { row: requestIdx, part: part ?? null, choices };
}

/** `, turn 2`; nothing for the only request of a row. */
function describePart({ part }: Job): string {
  if (part === undefined) return '';
  return `, ${part.kind === 'turn' ? 'turn' : 'answer'} ${part.number + 1}`;
}

/** A change that the API forced on the run, for the user. */
function describeChange(
  { parameter, renamed_to: name, at_most: most }: ParameterChange,
  message: string,
): string {
  if (parameter === 'n') return `${ONE_BY_ONE}: ${message}`;
  const flag = flagOf(parameter);
  const what =
    most !== undefined
      ? `${flag} is lowered to ${most}`
      : name === null
        ? `${flag} is no longer sent`
        : `${flag} is sent as ${name}`;
  return `${what}, for the rest of this run: ${message}`;
}

/** A signal: no new requests; those in flight get half a minute, or until the second Ctrl-C. */
function heed(
  interruption: Interruption,
  processor: Processor,
  client: Abortable,
  { console }: CommandContext,
): () => void {
  let grace: NodeJS.Timeout | null = null;
  const abandon = (): void => {
    processor.abandon();
    void client.abort();
  };
  const finish = (): void => {
    processor.stop({ reason: 'interrupted' });
    if (processor.inFlight === 0) return;
    console.warning(
      `Stopping: waiting up to ${GRACE_MS / 1000} s for ${plural(processor.inFlight, 'request')} in flight` +
        (interruption.signal === 'SIGINT' ? '; press Ctrl-C again to stop at once.' : '.'),
    );
    grace = setTimeout(abandon, GRACE_MS);
  };
  interruption.soft.addEventListener('abort', finish);
  interruption.hard.addEventListener('abort', abandon);
  if (interruption.soft.aborted) finish();
  return () => {
    if (grace !== null) clearTimeout(grace);
    interruption.soft.removeEventListener('abort', finish);
    interruption.hard.removeEventListener('abort', abandon);
  };
}

function describeLimits(limiter: Limits): string {
  const shown = (limit: number | null, noun: string): string =>
    limit === null ? `no known limit on ${noun}s` : `${plural(limit, noun)} per minute`;
  const { requestsPerDay } = limiter;
  const daily = requestsPerDay === null ? '' : `, ${plural(requestsPerDay, 'request')} per day`;
  return `Limits: ${shown(limiter.requestsPerMinute, 'request')}, ${shown(limiter.tokensPerMinute, 'token')}${daily}`;
}

function describeBound(limit: BindingLimit, limiter: Limits): string | null {
  if (limit === 'requests') {
    const { requestsPerMinute } = limiter;
    return requestsPerMinute === null
      ? 'the rate that the API accepts'
      : `the limit of ${plural(requestsPerMinute, 'request')} per minute`;
  }
  if (limit === 'tokens') return `the limit of ${plural(limiter.tokensPerMinute ?? 0, 'token')} per minute`;
  if (limit === 'outage') return 'pauses after failed requests';
  return limit === 'gate' ? 'pauses after 429 responses' : null;
}
