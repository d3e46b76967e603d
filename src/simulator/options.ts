/** The settings of a simulator; every default lives here. */

import type { BatchFault, BatchFaultShares } from './batch-faults.js';
import type { FaultShares, HubFaultShares } from './faults.js';
import type { ReasoningKind } from './reasoning.js';

/** Rate limits, which can be changed while the simulator runs. */
export interface SimulatorLimits {
  /** Requests a minute; null for no limit. */
  requestsPerMinute: number | null;
  /** Tokens a minute; null for no limit. */
  tokensPerMinute: number | null;
  /**
   * What counts against that: `reserved`, what a request may use at most (characters / 4 + maximum tokens × n), up
   * front, as at OpenAI; `used`, what its answer used, afterwards, as at LiteLLM.
   */
  tokenCharge: 'reserved' | 'used';
  /**
   * Milliseconds over which a minute's limit is enforced: with 1,000 a limit of 600 a minute lets 10 requests
   * through at once and then one every 100 ms; with 60,000 it lets 600 through at once.
   */
  limitWindowMs: number;
}

/** Gives that many choices, refuses the request, or gives one choice as though nothing had been said. */
export const SEVERAL_ANSWERS = ['give', 'refuse', 'ignore'] as const;

/** Settings of a simulator, all of them filled in. */
export interface SimulatorSettings extends SimulatorLimits {
  /** The port on 127.0.0.1; 0 for any free one. */
  port: number;
  /** The key that `/v1` routes ask for; null where any key (or none) will do. */
  apiKey: string | null;
  /** The models that exist; null where every name does. */
  models: readonly string[] | null;
  /** Path of a JSONL file of `{"instruction", "input"?, "output"}` to replay; null for made-up answers. */
  answersFile: string | null;
  /** Where answers carry what the model thought; null for a model that does not think. */
  reasoning: ReasoningKind | null;
  /** What is done about `n` above 1. */
  severalAnswers: (typeof SEVERAL_ANSWERS)[number];
  /** Chat requests at a time, beyond which they get a 429 that says no more, as from nginx with `limit_conn`; null for any. */
  requestsAtATime: number | null;
  /** Whether answers carry `x-ratelimit-*` headers, and 429s `retry-after(-ms)`. */
  limitHeaders: boolean;
  /** Milliseconds before an answer. */
  latencyMs: number;
  /** Milliseconds that latency varies by in both directions, drawn from the seed for each request. */
  latencyJitterMs: number;
  /** Shares (0 to 1) of chat requests that go wrong, by kind of fault. */
  faults: FaultShares;
  /** By the model's name as it is requested, the share (0 to 1) of prompts that it refuses, in batches as well. */
  refusals: Readonly<Record<string, number>>;
  /** Chat requests that are let through before every further one gets `insufficient_quota`; null for all. */
  quotaAfter: number | null;
  /** Milliseconds that the body of a `drip` fault takes to arrive. */
  dripMs: number;
  /** The same seed gives the same faults and latencies for the same requests. */
  seed: number;
  /** Dataset ids and the local file (.json, .jsonl, .csv or .parquet) behind each. */
  datasets: Readonly<Record<string, string>>;
  /** Dataset ids and the Parquet file that `/parquet` lists for each. */
  parquet: Readonly<Record<string, string>>;
  /** Dataset ids that can only be read with `hubToken`. */
  gated: readonly string[];
  /** What the cards of `datasets` say, such as `{"license": "mit"}`. */
  datasetCards: Readonly<Record<string, unknown>>;
  /** The Hub token that opens gated datasets, where any other is refused; null where any is taken, and none opens them. */
  hubToken: string | null;
  /** The account of Hub tokens. */
  hubUser: string;
  /** Organisations that it belongs to. */
  hubOrganisations: readonly string[];
  /** What its tokens may do. */
  hubRole: 'read' | 'write';
  /** Large files of more bytes than this are uploaded in parts of this size. */
  hubPartBytes: number;
  /** The address below which large files are uploaded; null for the simulator's own. */
  hubStorageUrl: string | null;
  /** Shares (0 to 1) of datasets-server requests that go wrong, by kind of fault. */
  hubFaults: HubFaultShares;
  /** Milliseconds that a batch is validated. */
  batchValidationMs: number;
  /** Milliseconds that a batch is in progress, spread evenly over its requests. */
  batchDurationMs: number;
  /** Input tokens that an account's batches in progress may have together; null for no limit. */
  enqueuedTokenLimit: number | null;
  /** Shares (0 to 1) of batches that go wrong, by kind of fault; drawn for those beyond `batchPlans`. */
  batchFaults: BatchFaultShares;
  /** The faults of the first, the second, … batch that is created. */
  batchPlans: readonly (readonly BatchFault[])[];
}

/** Settings of a simulator; what is left out has its default. */
export type SimulatorOptions = { [Name in keyof SimulatorSettings]?: SimulatorSettings[Name] | undefined };

/** A fast and faultless server without limits. */
export const SIMULATOR_DEFAULTS: SimulatorSettings = {
  port: 0,
  apiKey: null,
  models: null,
  answersFile: null,
  reasoning: null,
  severalAnswers: 'give',
  requestsPerMinute: null,
  tokensPerMinute: null,
  tokenCharge: 'reserved',
  limitWindowMs: 1_000,
  requestsAtATime: null,
  limitHeaders: true,
  latencyMs: 0,
  latencyJitterMs: 0,
  faults: {},
  refusals: {},
  quotaAfter: null,
  dripMs: 1_000,
  seed: 42,
  datasets: {},
  parquet: {},
  gated: [],
  datasetCards: {},
  hubToken: null,
  hubUser: 'me',
  hubOrganisations: [],
  hubRole: 'write',
  hubPartBytes: 64 << 20,
  hubStorageUrl: null,
  hubFaults: {},
  batchValidationMs: 5,
  batchDurationMs: 20,
  enqueuedTokenLimit: null,
  batchFaults: {},
  batchPlans: [],
};

/** Fills in the defaults of everything that is left out or undefined. */
export function simulatorSettings(options: SimulatorOptions): SimulatorSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...SIMULATOR_DEFAULTS, ...(Object.fromEntries(given) as Partial<SimulatorSettings>) };
}
