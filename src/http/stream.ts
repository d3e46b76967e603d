/** A streamed chat completion (server-sent events), put together to the object that an unstreamed one would be. */

import { createParser } from 'eventsource-parser';
import { messageOf } from '../lib/errors.js';
import { isObject } from '../lib/json.js';
import { parseLooseJson } from '../lib/loose-json.js';
import { mergeDelta, MOST_NAMES } from './delta.js';

/** More choices than `--n` takes; a stream with more is hostile. */
const MOST_CHOICES = 1024;
/** Characters of lines that are not events: kept to say what came instead of a stream, or to read it after all. */
const MOST_STRAY = 16 * 1024 * 1024;
/** Characters of an event that surround what it brings: it is dropped once the event has been read. */
const SURROUNDING = 200;
const NEWLINE = 0x0a;
/** How deep texts are at most: `content[].thinking[].text`, `tool_calls[].function.arguments`. */
const DEEPEST_TEXT = 6;
/** https://platform.openai.com/docs/api-reference/responses-streaming */
const WHOLE_RESPONSE = /^response\.(?:completed|incomplete|failed)$/;
/** Fields of a chunk that the whole answer does not have, or that it has in a place of their own. */
const NOT_COPIED = new Set(['object', 'choices', 'usage', 'obfuscation', '__proto__']);

type Fields = Record<string, unknown>;

interface Choice {
  message: Fields;
  /** Log probabilities, a provider's own finish reason, and whatever else belongs to the choice. */
  more: Fields;
  finishReason: unknown;
}

/** Collects the events of one streamed answer. */
export class CompletionStream {
  readonly #decoder = new TextDecoder();
  readonly #choices = new Map<number, Choice>();
  readonly #envelope: Fields = {};
  #usage: Fields | null = null;
  #error: unknown;
  #done = false;
  /** True for a stream that no answer is like: what else comes of it is not looked at. */
  #isHostile = false;
  #stray = '';
  /** Characters of events that may be part of the answer. */
  #kept = 0;
  /** Bytes of a line that has not ended. */
  #begun = 0;
  /** The answer as a whole, with which a stream of the Responses API ends. */
  #whole: Fields | null = null;
  /** The first event that is an object, for an answer of some other API. */
  #first: Fields | null = null;
  readonly #parser = createParser({
    onEvent: ({ data, event }) => {
      this.#event(data, event);
    },
    onError: ({ line }) => {
      if (line !== undefined) this.#strayLine(line);
    },
  });

  /** How much of the answer is held, in characters: at least as much as there is of it. */
  get held(): number {
    return this.#kept + this.#begun + this.#stray.length;
  }

  /** Takes the next bytes of the body. */
  push(bytes: Uint8Array): void {
    const end = bytes.lastIndexOf(NEWLINE);
    this.#begun = end === -1 ? this.#begun + bytes.length : bytes.length - end - 1;
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * The whole answer as JSON. A failure within the stream, or a stream that broke off, comes as `error`, with the usage
   * that was reported and the choices so far, which are paid for. What was no stream at all is returned as it came.
   */
  finish(): Buffer {
    // The last event may lack the empty line that ends it.
    this.#parser.feed(`${this.#decoder.decode()}\n\n`);
    if (this.#whole !== null) return toJson(this.#whole);
    const error = this.#error ?? this.#breakage();
    const inOrder = [...this.#choices].sort(([a], [b]) => a - b);
    if (error !== undefined) {
      const soFar = inOrder.length === 0 ? {} : { choices: inOrder.map(toUnfinished) };
      return toJson({ error, usage: this.#usage, ...soFar });
    }
    if (inOrder.length === 0) return this.#first === null ? Buffer.from(this.#stray) : toJson(this.#first);
    const { id, created, model, ...more } = this.#envelope;
    const choices = inOrder.map(toChoice);
    // In the order in which OpenAI writes them: the journal's reader is quickest there.
    return toJson({ id, object: 'chat.completion', created, model, choices, usage: this.#usage, ...more });
  }

  /** Why the stream is not at its end; undefined where it is. */
  #breakage(): Fields | undefined {
    const { size } = this.#choices;
    const ended = [...this.#choices.values()].filter(({ finishReason }) => isGiven(finishReason)).length;
    if (this.#done || ended === size) {
      // Text among the events of an answer that came to no end is what went wrong with it.
      const isFailure = size > 0 && ended < size && this.#stray.trim() !== '';
      return isFailure ? { message: this.#stray.trim() } : undefined;
    }
    const message = this.#stray.trim();
    return {
      type: 'stream_error',
      message: message === '' ? 'the stream broke off before its end' : `the stream broke off: ${message}`,
    };
  }

  /** A line that is not a field of an event, or an event that is not JSON: some servers stream bare JSON, and some proxies put their errors here. */
  #strayLine(line: string): void {
    const value = line.startsWith('{') ? parseLooseJson(line) : undefined;
    if (isObject(value) && (Array.isArray(value['choices']) || isGiven(value['error']))) this.#chunk(value);
    else if (this.#stray.length + line.length <= MOST_STRAY) this.#stray += `${line}\n`;
  }

  #event(data: string, event: string | undefined): void {
    this.#kept += Math.max(0, data.length - SURROUNDING);
    if (data.trim() === '[DONE]') {
      this.#done = true;
      return;
    }
    const chunk = parseLooseJson(data);
    if (event === 'error') this.#error ??= errorOf(chunk) ?? (isObject(chunk) ? chunk : { message: data });
    else if (isObject(chunk)) this.#chunk(chunk);
    // Some servers leave out the empty lines between events, which makes one event of all of them.
    else if (data.includes('\n')) for (const line of data.split('\n')) this.#event(line, event);
    // A piece of the answer is lost.
    else if (/^\s*\{/.test(data)) this.#error ??= { message: 'an event of the stream is not valid JSON' };
    else this.#strayLine(data);
  }

  #chunk(chunk: Fields): void {
    this.#first ??= chunk;
    const { type, response } = chunk;
    if (typeof type === 'string' && WHOLE_RESPONSE.test(type) && isObject(response)) this.#whole = response;
    this.#noteUsage(chunk['usage']);
    const error = errorOf(chunk);
    if (error !== null) this.#error ??= error;
    for (const [name, value] of Object.entries(chunk)) {
      // Azure's first chunk, about the prompt's filter, has an empty id and model.
      if (!isGiven(value) || value === 0 || NOT_COPIED.has(name)) continue;
      if (Object.hasOwn(this.#envelope, name) || Object.keys(this.#envelope).length < MOST_NAMES)
        this.#envelope[name] = value;
    }
    // Groq reports what was used in a field of its own where `stream_options` is not known.
    const { x_groq: groq } = chunk;
    if (this.#usage === null && isObject(groq)) this.#noteUsage(groq['usage']);
    const { choices } = chunk;
    if (!Array.isArray(choices) || this.#isHostile) return;
    try {
      choices.filter(isObject).forEach(this.#addChoice);
    } catch (problem) {
      this.#error ??= { message: messageOf(problem) };
      this.#isHostile = true;
    }
  }

  /** Counts grow while an answer is written: a later chunk that lacks one, or says 0, does not reset it. */
  #noteUsage(usage: unknown): void {
    if (!isObject(usage)) return;
    const known = (this.#usage ??= {});
    for (const [name, value] of Object.entries(usage)) {
      const saysNothing = !isGiven(value) || value === 0;
      if (name !== '__proto__' && !(saysNothing && Object.hasOwn(known, name))) known[name] = value;
    }
  }

  readonly #addChoice = (part: Fields): void => {
    const { index, delta, message, finish_reason: finishReason, usage, ...more } = part;
    // Moonshot reports it here, and not always in the chunk itself as well (earendil-works/pi#2017).
    this.#noteUsage(usage);
    const key = typeof index === 'number' && Number.isSafeInteger(index) ? index : 0;
    const known = this.#choices.get(key);
    if (known === undefined && this.#choices.size >= MOST_CHOICES)
      throw new Error(`the stream has more than ${MOST_CHOICES} choices`);
    const choice = known ?? {
      message: { role: 'assistant', content: null },
      more: {},
      finishReason: null,
    };
    this.#choices.set(key, choice);
    if (isObject(delta)) mergeDelta(choice.message, delta);
    // A whole answer as one event, or at the end of its pieces.
    else if (isObject(message)) choice.message = { ...choice.message, ...message };
    mergeDelta(choice.more, more);
    if (isGiven(finishReason)) choice.finishReason = finishReason;
  };
}

function toChoice([index, { message, more, finishReason }]: [number, Choice]): Fields {
  return { index, message, ...more, finish_reason: finishReason };
}

/** What was written before an error: enough to count its tokens, and no deeper than that takes. */
function toUnfinished([index, { message }]: [number, Choice]): Fields {
  return { index, message: pruned(message, DEEPEST_TEXT) };
}

function pruned(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return null;
  if (Array.isArray(value)) return value.map((one: unknown) => pruned(one, depth - 1));
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, pruned(one, depth - 1)]));
}

/**
 * The error that a chunk is or carries: OpenAI's and OpenRouter's `error`, vLLM's and SGLang's `object: "error"`,
 * Anthropic's `type: "error"`. Null where there is none.
 */
function errorOf(chunk: unknown): Fields | null {
  if (!isObject(chunk)) return null;
  const { error } = chunk;
  if (isObject(error) && Object.keys(error).length > 0) return error;
  if (typeof error === 'string' && error !== '') return { ...chunk, message: error };
  return chunk['object'] === 'error' || (chunk['type'] === 'error' && !isGiven(error)) ? chunk : null;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

function toJson(value: Fields): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8');
}
