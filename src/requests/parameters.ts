/**
 * Generation parameters that fit themselves to the model: known rules for reasoning models, and what the refusals of a
 * run teach, applied to every request after them. What a refusal says about parameters is read from its structure
 * first, then from names in quotes, then from names in plain text.
 */

import { isNeutral } from '../models/generation.js';
import type { Provider } from '../models/providers.js';
import type { Refusal } from './refusal-body.js';
import { withoutTrailing } from '../lib/text.js';

/** Parameters that may be left out or renamed, with the names that servers call them by; never the prompt or model. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  temperature: [],
  top_p: [],
  seed: ['random_seed'],
  // Gemini's `maxOutputTokens`, TGI's `max_new_tokens`, Ollama's `num_predict`.
  max_tokens: ['max_output_tokens', 'max_new_tokens', 'num_predict', 'max_tokens_to_sample'],
  max_completion_tokens: [],
  n: ['candidate_count', 'num_completions'],
  frequency_penalty: [],
  presence_penalty: [],
  stop: ['stop_sequences'],
  logit_bias: [],
  logprobs: ['log_probs', 'response_logprobs'],
  top_logprobs: [],
  stream_options: [],
  service_tier: [],
  // `text.format` and `reasoning.effort` of the Responses API.
  response_format: ['format'],
  reasoning_effort: ['effort'],
  // The other spellings of --reasoning_effort.
  reasoning: [],
  reasoning_format: [],
  thinking: [],
  chat_template_kwargs: [],
};
const BY_NAME = new Map(
  Object.entries(NAMES).flatMap(([parameter, others]) =>
    [parameter, ...others].map((name) => [name, parameter]),
  ),
) as ReadonlyMap<string, string>;

/** What people call them in a sentence. */
const IN_WORDS: readonly { pattern: RegExp; parameters: readonly string[] }[] = [
  { pattern: /\bpresence penalty\b/i, parameters: ['presence_penalty'] },
  { pattern: /\bfrequency penalty\b/i, parameters: ['frequency_penalty'] },
  // Gemini: "Penalty is not enabled for models/…" means both.
  {
    pattern: /(?<!presence |frequency |repetition |length )\bpenalt(?:y|ies)\b/i,
    parameters: ['presence_penalty', 'frequency_penalty'],
  },
  { pattern: /\btop[- ]p\b/i, parameters: ['top_p'] },
  { pattern: /\btemperature\b/i, parameters: ['temperature'] },
  { pattern: /\b(?:random )?seed\b/i, parameters: ['seed'] },
  {
    pattern: /\blog(?:[- ]?probs?|arithmic probabilit|[- ]probabilit)/i,
    parameters: ['logprobs', 'top_logprobs'],
  },
  { pattern: /\blogit[- ]bias\b/i, parameters: ['logit_bias'] },
  { pattern: /\bstop (?:sequences?|words?|strings?|tokens?)\b/i, parameters: ['stop'] },
  {
    pattern:
      /\b(?:multiple|several) (?:choices|completions|candidates|responses|generations)\b|\bn ?(?:=|must be|should be) ?1\b|\bn ?> ?1\b|\bn: (?:input|must|should|value|number)|\bn (?:is not|must|should|cannot|can only|has to|needs to)\b|\b(?:only )?(?:one|1|a single) (?:choice|completion|candidate)s?\b|\binvalid (?:value (?:for|of) )?n\b/i,
    parameters: ['n'],
  },
  {
    pattern: /\bmax(?:imum)? (?:output |completion |new )?tokens\b/i,
    parameters: ['max_tokens', 'max_completion_tokens'],
  },
];

/** A parameter that is not sent as the flags say. */
export interface ParameterChange {
  parameter: string;
  /** The name it is sent under instead; null where it is left out, or sent with another value. */
  renamed_to: string | null;
  /** The most that the model takes of it. */
  at_most?: number;
  reason: string;
}

/** Changes by the names of their parameters; the first of a name counts. */
export function distinctChanges(changes: readonly ParameterChange[]): ParameterChange[] {
  const firsts = new Map<string, ParameterChange>();
  for (const change of changes) if (!firsts.has(change.parameter)) firsts.set(change.parameter, change);
  return [...firsts.values()];
}

/** The most tokens that a model writes, where a change of an earlier session says so; null where none does. */
export function mostTokensOf(changes: readonly ParameterChange[]): number | null {
  const found = changes.find(({ parameter, at_most: most }) => isMaximum(parameter) && most !== undefined);
  return found?.at_most ?? null;
}

/** o1, o3-mini, gpt-5-nano …; the `-chat` variants of gpt-5 take the ordinary parameters. */
export function isReasoningModel(model: string): boolean {
  return /^(?:ft:)?(?:o\d(?:$|-)|gpt-5(?!.*-chat))/.test(model);
}

/**
 * What is known of a model before anything is sent. Reasoning models take no sampling parameters, and
 * `max_completion_tokens` in place of `max_tokens` (OpenAI's reasoning guide; the same rules as vercel/ai's
 * `openai-chat-language-model`).
 */
export function knownChanges(
  model: string,
  { renames, lacks, title }: Pick<Provider, 'renames' | 'lacks' | 'title'>,
): ParameterChange[] {
  const changes: ParameterChange[] = Object.entries(renames).map(([parameter, name]) => ({
    parameter,
    renamed_to: name,
    reason: 'the provider’s name for it',
  }));
  const missing = `${title} does not take it`;
  for (const parameter of lacks) changes.push({ parameter, renamed_to: null, reason: missing });
  if (!isReasoningModel(model)) return changes;
  const reason = `${model} is a reasoning model`;
  changes.push({ parameter: 'max_tokens', renamed_to: 'max_completion_tokens', reason });
  const sampling = [
    'temperature',
    'top_p',
    'frequency_penalty',
    'presence_penalty',
    'logit_bias',
    'logprobs',
  ];
  for (const parameter of [...sampling, 'top_logprobs'])
    changes.push({ parameter, renamed_to: null, reason });
  return changes;
}

/** Applies changes to a request body, in place. */
export function applyChanges(body: Record<string, unknown>, changes: readonly ParameterChange[]): void {
  for (const { parameter, renamed_to: name, at_most: most } of changes) {
    if (!Object.hasOwn(body, parameter)) continue;
    const value = body[parameter];
    if (most !== undefined) {
      body[parameter] = typeof value === 'number' ? Math.min(value, most) : most;
      continue;
    }
    Reflect.deleteProperty(body, parameter);
    if (name !== null) body[name] = value;
  }
}

/** A request's limit of the answer's tokens, and its value; null where it sets none. */
export function maximumIn(body: Readonly<Record<string, unknown>>): { name: string; value: number } | null {
  for (const name of ['max_completion_tokens', 'max_tokens']) {
    const value = body[name];
    if (typeof value === 'number') return { name, value };
  }
  return null;
}

/** What a refusal says of the parameters. */
export type ParameterVerdict =
  /** The model does not take them: change them and send the request again. */
  | {
      kind: 'change';
      changes: ParameterChange[];
      /** False where only a name is recognised, not what is said of it. */ certain: boolean;
    }
  /** The value is wrong for every row. */
  | { kind: 'wrong'; parameter: string };

/** The changes in force for a run; they grow when the API refuses a parameter. */
export class ParameterFit {
  #learnt: ParameterChange[] = [];

  /** @param given parameters that the user set, which are not dropped just because their value is out of range */
  constructor(private readonly given: ReadonlySet<string> = new Set()) {}

  /** Changes learnt in this run, in the order they were learnt. */
  get learnt(): readonly ParameterChange[] {
    return this.#learnt;
  }

  /** True where the user set the parameter, whatever name it is sent under. */
  isGiven(parameter: string): boolean {
    return this.given.has(parameter) || (isMaximum(parameter) && this.given.has('max_tokens'));
  }

  /** The body to send: the same bytes where nothing was learnt. */
  apply(body: Buffer): Buffer {
    if (this.#learnt.length === 0) return body;
    const value = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
    applyChanges(value, this.#learnt);
    return Buffer.from(JSON.stringify(value), 'utf8');
  }

  /** Records a change; null where it was in force already (requests that were in progress find it so). */
  learn(change: ParameterChange): ParameterChange | null {
    const earlier = this.#learnt.filter(({ parameter }) => parameter === change.parameter);
    if (earlier.some(({ at_most: most }) => most === undefined || most <= (change.at_most ?? -1)))
      return null;
    // A server that refuses both names gets neither.
    const wasRenamed = this.#learnt.some(({ renamed_to: name }) => name === change.parameter);
    const learnt = wasRenamed ? { ...change, renamed_to: null } : change;
    this.#learnt.push(learnt);
    return learnt;
  }

  /** Takes changes back that did not help. */
  forget(changes: readonly ParameterChange[]): void {
    this.#learnt = this.#learnt.filter((one) => !changes.includes(one));
  }
}

/** Ways to say that a parameter is not taken at all, or only with the model's own value. */
const NOT_TAKEN: readonly { pattern: RegExp; source: string }[] = [
  {
    pattern:
      /unsupported|not (?:yet |currently )?supported|(?:does|do|did)(?:n['’]t| not) (?:support|accept|allow|take)/i,
    source: 'OpenAI, Groq, xAI, LiteLLM UnsupportedParamsError',
  },
  {
    pattern:
      /not (?:yet |currently )?(?:enabled|allowed|permitted|available|accepted|recogni[sz]ed|implemented|compatible|applicable|configurable|valid for)/i,
    source: 'Gemini, Bedrock, Groq',
  },
  {
    pattern:
      /unknown|unrecogni[sz]ed|unexpected|incompatible|extraneous|extra[_ ](?:inputs|fields|forbidden)|additional propert/i,
    source: 'OpenAI, pydantic, Bedrock, JSON Schema validators',
  },
  {
    pattern:
      /deprecated|no longer|disabled|has been removed|(?:cannot|can['’]?t|can not|could not|must not|may not|should not) be (?:specified|used|set|provided|passed|sent|changed|modified|combined)|cannot find field|no such (?:field|parameter|argument)/i,
    source: 'Anthropic, Gemini',
  },
  {
    pattern:
      /only (?:the )?(?:default|value)|only [^;\n]{0,40} (?:is|are) (?:allowed|supported|accepted)|only (?:be )?(?:allowed|supported|accepted|valid|used|specified|available) (?:when|if|with|for|in)\b|only (?:one|1|a single) [^;\n]{0,30} (?:can|may|is)\b|(?:is|be) fixed (?:at|to)|(?:may|can|must|should) only be (?:set to )?[`'"]?-?\d+(?:\.\d+)?[`'"]?(?! *(?:to|and|or|-|–))|must be (?:unset|null|none|omitted|absent|removed|left out|undefined)/i,
    source: 'OpenAI reasoning models, Moonshot, Anthropic with thinking, Gemini, JSON Schema validators',
  },
  {
    pattern: /no (?:endpoints?|providers?) found that (?:support|can handle)/i,
    source: "OpenRouter 404: “No endpoints found that support the provided '…' value”",
  },
  {
    pattern:
      /not a valid (?:parameter|argument|field|option|property)|(?:bad|illegal) (?:parameter|argument)|(?:does|do) not exist/i,
    source: 'gateways',
  },
];
/** `temperature` and `top_p` together: the second of them is left out. */
const NOT_BOTH =
  /cannot both|can['’]?t both|not both|both [^.]{0,60}(?:cannot|not allowed|at the same time)|mutually exclusive|only one of|use only one|at the same time|simultaneously|either [^.]{0,40} or /i;
/** Ways to say that a value is out of range. */
const OUT_OF_RANGE =
  /must be|should be|expected a|out of range|range|between|(?:greater|less|larger|smaller|higher|lower) than|at (?:most|least)|(?:above|below)[_ ]m|invalid value|invalid_value|too (?:large|high|small|low|big|many)|exceeds|maximum|minimum/i;
/** The model takes another level of effort: the user is to choose it, because it decides what answers cost. */
const OTHER_LEVELS =
  /(?:supported|valid|allowed|available) (?:values|levels|options)|(?:must|should) be one of|expected one of/i;
/** Advice on what else could be sent; the names in it are not those that are refused. */
const ADVICE =
  /(?:[.;:!?\n] ?|, )(?:please )?(?:use|try|did you mean|consider|supported|allowed|valid|available|permitted|accepted|expected one of|to drop)\b[^]*$/i;

/** When something is refused, before or after what is; parameters that are named there are not those that are refused. */
const CONDITION = /^(?:when|if|while)\b[^,.;\n]*,|\b(?:when|if|unless|while)\b[^.;\n]*/gi;

/** How messages state the most tokens that a model writes. */
const MOST_TOKENS: readonly { pattern: RegExp; source: string; exclusive?: boolean }[] = [
  { pattern: /supports at most (?<most>[\d,]{1,12}) (?:completion|output) tokens/i, source: 'OpenAI, Azure' },
  { pattern: /max_(?:completion_)?tokens: [\d,]{1,12} > (?<most>[\d,]{1,12})/i, source: 'Anthropic' },
  {
    pattern:
      /range of [`'"]?max_(?:completion_)?tokens[`'"]? (?:is|should be) [[(]\d{1,12}, ?(?<most>\d{1,12})/i,
    source: 'DeepSeek, Alibaba',
  },
  {
    pattern: /maxOutputTokens value of \d{1,12}[^.]{0,60} to (?<most>\d{1,12}) \(exclusive\)/i,
    exclusive: true,
    source: 'Gemini, Vertex AI',
  },
  {
    pattern: /maximum tokens you requested exceeds the model limit of (?<most>\d{1,12})/i,
    source: 'Bedrock',
  },
  {
    pattern:
      /max_(?:completion_|new_|output_)?tokens[`'"]?[^.]{0,60}?(?:cannot be greater than|must be (?:at most|<=|less than or equal to)|cannot exceed|exceeds?(?: the)?(?: model['’]s)?(?: maximum| limit| max)?(?: of)?|less than or equal to|between \d{1,12} and|maximum (?:value )?(?:is|of)|up to|at most)[ `'"]*(?:[a-z_]{1,30}=)?(?<most>[\d,]{1,12})/i,
    source: 'Groq, Cohere, vLLM, Cerebras',
  },
];

/**
 * What a 400 or 422 says about generation parameters; null where it is about something else.
 * @param sent the body that was refused, where it is known: only what was sent can be refused
 */
export function parameterVerdict(
  refusal: Refusal,
  sent: Readonly<Record<string, unknown>> | null,
): ParameterVerdict | null {
  const capped = cap(refusal, sent);
  if (capped !== null) return capped;
  const all = `${refusal.codes} ${refusal.text}`;
  const named = namedIn(refusal, sent);
  if (named.length === 0) return null;
  const effort = named.find((parameter) => parameter === 'reasoning_effort');
  if (effort !== undefined && OTHER_LEVELS.test(refusal.text)) return { kind: 'wrong', parameter: effort };
  if (NOT_BOTH.test(refusal.text) && isPair(named, sent)) {
    return { kind: 'change', changes: [drop('top_p')], certain: true };
  }
  if (NOT_TAKEN.some(({ pattern }) => pattern.test(all))) {
    return { kind: 'change', changes: named.map((parameter) => drop(parameter)), certain: true };
  }
  if (!OUT_OF_RANGE.test(all)) {
    return { kind: 'change', changes: named.map((parameter) => drop(parameter)), certain: false };
  }
  const [first = ''] = named;
  // Whatever the most is that the server takes: each answer can be requested on its own.
  if (first === 'n') return { kind: 'change', changes: [drop(first)], certain: true };
  return sent !== null && isNeutral(first, sent[first])
    ? { kind: 'change', changes: [drop(first)], certain: true }
    : { kind: 'wrong', parameter: first };
}

/** A maximum of tokens that is more than the model ever writes is lowered to what it does. */
function cap(refusal: Refusal, sent: Readonly<Record<string, unknown>> | null): ParameterVerdict | null {
  const maximum = sent === null ? null : maximumIn(sent);
  if (maximum === null) return null;
  for (const { pattern, exclusive = false } of MOST_TOKENS) {
    const digits = pattern.exec(refusal.text)?.groups?.['most'];
    if (digits === undefined) continue;
    const most = Number(digits.replaceAll(',', '')) - (exclusive ? 1 : 0);
    if (!(most >= 1 && most < maximum.value)) continue;
    const reason = 'the most the model can write';
    const change = { parameter: maximum.name, renamed_to: null, at_most: most, reason };
    return { kind: 'change', changes: [change], certain: true };
  }
  return null;
}

/** The other name is tried where a maximum of tokens is refused; anything else is left out. */
export function drop(parameter: string, reason = 'refused by the API'): ParameterChange {
  const others: Record<string, string> = {
    max_tokens: 'max_completion_tokens',
    max_completion_tokens: 'max_tokens',
  };
  return { parameter, renamed_to: others[parameter] ?? null, reason };
}

function isMaximum(parameter: string): boolean {
  return parameter === 'max_tokens' || parameter === 'max_completion_tokens';
}

/** The parameters that a refusal is about, by the surest way that names one. */
function namedIn(refusal: Refusal, sent: Readonly<Record<string, unknown>> | null): string[] {
  const isSent = (parameter: string): boolean => sent === null || Object.hasOwn(sent, parameter);
  const known = (names: Iterable<string>): string[] => [
    ...new Set(
      [...names].flatMap((name) => {
        const parameter = parameterOf(name, sent);
        return parameter !== null && isSent(parameter) ? [parameter] : [];
      }),
    ),
  ];
  const structured = known(refusal.named);
  if (structured.length > 0) return structured;
  // What is at fault is something else, such as the messages.
  if (refusal.named.some((name) => /^(?:messages|model|prompt|input|tools)\b/.test(name))) return [];
  const text = refusal.text.replace(ADVICE, '');
  const unconditional = namedInText(text.replace(CONDITION, ''), known);
  return unconditional.length > 0 ? unconditional : namedInText(text, known);
}

/** @param known the parameters that were sent, of several names */
function namedInText(text: string, known: (names: Iterable<string>) => string[]): string[] {
  const quoted = known(
    Array.from(text.matchAll(/['"`[‘“]([A-Za-z_][\w.]{0,60})(?=['"`\]’”])/g), ([, name]) => name ?? ''),
  );
  if (quoted.length > 0) return quoted;
  const identifiers = known(
    Array.from(text.matchAll(/[A-Za-z_]\w{0,60}/g), ([word]) => word).filter(isIdentifier),
  );
  const listed =
    /\b(?:parameter|argument|field|option|property)s?(?: supplied)?:? \(?([a-z_]{1,40}(?:(?:, ?| and )[a-z_]{1,40}){0,10})\b/i.exec(
      text,
    )?.[1];
  const before = Array.from(
    text.matchAll(/\b([a-z_]{1,40}) (?:parameter|argument|field|option|property)\b/gi),
    ([, word]) => word ?? '',
  );
  const inWords = IN_WORDS.filter(({ pattern }) => pattern.test(text)).flatMap(
    ({ parameters }) => parameters,
  );
  return [
    ...new Set([
      ...identifiers,
      ...known(listed?.split(/, ?| and /) ?? []),
      ...known(before),
      ...known(inWords),
    ]),
  ];
}

/** True where a refusal that two parameters cannot go together means temperature and top_p. */
function isPair(named: readonly string[], sent: Readonly<Record<string, unknown>> | null): boolean {
  const pair = ['temperature', 'top_p'];
  return (
    pair.some((one) => named.includes(one)) && pair.every((one) => sent === null || Object.hasOwn(sent, one))
  );
}

/** A word that is not English: `top_p`, `presencePenalty`, `logprobs`. */
function isIdentifier(word: string): boolean {
  return /[a-z][A-Z]|[a-z]_[a-z]/.test(word) || word === 'logprobs';
}

/** The parameter that a name in any spelling is of: `body.topP`, `generation_config.max_output_tokens`. */
function parameterOf(name: string, sent: Readonly<Record<string, unknown>> | null): string | null {
  const last = name.split('.').at(-1) ?? '';
  const snake = withoutTrailing(last.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase(), '[]0123456789');
  const parameter = BY_NAME.get(snake) ?? null;
  // The two names of one thing: what was sent is meant.
  if (
    parameter === 'max_tokens' &&
    snake !== 'max_tokens' &&
    sent !== null &&
    !Object.hasOwn(sent, parameter)
  )
    return 'max_completion_tokens';
  return parameter;
}

const EFFORT_FIELDS = new Set(['reasoning', 'reasoning_format', 'thinking', 'chat_template_kwargs']);

/** The flag that sets a parameter, for messages. */
export function flagOf(parameter: string): string {
  if (EFFORT_FIELDS.has(parameter)) return '--reasoning_effort';
  return `--${isMaximum(parameter) ? 'max_tokens' : parameter === 'random_seed' ? 'seed' : parameter}`;
}
