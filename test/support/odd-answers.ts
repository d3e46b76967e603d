/**
 * Answers as odd as servers give them, composed at random: how they end, what their bodies are wrapped in, what they
 * report as usage, and how streams of them break. What each means is stated beside it, from `docs/requests.md` alone.
 */

import { gzipSync } from 'node:zlib';
import { completion } from './scripted-api.js';
import { pick, type Random } from './server-model.js';

type Fields = Record<string, unknown>;

/** What a row is to be after such an answer; `again` where it has none yet. */
export type Meaning = 'ok' | 'truncated' | 'filtered' | 'refused' | 'again';

/** Finish reasons and what they mean; everything that is not known to mean a whole answer is to be asked again. */
const REASONS: readonly [reason: unknown, meaning: Meaning][] = [
  ['stop', 'ok'],
  ['STOP', 'ok'],
  ['FINISH_REASON_STOP', 'ok'],
  ['eos', 'ok'],
  ['eos_token', 'ok'],
  ['end_turn', 'ok'],
  ['stop_sequence', 'ok'],
  ['COMPLETE', 'ok'],
  ['length', 'truncated'],
  ['model_length', 'truncated'],
  ['MAX_TOKENS', 'truncated'],
  ['max-tokens', 'truncated'],
  ['content_filter', 'filtered'],
  ['content-filter', 'filtered'],
  ['SAFETY', 'filtered'],
  ['guardrail_intervened', 'filtered'],
  ['refusal', 'refused'],
  ['abort', 'again'],
  ['error', 'again'],
  ['insufficient_system_resource', 'again'],
  ['load', 'again'],
  ['cancelled', 'again'],
  ['unknown', 'again'],
  ['stopped', 'again'],
  ['OTHER', 'again'],
  ['MALFORMED_FUNCTION_CALL', 'again'],
  [null, 'again'],
  ['', 'again'],
  [{ type: 'abort' }, 'again'],
  [{ type: 'stop', matched: 2 }, 'ok'],
  [['stop'], 'again'],
  [0, 'again'],
  [true, 'again'],
];

const USAGES: readonly unknown[] = [
  { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 },
  { prompt_tokens: 9, completion_tokens: 4, total_tokens: 40 },
  { prompt_tokens: '9', completion_tokens: '4' },
  { input_tokens: 9, output_tokens: 4, cache_read_input_tokens: 2 },
  { prompt_tokens: -1, completion_tokens: 1e300 },
  { prompt_tokens: 9, completion_tokens: 4, cost: 0.001 },
  { prompt_tokens: null },
  {},
  null,
  'none',
];

/** An answer before it is written in any way. */
export interface OddAnswer {
  choices: Fields[];
  usage: unknown;
  /** What its row is to be. */
  meaning: Meaning;
}

/** An answer of one or two choices. */
export function oddAnswer(random: Random): OddAnswer {
  const parts = Array.from({ length: random() < 0.8 ? 1 : 2 }, (_, index) => oddChoice(random, index));
  const usage = random() < 0.5 ? USAGES[0] : pick(random, USAGES);
  return { choices: parts.map(({ choice }) => choice), usage, meaning: meaningOf(parts) };
}

interface Part {
  choice: Fields;
  ending: Meaning;
  hasText: boolean;
  hasRefusal: boolean;
  hasError: boolean;
}

function oddChoice(random: Random, index: number): Part {
  const [reason, ending] = random() < 0.4 ? (['stop', 'ok'] as const) : pick(random, REASONS);
  const hasText = random() < 0.9;
  const hasRefusal = random() < 0.05;
  const hasError = random() < 0.05;
  const text = pick(random, ['yes', 'Grüße\n"🙂"', 'a\u2028b', ' spaced ', '{"json": [1, 2]}']);
  const message: Fields = {
    role: 'assistant',
    content: hasText ? text : pick(random, ['', null]),
    refusal: hasRefusal ? 'I cannot help with that.' : null,
  };
  if (random() < 0.2) message[pick(random, ['reasoning', 'reasoning_content'])] = 'Let me think.';
  if (random() < 0.2) message['mood'] = 'calm';
  const choice: Fields = { index, message, finish_reason: reason };
  if (random() < 0.2)
    choice['logprobs'] = {
      content: [
        { token: 'y', logprob: -0.5 },
        { token: 'es', logprob: -1 },
      ],
    };
  if (hasError) choice['error'] = { code: 502, message: 'Upstream idle timeout' };
  return { choice, ending, hasText, hasRefusal, hasError };
}

function meaningOf(parts: readonly Part[]): Meaning {
  const [first] = parts;
  if (first === undefined || parts.some(({ hasError, ending }) => hasError || ending === 'again'))
    return 'again';
  const { ending, hasText, hasRefusal } = first;
  if (ending === 'filtered' || ending === 'refused') return ending;
  if (hasRefusal && !hasText) return 'refused';
  if (ending === 'truncated') return 'truncated';
  if (!hasText) return 'again';
  return parts.some((part) => part.ending === 'truncated') ? 'truncated' : 'ok';
}

/** The object that an unstreamed answer is. */
export function bodyOf({ choices, usage }: OddAnswer): Fields {
  return { ...completion('x'), choices, usage };
}

/** Ways to write an object so that nothing of it is lost. */
export const WRAPPINGS: Readonly<Record<string, (body: Fields) => Buffer>> = {
  plain: (body) => Buffer.from(JSON.stringify(body)),
  'on several lines': (body) => Buffer.from(JSON.stringify(body, null, 2)),
  'with spaces and zeros that keep the connection open': (body) =>
    Buffer.from(`\n \0\n${JSON.stringify(body)}\n\0`),
  'with a byte order mark': (body) => Buffer.from(`\ufeff${JSON.stringify(body)}`),
  'with the end of a stream': (body) => Buffer.from(`${JSON.stringify(body)}\n\ndata: [DONE]\n\n`),
  'in gzip without a header': (body) => gzipSync(JSON.stringify(body)),
  'in UTF-16': (body) => Buffer.from(`\ufeff${JSON.stringify(body)}`, 'utf16le'),
  'with numbers that JSON has not': (body) =>
    Buffer.from(
      JSON.stringify({ ...body, timings: 'NUMBER' }).replace('"NUMBER"', '{"a":NaN,"b":-Infinity}'),
    ),
};

/** The same answer as a stream, cut into pieces of a few characters. */
export function streamOf(answer: OddAnswer, random: Random): string {
  return [...eventsOf(answer, random), 'data: [DONE]\n\n'].join(random() < 0.2 ? ': keep-alive\n\n' : '');
}

function eventsOf({ choices, usage }: OddAnswer, random: Random): string[] {
  const envelope = { ...completion('x'), object: 'chat.completion.chunk' };
  const event = (more: Fields): string =>
    `data: ${JSON.stringify({ ...envelope, usage: undefined, ...more })}\n\n`;
  const part = (index: unknown, delta: Fields, more: Fields = {}): string =>
    event({ choices: [{ index, delta, finish_reason: null, ...more }] });
  return [
    ...choices.flatMap(({ index, message, finish_reason: reason, logprobs, error, ...more }) => {
      const { role, refusal, content, ...texts } = message as Fields;
      const extra = error === undefined ? {} : { error };
      return [
        part(index, { role, refusal, content: content === null ? null : '' }),
        ...Object.entries({ ...texts, content }).flatMap(([name, text]) =>
          typeof text === 'string' ? pieces(text, random).map((piece) => part(index, { [name]: piece })) : [],
        ),
        ...((logprobs as { content: unknown[] } | undefined) ?? { content: [] }).content.map((token) =>
          part(index, {}, { logprobs: { content: [token] } }),
        ),
        event({ choices: [{ index, delta: {}, finish_reason: reason, ...more, ...extra }] }),
      ];
    }),
    event({ choices: [], usage }),
  ];
}

/** By code points: a server cuts no character. */
function pieces(text: string, random: Random): string[] {
  const size = 1 + Math.floor(random() * 6);
  const points = Array.from(text);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, at) =>
    points.slice(at * size, (at + 1) * size).join(''),
  );
}

/** Ways in which an answer is lost; whatever it would have meant, its row must be sent again. */
export const BREAKAGES: Readonly<Record<string, (answer: OddAnswer, random: Random) => Buffer>> = {
  'half of its JSON': (answer, random) => {
    const bytes = Buffer.from(JSON.stringify(bodyOf(answer)));
    return bytes.subarray(0, Math.floor(bytes.length * random()));
  },
  'a stream that ends with an error event': (answer, random) =>
    Buffer.from(`${begun(answer, random)}event: error\ndata: {"message":"overloaded"}\n\n`),
  'a stream that ends with an error in text': (answer, random) =>
    Buffer.from(`${begun(answer, random)}upstream connect error or disconnect\n`),
  'a stream that ends with an error object': (answer, random) =>
    Buffer.from(
      `${begun(answer, random)}data: {"error":{"code":502,"message":"bad gateway"}}\n\ndata: [DONE]\n\n`,
    ),
  'a stream that breaks off': (answer, random) => Buffer.from(begun(answer, random)),
  'a stream without a finish reason': (answer, random) =>
    Buffer.from(
      streamOf(
        { ...answer, choices: answer.choices.map((choice) => ({ ...choice, finish_reason: null })) },
        random,
      ),
    ),
  'an error in place of the answer': () => Buffer.from('{"error":{"message":"busy","code":503}}'),
  'no choices': (answer) => Buffer.from(JSON.stringify({ ...bodyOf(answer), choices: [] })),
  nothing: () => Buffer.alloc(0),
  text: () => Buffer.from('upstream connect error'),
  'a JSON text': () => Buffer.from('"yes"'),
  'JSON of another kind': () => Buffer.from('{"result":"yes"}'),
};

/** Those that hold no chat completion at all, so that the same one is not paid for again and again. */
export const UNREADABLE: ReadonlySet<string> = new Set([
  'nothing',
  'text',
  'a JSON text',
  'JSON of another kind',
]);

/** The beginning of a stream, before any choice has ended. */
function begun(answer: OddAnswer, random: Random): string {
  const [choice] = answer.choices;
  const message = { role: 'assistant', refusal: null, content: 'half a text' };
  const events = eventsOf(
    { ...answer, choices: [{ ...choice, message, finish_reason: null, error: undefined }] },
    random,
  );
  return events.slice(0, 2 + Math.floor(random() * 2)).join('');
}
