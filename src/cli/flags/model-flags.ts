/** Which model is called, where, and with what parameters. */

import { kind, orNone, text } from '../../lib/kinds.js';
import { ANNOTATORS, DEFAULT_ANNOTATOR } from '../../models/annotators.js';
import {
  GENERATION,
  GENERATION_NAMES,
  type GenerationName,
  type GenerationParameters,
  type Parameter,
} from '../../models/generation.js';
import { readBaseUrls, readKeyNames } from '../../models/server-list.js';
import { flag, type Flag } from './flag.js';

export const MODEL_FLAGS = {
  annotator: flag({
    kind: text('<name>', { choices: Object.keys(ANNOTATORS) }),
    fallback: DEFAULT_ANNOTATOR,
    group: 'model',
    help: 'model, or PROVIDER/MODEL',
    details: 'See [models](models.md).',
    short: 'm',
    aliases: ['model', 'model_name', 'llm', 'engine', 'deployment', 'provider'],
    isIdentity: true,
    commands: {
      reannotate: true,
      'watch-batch': { help: 'as given to reannotate' },
      judge: { help: 'whose answers are judged' },
      report: { help: 'the run’s annotator' },
      demo: { help: 'whose API is simulated, such as anthropic/claude-haiku-4-5', usual: 'gpt-4o-mini' },
    },
  }),
  base_url: flag({
    kind: kind('<url>', readBaseUrls, { completes: 'file' }),
    fallback: null,
    group: 'model',
    help: 'any OpenAI-compatible server; several: URL,URL or @FILE',
    details: 'See [several servers](servers.md).',
    aliases: ['api_base', 'api_url', 'endpoint', 'url', 'host', 'openai_base_url', 'server'],
    commands: {
      reannotate: true,
      work: { help: 'a different server for this worker than in the plan' },
      'watch-batch': true,
      judge: { help: 'any OpenAI-compatible server, for the judge' },
    },
  }),
  api_key_env: flag({
    kind: kind('<name>', readKeyNames),
    fallback: null,
    group: 'model',
    help: 'environment variable that holds the key; A,B with several servers',
    aliases: ['api_key', 'key', 'token', 'openai_api_key', 'api_key_name'],
    commands: {
      reannotate: true,
      work: true,
      'watch-batch': true,
      judge: { help: 'environment variable that holds its key' },
    },
  }),
};

type GenerationFlags = {
  [Name in GenerationName]: Flag<GenerationParameters[Name], null> & { commands: { reannotate: true } };
};

/** One flag for each entry of `GENERATION`, which is where a parameter is added. */
export const GENERATION_FLAGS = Object.fromEntries(
  GENERATION_NAMES.map((name) => [name, generationFlag(GENERATION[name])]),
) as GenerationFlags;

function generationFlag({ kind: of, help, details, usual, takesNone, aliases }: Parameter<unknown>): Flag {
  return {
    kind: takesNone === true ? of : orNone(of),
    fallback: null,
    ...(usual === undefined ? {} : { usual }),
    group: 'generation',
    help,
    ...(details === undefined ? {} : { details }),
    ...(aliases === undefined ? {} : { aliases }),
    isIdentity: true,
    commands: { reannotate: true },
  };
}
