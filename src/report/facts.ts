/** What the run's own files say about it, for people. They may have been edited: anything odd is left out. */

import { basename } from 'node:path';
import { isLocalName } from '../datasets/local-files.js';
import { isObject } from '../lib/json.js';
import type { ConfigFile } from '../run/config.js';
import { count, duration, spent } from '../lib/text.js';
import type { ReportData } from './data.js';

/** Characters of a parameter's value. */
const LONGEST_VALUE = 300;
/** Parameters that say how the run was done, where, or for whom, and not what was sent. */
const LEFT_OUT = new Set([
  ...[
    'save_dir',
    'temp_dir',
    'run_name',
    'resume',
    'resume_no_retry',
    'overwrite',
    'retry',
    'dry_run',
    'json',
  ],
  ...[
    'probe',
    'logging_level',
    'quiet',
    'api_key_env',
    'fallback_api_key_env',
    'env_file',
    'config',
    'notify',
    'yes',
    'private',
  ],
  ...['allow_secrets', 'push_to_hub', 'output_format', 'include_metadata', 'reasoning', 'review'],
  ...['max_batch_size', 'max_batch_bytes', 'max_attempts', 'request_timeout', 'max_concurrency'],
  ...['max_requests_per_minute', 'max_tokens_per_minute', 'off_peak', 'reuse', 'batch_file_only'],
]);
/** Reasons for leaving rows out that are named. */
const MOST_REASONS = 8;
/** What `--public` hides: where the run was done. */
const PRIVATE = new Set([
  'decontaminate',
  'base_url',
  'fallback_base_url',
  'dataset files',
  'run',
  'created',
]);

/** The figures at the top. */
export function figuresOf(summary: Record<string, unknown>): [string, string][] {
  const { requests, tokens, cost_usd: cost, started_at: started, finished_at: finished, mode } = summary;
  const figures: [string, string][] = [];
  const isEstimate = summary['cost_estimated'] === true;
  if (typeof cost === 'number') figures.push(['Cost', spent(cost, isEstimate)]);
  else if (cost === null) figures.push(['Cost', 'not known']);
  if (isObject(tokens)) {
    const { prompt, completion, reasoning } = tokens;
    const areEstimated = typeof summary['tokens_estimated'] === 'number';
    if (typeof prompt === 'number' && typeof completion === 'number')
      figures.push(['Tokens', `${areEstimated ? '≈' : ''}${count(prompt)} in, ${count(completion)} out`]);
    if (typeof reasoning === 'number') figures.push(['Reasoning tokens', count(reasoning)]);
  }
  if (isObject(requests) && typeof requests['sent'] === 'number')
    figures.push(['Requests', count(requests['sent'])], ...againOf(requests));
  figures.push(...agreementOf(summary), ...droppedIn(summary));
  const time = Date.parse(String(finished)) - Date.parse(String(started));
  if (Number.isFinite(time) && time >= 0) figures.push(['Time', duration(time)]);
  if (mode === 'online' || mode === 'batch') figures.push(['Mode', mode]);
  if (typeof finished === 'string')
    figures.push(['Finished', `${finished.slice(0, 16).replace('T', ' ')} UTC`]);
  return figures;
}

/** How many rows have the final answer of the original, of those where both have one (`--check answer`). */
function agreementOf({ agreement }: Record<string, unknown>): [string, string][] {
  if (!isObject(agreement)) return [];
  const { agree, disagree } = agreement;
  if (typeof agree !== 'number' || typeof disagree !== 'number' || agree + disagree === 0) return [];
  const share = Math.round((agree / (agree + disagree)) * 100);
  return [['Same final answer', `${share} % of ${count(agree + disagree)}`]];
}

/** Rows that the output formats leave out; the report shows them. */
function droppedIn({ dropped }: Record<string, unknown>): [string, string][] {
  if (!isObject(dropped) || typeof dropped['rows'] !== 'number' || !isObject(dropped['reasons'])) return [];
  const reasons = Object.entries(dropped['reasons'])
    .filter((entry): entry is [string, number] => typeof entry[1] === 'number' && entry[1] > 0)
    .slice(0, MOST_REASONS)
    .map(([reason, rows]) => `${reason.slice(0, 80)} ${count(rows)}`);
  return [
    [
      'Left out of exports',
      `${count(dropped['rows'])}${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}`,
    ],
  ];
}

function againOf(requests: Record<string, unknown>): [string, string][] {
  const [throttled, retried] = ['throttled', 'retried'].map((name) => requests[name]);
  if (typeof throttled !== 'number' || typeof retried !== 'number' || throttled + retried === 0) return [];
  return [['Throttled, retried', `${count(throttled)}, ${count(retried)}`]];
}

/**
 * The parameters that shaped the answers.
 * @param isPublic true to leave out where the run was done
 */
export function parametersOf(config: Partial<ConfigFile>, isPublic: boolean): [string, string][] {
  const { params, dataset, parameter_changes: changes, uuid, creation_date: created } = config;
  const entries: [string, unknown][] = [
    ...Object.entries(isObject(params) ? params : {}).filter(([name]) => !LEFT_OUT.has(name)),
    ...Object.entries(isObject(dataset) ? dataset : {}).map(([name, value]): [string, unknown] => [
      name === 'paths' ? 'dataset files' : `dataset ${name}`,
      value,
    ]),
    ['changed by the API', changes],
    ['created', created],
    ['run', uuid],
  ];
  return entries
    .filter(([name, value]) => isSaid(value) && !(isPublic && PRIVATE.has(name)))
    .map(([name, value]) => [name, parameterText(name, value)]);
}

/** False for what was not given, or is off. */
function isSaid(value: unknown): boolean {
  const isEmptyObject = isObject(value) && Object.keys(value).length === 0;
  return ![null, undefined, false, ''].includes(value as null) && !isEmptyList(value) && !isEmptyObject;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function parameterText(name: string, value: unknown): string {
  if (name === 'dataset') return shown(titleOf(String(value)));
  if (name === 'dataset files' && Array.isArray(value))
    return shown(value.map(String).map(titleOf).join(', '));
  if (name.endsWith('base_url')) return shown(hostsIn(String(value)));
  return shown(value);
}

/** Of addresses the hosts alone: paths and queries are nobody else's business. */
function hostsIn(addresses: string): string {
  return addresses
    .split(/[\s,]+/)
    .map((address) => (URL.canParse(address) ? new URL(address).host : 'an address that cannot be read'))
    .join(', ');
}

/** A dataset as others see it: of a local one the name alone, since its path is private. */
export function titleOf(dataset: string): string {
  return isLocalName(dataset) ? basename(dataset.replaceAll('\\', '/')) : dataset;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE).toWellFormed()}…` : text;
}

/** What `reannotate judge` found; null where nothing was judged. */
export function judgeOf(summary: Record<string, unknown>): ReportData['judge'] {
  const { judge } = summary;
  if (!isObject(judge) || typeof judge['annotator'] !== 'string') return null;
  const [rows, wins, ties, losses, undecided] = ['rows', 'wins', 'ties', 'losses', 'undecided'].map(
    (name) => {
      const value = judge[name];
      return typeof value === 'number' ? value : 0;
    },
  ) as [number, number, number, number, number];
  const { win_rate: rate, confidence_interval_95: interval } = judge;
  const [low, high] = Array.isArray(interval) ? (interval as unknown[]) : [];
  return {
    annotator: judge['annotator'],
    ...{ rows, wins, ties, losses, undecided },
    winRate: typeof rate === 'number' ? rate : null,
    interval: typeof low === 'number' && typeof high === 'number' ? [low, high] : null,
  };
}
