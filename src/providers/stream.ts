/** A streamed chat completion (server-sent events), put together to the object that an unstreamed one would be. */

import { createParser } from 'eventsource-parser';
import { isObject } from '../json.js';

interface Choice {
  index: number;
  message: { role: string; content: string | null; refusal?: string };
  finish_reason: string | null;
}

/** Collects the chunks of one streamed answer. */
export class CompletionStream {
  readonly #decoder = new TextDecoder();
  readonly #choices = new Map<number, Choice>();
  #envelope: Record<string, unknown> = {};
  #usage: unknown;
  #error: unknown;
  #finished = false;
  readonly #parser = createParser({
    onEvent: ({ data }) => {
      this.#event(data);
    },
  });

  /** Takes the next bytes of the body. */
  push(bytes: Uint8Array): void {
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * The whole answer as JSON. A stream that broke off gives an incomplete text, which no JSON reader takes for an
   * answer; an error that came in the stream is given as the body's `error`.
   */
  finish(): Buffer {
    this.#parser.feed(`${this.#decoder.decode()}\n\n`);
    if (this.#error !== undefined) return Buffer.from(JSON.stringify({ error: this.#error }));
    const choices = [...this.#choices.values()];
    const complete =
      this.#finished || (choices.length > 0 && choices.every((one) => one.finish_reason !== null));
    if (!complete) return Buffer.from('{"choices":');
    return Buffer.from(
      JSON.stringify({ ...this.#envelope, object: 'chat.completion', choices, usage: this.#usage ?? null }),
    );
  }

  #event(data: string): void {
    if (data.trim() === '[DONE]') {
      this.#finished = true;
      return;
    }
    let chunk: unknown;
    try {
      chunk = JSON.parse(data);
    } catch {
      return;
    }
    if (!isObject(chunk)) return;
    if (chunk['error'] !== undefined && chunk['error'] !== null) this.#error = chunk['error'];
    if (isObject(chunk['usage'])) this.#usage = chunk['usage'];
    for (const key of ['id', 'created', 'model', 'system_fingerprint']) {
      if (chunk[key] !== undefined && chunk[key] !== null)
        this.#envelope = { ...this.#envelope, [key]: chunk[key] };
    }
    if (Array.isArray(chunk['choices'])) chunk['choices'].filter(isObject).forEach(this.#addChoice);
  }

  readonly #addChoice = (part: Record<string, unknown>): void => {
    const index = typeof part['index'] === 'number' ? part['index'] : 0;
    const choice = this.#choices.get(index) ?? {
      index,
      message: { role: 'assistant', content: null },
      finish_reason: null,
    };
    this.#choices.set(index, choice);
    const delta = isObject(part['delta']) ? part['delta'] : {};
    if (typeof delta['content'] === 'string')
      choice.message.content = (choice.message.content ?? '') + delta['content'];
    if (typeof delta['refusal'] === 'string') {
      choice.message.refusal = (choice.message.refusal ?? '') + delta['refusal'];
    }
    if (typeof part['finish_reason'] === 'string') choice.finish_reason = part['finish_reason'];
  };
}
