/** What asking needs, put together from a run's options: client, rate limiter, processor. */

import { holdsLock } from '../lib/fence.js';
import { systemClock } from '../lib/clock.js';
import { answerRules } from '../models/answer-rules.js';
import type { ModelCall } from '../models/call.js';
import { findEndpoint, warnOfPlainKey } from '../models/endpoint.js';
import { measureBusy } from '../requests/concurrency.js';
import { standingsSince, type ServerStanding } from '../requests/fleet.js';
import type { RedisLimits } from '../requests/limits/redis-limits.js';
import { ParameterFit } from '../requests/parameters.js';
import type { Limits } from '../requests/pooled-limits.js';
import {
  Processor,
  type Budget,
  type Schedule,
  type ProcessorEvents,
  type ProcessorOptions,
} from '../requests/processor.js';
import { OneServer, type Servers } from '../requests/servers.js';
import type { Reporter } from '../types.js';
import { openServer, type Common } from './open-server.js';
import type { SessionPool } from './session-pool.js';

/** What is in progress, and can be cut off. */
export interface Abortable {
  abort(): Promise<void>;
}

/** What a processor is made with besides the call. */
interface OnlineSessionParts {
  budget: Budget | null;
  /** Null where requests are sent at any time. */
  schedule?: Schedule | null;
  events: ProcessorEvents;
  reporter: Reporter;
  /** True where earlier sessions of the run have answers. */
  hasAnswers: boolean;
  /** Answers of earlier sessions that all end with one unknown reason; null for none. */
  partialBefore: ProcessorOptions['partialBefore'];
  /** False where another machine may send the rows by now; true where absent. */
  mayProceed?: () => boolean;
  /** Keeps connections and what is learnt for the sessions after this one; absent where there are none. */
  pool?: SessionPool | undefined;
}

export interface OnlineSession {
  /** Cuts off what is in flight. */
  client: Abortable;
  /** To be called by the code that opened it, once nothing is in flight: closes what no pool keeps. */
  release: () => Promise<void>;
  limiter: Limits;
  /** Changes to parameters that this session learns. */
  parameters: ParameterFit;
  processor: Processor;
  /** What each of several servers does; null where there is one. */
  standings: (() => readonly ServerStanding[]) | null;
  /** Where the account's limits are shared with other processes; null where they are not. */
  shared: Pick<RedisLimits, 'isInForce' | 'workers'> | null;
}

/**
 * Opens what sends a run's requests.
 * @throws UserError where a key is missing, or several servers serve different models
 */
export async function openOnlineSession(call: ModelCall, parts: OnlineSessionParts): Promise<OnlineSession> {
  const { budget, schedule = null, events, reporter } = parts;
  const { hasAnswers, partialBefore, mayProceed = () => true, pool } = parts;
  const open = (): Promise<WarmServers> => openWarm(call, reporter);
  const warm = await (pool === undefined ? open() : pool.take(call, open));
  const { client, servers, limits, shared, parameters } = warm;
  // Servers may have had requests of earlier sessions, which are counted already.
  const standings = warm.standings === null ? null : standingsSince(warm.standings);
  const processor = new Processor({
    servers,
    // A process that was frozen for a while may find the run in the hands of another: that one pays now.
    mayProceed: () => holdsLock() && mayProceed(),
    parameters,
    hasAnswers,
    isProven: warm.isProven,
    redactor: call.environment.redactor,
    rules: await answerRules(call),
    partialBefore,
    maxAttempts: call.limits.attempts,
    budget,
    schedule,
    clock: systemClock,
    events,
    reporter,
  });
  const release = async (): Promise<void> => {
    warm.isProven ||= processor.counts.answered > 0;
    if (pool?.keeps(warm) !== true) await client.abort();
  };
  return { client, release, limiter: limits, parameters, processor, standings, shared };
}

/** Servers, and what was learnt of them: their limits, how much they take at a time, which parameters they refuse. */
export interface WarmServers extends OpenServers {
  parameters: ParameterFit;
  /** True once they answered: address, key and model are right. */
  isProven: boolean;
}

async function openWarm(call: ModelCall, reporter: Reporter): Promise<WarmServers> {
  return {
    ...(await openServers(call, reporter)),
    parameters: new ParameterFit(call.given),
    isProven: false,
  };
}

interface OpenServers extends Pick<OnlineSession, 'client' | 'standings' | 'shared'> {
  servers: Servers;
  limits: Limits;
}

async function openServers(call: ModelCall, reporter: Reporter): Promise<OpenServers> {
  const shared = await openShared(call, reporter);
  try {
    const open = await openWith(call, { isBusy: measureBusy(), shared }, reporter);
    const abort = async (): Promise<void> => {
      shared?.close();
      await open.client.abort();
    };
    return { ...open, client: { abort }, shared };
  } catch (error) {
    shared?.close();
    throw error;
  }
}

async function openShared({ limits }: ModelCall, reporter: Reporter): Promise<RedisLimits | null> {
  if (limits.limiter === null) return null;
  const { RedisLimits } = await import('../requests/limits/redis-limits.js');
  return RedisLimits.open(limits.limiter, reporter);
}

async function openWith(
  call: ModelCall,
  common: Common,
  reporter: Reporter,
): Promise<Omit<OpenServers, 'shared'>> {
  if (call.servers !== null) {
    const { openFleet } = await import('./open-fleet.js');
    const { fleet, watch } = await openFleet(call, call.servers, common, reporter);
    return { client: watch, servers: fleet, limits: fleet.limits, standings: () => fleet.standings };
  }
  const endpoint = findEndpoint(call);
  warnOfPlainKey(endpoint, reporter);
  const { client, server } = await openServer(call, endpoint, common);
  return { client, servers: new OneServer(server), limits: server.limiter, standings: null };
}
