/** The annotator registry: which provider and model a name on the command line means. */

import { UsageError } from '../lib/errors.js';
import { isProviderName, PROVIDERS, type Provider, type ProviderName } from './providers.js';
import { didYouMean, nearest } from '../lib/suggest.js';
import { sanitize } from '../lib/text.js';

export const DEFAULT_ANNOTATOR = 'gpt-4o-mini-2024-07-18';

interface AnnotatorEntry {
  provider: ProviderName;
  /** The model's name at the provider. */
  model: string;
}

function openai(model: string): AnnotatorEntry {
  return { provider: 'openai', model };
}

/** The names of the Python tool. Other OpenAI models and `PROVIDER/MODEL` need no entry. */
export const ANNOTATORS: Readonly<Record<string, AnnotatorEntry>> = {
  'gpt-4o': openai('gpt-4o'),
  'gpt-4o-2024-05-13': openai('gpt-4o-2024-05-13'),
  'gpt-4o-2024-08-06': openai('gpt-4o-2024-08-06'),
  'chatgpt-4o-latest': openai('chatgpt-4o-latest'),
  'gpt-4o-mini': openai('gpt-4o-mini'),
  'gpt-4o-mini-2024-07-18': openai('gpt-4o-mini-2024-07-18'),
  'gpt-4-turbo': openai('gpt-4-turbo'),
  'gpt-4-turbo-2024-04-09': openai('gpt-4-turbo-2024-04-09'),
  'gpt-4-turbo-preview': openai('gpt-4-turbo-preview'),
  'gpt-4-0125-preview': openai('gpt-4-0125-preview'),
  'gpt-4-1106-preview': openai('gpt-4-1106-preview'),
  'gpt-4': openai('gpt-4'),
  'gpt-4-0613': openai('gpt-4-0613'),
  'gpt-4-0314': openai('gpt-4-0314'),
  'llama3-405b': { provider: 'sambanova', model: 'Meta-Llama-3.1-405B-Instruct' },
};

/** Names by which OpenAI's other chat models go (`gpt-4.1`, `o3-mini`, `gpt-5-nano`, `ft:gpt-4o:…`). */
const OPENAI_MODEL = /^(?:ft:)?(?:gpt-\d|gpt-oss|o\d(?:$|-)|chatgpt-|codex-)/;

/**
 * True for OpenAI's models that take `service_tier: flex`: slower, at the price of a batch
 * (https://platform.openai.com/docs/guides/flex-processing).
 */
export function hasFlexTier(model: string): boolean {
  return /^(?:o3(?:$|-\d)|o4-mini|gpt-5(?!.*-(?:chat|codex|pro)))/.test(model);
}

export interface Annotator {
  /** The name that folders carry: the one on the command line, without an `openai/` before it. */
  name: string;
  provider: Provider;
  providerName: ProviderName;
  model: string;
  /** True where a `seed` is known to be taken; a server of one's own is not asked to. */
  takesSeed: boolean;
}

/**
 * Finds an annotator by its name: an entry of the registry, `PROVIDER/MODEL`, or an OpenAI model.
 * @param ownServer true where `--base_url` names a server: then any model name is accepted
 * @param flag that the name was given with
 * @throws UsageError that names the nearest known annotators
 */
export function resolveAnnotator(name: string, ownServer: boolean, flag = 'annotator'): Annotator {
  if (name === '' || name.length > 300 || /[\u0000-\u001f\u007f]/.test(name)) {
    throw new UsageError(`--${flag} ${JSON.stringify(sanitize(name, 60))} is not a model name.`);
  }
  const slash = name.indexOf('/');
  const prefix = slash === -1 ? '' : name.slice(0, slash);
  const rest = name.slice(slash + 1);
  if (prefix === 'openai' && rest !== '') return annotator(rest, ANNOTATORS[rest] ?? openai(rest));
  const entry = Object.hasOwn(ANNOTATORS, name) ? ANNOTATORS[name] : undefined;
  if (entry !== undefined) return annotator(name, entry);
  if (isProviderName(prefix) && rest !== '') return annotator(name, { provider: prefix, model: rest });
  if (OPENAI_MODEL.test(name)) return annotator(name, openai(name));
  if (ownServer) return { ...annotator(name, openai(name)), takesSeed: false };
  throw unknownAnnotator(name, prefix, flag);
}

function annotator(name: string, entry: AnnotatorEntry): Annotator {
  const { provider: providerName, model } = entry;
  const provider: Provider = PROVIDERS[providerName];
  return { name, provider, providerName, model, takesSeed: provider.takesSeed };
}

function unknownAnnotator(name: string, prefix: string, flag: string): UsageError {
  const shown = sanitize(name, 80);
  const providers = Object.keys(PROVIDERS).join(', ');
  if (prefix !== '') {
    return new UsageError(
      `Unknown provider "${sanitize(prefix, 40)}" in --${flag} ${shown}.${didYouMean(prefix, Object.keys(PROVIDERS))} ` +
        `Known are ${providers}; any other OpenAI-compatible server is reached with --base_url.`,
    );
  }
  const names = nearest(name, Object.keys(ANNOTATORS)).join(', ');
  return new UsageError(
    `Unknown ${flag} "${shown}". The nearest known names are ${names}. Name models of other providers ` +
      `PROVIDER/MODEL (${providers}), and use --base_url for your own server.`,
  );
}
