/** A run that is sent online: until every row has an answer that can be read, `--max_cost` is reached, or it is stopped. */

import { existsSync } from 'node:fs';
import type { Ledger } from '../batches/ledger.js';
import { count, plural } from '../lib/text.js';
import { findEndpoint } from '../models/endpoint.js';
import type { ModelCall } from '../models/call.js';
import type { Price } from '../models/prices.js';
import { distinctChanges, mostTokensOf, type ParameterChange } from '../requests/parameters.js';
import type { Stop } from '../requests/processor.js';
import { writeConfig } from '../run/config.js';
import type { PreparedRun } from '../run/prepare.js';
import type { RunPolicy } from '../run/settings.js';
import { reservedForBatches } from './batch-cost.js';
import { checkAgain } from './check-again.js';
import type { JudgeChoice } from './choose-by-judge.js';
import { assembleResults, finish } from './finish.js';
import type { FinishedRun } from './finished-run.js';
import { sendFurtherRounds } from './further-rounds.js';
import { commandLine, nextStep, type FlagChanges } from './next-command.js';
import type { OnlinePermit } from './online-permit.js';
import { sendOnline, type OnlineResult, type OnlineWork } from './online.js';
import type { SharedAnswers } from './share-answers.js';
import { stopError } from './stops.js';
import type { CommandContext } from './command-context.js';
import type { WatchCommand } from './watch-command.js';

/** A run in its folder, ready to be sent. */
export interface OpenRun extends Omit<FinishedRun, 'run' | 'mode' | 'session' | 'stop'> {
  policy: RunPolicy;
  dataset: string;
  run: PreparedRun;
  watchCommand: WatchCommand;
  ledger: Ledger;
  /** Null where it is not known, or not looked up yet. */
  price: Price | null;
  shared: SharedAnswers;
  /** True for a run that was started before. */
  isResumed: boolean;
  /** True where an earlier session was to use batches. */
  hadBatches: boolean;
}

/**
 * Sends what has no answer, and writes the results.
 * @returns the exit code
 * @throws UserError where the run can't continue, or its rows may be in batches
 */
export async function runOnline(open: OpenRun, context: CommandContext): Promise<number> {
  const { outstanding, permit } = await keepFromBatches(open, context);
  try {
    return await sendAll(open, outstanding, permit, context);
  } finally {
    await permit?.release();
  }
}

async function sendAll(
  open: OpenRun,
  outstanding: string | null,
  permit: OnlinePermit | null,
  context: CommandContext,
): Promise<number> {
  const { call, folder, totals, config, shared } = open;
  const { console } = context;
  const tryAgain = outstanding === null ? open.tryAgain : `${open.tryAgain} ${outstanding}`;
  const session = { answered: 0, milliseconds: 0, bound: null as string | null };
  for (let round = 0; ; round++) {
    const asked = await sendRows(open, permit, context);
    session.answered += asked.answered;
    session.milliseconds += asked.milliseconds;
    session.bound ??= asked.bound;
    const { stop, needed } = asked;
    if (stop !== null && stop.reason !== 'budget') {
      if (existsSync(folder.save)) await writeConfig(folder.config, config);
      return endEarly(stop, asked.call, open, context);
    }
    await shared.settle();
    const choice = stop === null ? await chooseAnswers(open, context) : null;
    const judgeStop = choice?.stop ?? null;
    if (choice !== null && judgeStop !== null && judgeStop.reason !== 'budget')
      return endEarly(judgeStop, choice.call, open, context);
    const assembled = await assembleResults(open, console, choice?.picks);
    // Rows whose answers can't be read are sent again at once. If that happens to the new ones as well, the disk is not
    // to be paid for.
    if (assembled.damaged.length > 0 && stop === null && round === 0) continue;
    await totals.findPrice(call);
    const ended = { stop: stop ?? judgeStop, needed, selection: choice?.figures };
    return finish({ ...open, tryAgain, mode: 'online', session, ...ended }, assembled, console);
  }
}

/** Has a judge choose among the answers of each row; null where that is not what the run is to do. */
async function chooseAnswers(open: OpenRun, context: CommandContext): Promise<JudgeChoice | null> {
  if (open.output.select !== 'judge') return null;
  const { chooseByJudge } = await import('./choose-by-judge.js');
  return chooseByJudge({ ...open, cost: open.totals.cost }, context);
}

/** What is known before rows are sent. */
interface Clearance {
  /** What is to be done about rows that are held back; null where none is. */
  outstanding: string | null;
  permit: OnlinePermit | null;
}

/** Makes sure that no row is sent that a batch may answer, or another machine sends. */
async function keepFromBatches(open: OpenRun, context: CommandContext): Promise<Clearance> {
  const { ledger, isResumed, hadBatches } = open;
  const hasBatches = ledger.chunks.length > 0;
  if (!hasBatches && !isResumed) return { outstanding: null, permit: null };
  const { leaveBatches, refuseCopiesBatches } = await import('./leave-batches.js');
  if (hasBatches) return leaveBatches(open, context);
  await refuseCopiesBatches(open, hadBatches, context);
  return { outstanding: null, permit: null };
}

/** Sends every row once that has no answer, and what the answers call for after that. */
async function sendRows(
  open: OpenRun,
  permit: OnlinePermit | null,
  context: CommandContext,
): Promise<OnlineResult> {
  const { call, policy, folder, run, ledger, totals, price, config, shared } = open;
  await shared.settle();
  const known = config.parameter_changes ?? [];
  const work: OnlineWork = {
    ...{ call, policy, folder, run, totals, price, permit, serviceTier: null },
    mostTokens: mostTokensOf(known),
    reserved: reservedForBatches(ledger, call.generation, price),
    onChanges: (learnt: readonly ParameterChange[]) => {
      config.parameter_changes = distinctChanges([...known, ...learnt]);
    },
  };
  const asked = await sendFurtherRounds(work, await sendOnline(work, context), shared, context);
  return checkAgain(work, folder.rows, asked, context);
}

const WITHOUT_FALLBACK: FlagChanges = {
  resume_no_retry: null,
  overwrite: null,
  resume: true,
  fallback_base_url: null,
  fallback_api_key_env: null,
  fallback_annotator: 'none',
};

/**
 * A run that did not come to its end: everything is saved, nothing is assembled.
 * @param stopped how the model was called that stopped it, which may be another than the run's own
 */
async function endEarly(
  stop: Exclude<Stop, { reason: 'budget' }>,
  stopped: ModelCall,
  { call, output, run }: OpenRun,
  { console, interruption, resumeCommand, words }: CommandContext,
): Promise<number> {
  const left = run.index.count('pending');
  const saved = `${plural(run.rows - left, 'row')} of ${count(run.rows)} saved`;
  if (stop.reason === 'interrupted') {
    console.warning(`Stopped; ${saved}. Resume with: ${resumeCommand}`);
    return interruption.exitCode;
  }
  if (stopped.annotator.name !== call.annotator.name) {
    const without =
      words === undefined
        ? ''
        : ` — or leave the refused rows as they are with: ${commandLine(words, WITHOUT_FALLBACK)}`;
    throw await stopError(
      stop,
      stopped,
      `(${saved}; this was the fallback annotator.) Then resume with: ${resumeCommand}${without}`,
    );
  }
  const hasAnswers = run.index.count('ok') + run.index.count('truncated') > 0;
  const { baseUrl } = findEndpoint(call);
  throw await stopError(stop, call, (nearest) => {
    const situation = { call, isNamed: output.runName !== null, hasAnswers, nearest, baseUrl };
    return `(${saved}.) ${words === undefined ? `Then resume with: ${resumeCommand}` : nextStep(stop, { ...situation, words })}`;
  });
}
