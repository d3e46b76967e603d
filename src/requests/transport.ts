/** Sends chat requests by the API that the model answers on. */

import { parseJson } from '../lib/json.js';
import { fromResponsesAnswer, toResponsesRequest } from '../models/responses-api.js';
import type { ApiName, ChatResponse } from '../http/chat-client.js';

/** What a request is posted with; see `http/chat-client.ts`. */
export interface Client {
  send(body: Buffer, api?: ApiName): Promise<ChatResponse>;
}

export class Transport {
  #isResponses: boolean;

  /** @param isResponses true for a model that is known to answer on `/responses` alone */
  constructor(
    private readonly client: Client,
    isResponses: boolean,
  ) {
    this.#isResponses = isResponses;
  }

  /**
   * Sends a chat request.
   * @returns the answer as a chat completion, whichever API gave it; refusals are as they came
   * @throws the transport's error where no whole answer came
   */
  send(body: Buffer): Promise<ChatResponse> {
    return this.#isResponses ? this.#sendTranslated(body) : this.client.send(body);
  }

  /** Sends all further requests to the Responses API; false where they went there already. */
  switchToResponses(): boolean {
    const before = this.#isResponses;
    this.#isResponses = true;
    return !before;
  }

  async #sendTranslated(body: Buffer): Promise<ChatResponse> {
    const request = toResponsesRequest(JSON.parse(body.toString('utf8')) as Record<string, unknown>);
    const response = await this.client.send(Buffer.from(JSON.stringify(request), 'utf8'), 'responses');
    return { ...response, body: asChatCompletion(response.body), api: 'responses' };
  }
}

/** An answer of the Responses API as a chat completion; anything else is left to be judged as it is. */
function asChatCompletion(body: Buffer): Buffer {
  const answer = parseJson(body.toString('utf8'));
  const completion = fromResponsesAnswer(answer);
  return completion === answer ? body : Buffer.from(JSON.stringify(completion), 'utf8');
}
