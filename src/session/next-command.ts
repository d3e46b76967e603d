/** The command to run next, as messages print it: what was typed, with what has to change. */

import type { ModelCall } from '../models/call.js';
import { withoutSecrets } from '../http/address.js';
import { sanitize, shellWord, withoutTrailing } from '../lib/text.js';
import type { ErrorStop } from './stops.js';

/** Flags without a value among those that `commandLine` changes. */
const SWITCHES: ReadonlySet<string> = new Set(['resume', 'resume_no_retry', 'overwrite', 'batch']);

/** New values of flags; true for one without a value, null to leave it out. */
export type FlagChanges = Readonly<Record<string, string | true | null>>;

/**
 * The command line that was typed, with some flags changed.
 * @param words as they were typed, without the program
 */
export function commandLine(words: readonly string[], changes: FlagChanges): string {
  const kept: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    const [flag = '', value] = word.split('=', 2);
    const name = flag.startsWith('--') ? flag.slice(2).replaceAll('-', '_') : '';
    if (!Object.hasOwn(changes, name)) kept.push(word);
    else if (value === undefined && !SWITCHES.has(name)) index += 1;
  }
  const added = Object.entries(changes).flatMap(([name, value]) =>
    value === null ? [] : value === true ? [`--${name}`] : [`--${name}`, value],
  );
  return ['npx', 'reannotate', ...kept, ...added].map((word) => shellWord(withoutSecrets(word))).join(' ');
}

/** The command that resumes a run after a stop; one that does not retry failed rows stays so. */
export function resumeCommandLine(words: readonly string[]): string {
  const isNoRetry = words.some((word) => /^--resume[-_]no[-_]retry$/.test(word));
  const flag = isNoRetry ? 'resume_no_retry' : 'resume';
  return commandLine(words, { resume: null, resume_no_retry: null, overwrite: null, [flag]: true });
}

/** The command that sends rows in some states again. */
export function retryCommandLine(words: readonly string[], states: readonly string[]): string {
  const retry = states.length === 1 && states[0] === 'failed' ? null : states.join(',');
  return commandLine(words, { resume_no_retry: null, overwrite: null, resume: true, retry });
}

const START = { resume: null, resume_no_retry: null, overwrite: null, retry: null } as const;

/** How requests were sent, and the words that started it. */
export interface TypedCall {
  call: ModelCall;
  words: readonly string[];
  /** The address that requests went to. */
  baseUrl: string;
}

/** What a stop leaves to do, besides removing its cause. */
export interface Situation extends TypedCall {
  /** True where the run has a name of its own. */
  isNamed: boolean;
  /** True where the run has answers: a model and parameters that gave them were right. */
  hasAnswers: boolean;
  /** Models that the server has, nearest first. */
  nearest: readonly string[];
}

/** What to do after a stop, with a command that does not repeat the mistake. */
export function nextStep(stop: ErrorStop, situation: Situation): string {
  const { call, words, isNamed, hasAnswers, nearest } = situation;
  const resume = resumeCommandLine(words);
  if (stop.cause === 'model' && !hasAnswers) {
    const [model] = nearest;
    const name = model === undefined ? 'MODEL' : annotatorFor(model, call);
    // A run that has a name of its own is in the way of the next one; it holds no answer.
    const again = isNamed ? { overwrite: true as const } : {};
    return `Start again with the right name: ${commandLine(words, { ...START, annotator: name, ...again })}`;
  }
  const address = addressStep(stop.message, situation);
  if (address !== null) return address;
  const isParameter = stop.cause === 'refused' || /\(see --\w+\)$/.test(stop.message);
  if (isParameter && !hasAnswers) {
    return `Correct the flags and start over with: ${commandLine(words, { ...START, overwrite: true })}`;
  }
  return `Then resume with: ${resume}`;
}

/**
 * What to do where the address is most likely a wrong one.
 * @param message how the server refused, as `verdict.ts` words it
 * @returns null where nothing speaks against the address
 */
export function addressStep(message: string, { call, words, baseUrl }: TypedCall): string | null {
  const url = call.servers === null ? correctedUrl(baseUrl, message) : null;
  if (url === null) return null;
  const shown = sanitize(url, 200);
  const variable = call.annotator.provider.baseUrlVariable;
  if ((call.baseUrl ?? null) !== null || variable === null)
    return `The address is probably ${shown}. Resume with: ${commandLine(words, { ...START, base_url: url, resume: true })}`;
  return `The address is probably ${shown}: export ${variable}=${shellWord(url)} and resume with: ${resumeCommandLine(words)}`;
}

/** The name of an annotator for another model of the same provider. */
function annotatorFor(model: string, { annotator }: ModelCall): string {
  const prefix = annotator.name.endsWith(annotator.model)
    ? annotator.name.slice(0, annotator.name.length - annotator.model.length)
    : '';
  return `${prefix}${model}`;
}

/**
 * The address that was probably meant, from how a server answers a wrong one; null where it is not known.
 * @param message of the stop, as `verdict.ts` words it
 */
export function correctedUrl(baseUrl: string, message: string): string | null {
  if (!URL.canParse(baseUrl)) return null;
  const redirected = /redirects to (https?:\/\/\S+?)\/chat\/completions/.exec(message)?.[1];
  if (redirected !== undefined) return redirected === baseUrl ? null : redirected;
  if (/WRONG_VERSION_NUMBER|packet length too long/i.test(message) && baseUrl.startsWith('https:'))
    return baseUrl.replace(/^https:/, 'http:');
  if (!/^(?:404|405)\b|not complete JSON/.test(message)) return null;
  const endpoint = /\/(?:chat\/completions|completions|responses|models)\/?$/;
  if (endpoint.test(baseUrl)) return baseUrl.replace(endpoint, '');
  const { pathname, search } = new URL(baseUrl);
  if (search !== '' || /\/(?:api\/)?v\d/.test(pathname)) return null;
  return `${withoutTrailing(baseUrl, '/')}/v1`;
}

/**
 * The `--max_cost` with which a run that stopped at a lower one comes to its end.
 * @param spent US dollars so far
 * @param done rows that they went on
 * @param needed what the next request would have needed; null where that is not known
 */
export function costToSuggest(
  maximum: number,
  { spent, done, left, needed }: { spent: number; done: number; left: number; needed: number | null },
): number {
  const margin = Math.max(0, (needed ?? maximum) - spent);
  const expected = done === 0 ? margin * left : (spent / done) * left * 1.25;
  return roundedUp(Math.max(spent + expected + margin, maximum * 1.5));
}

/** An amount that is at least as large, with two digits that are not 0. */
export function roundedUp(amount: number): number {
  const digits = 10 ** (Math.floor(Math.log10(amount)) - 1);
  return Number((Math.ceil(amount / digits) * digits).toPrecision(2));
}
