/** Streamed requests for a run whose model turns out to answer no others. */

const STREAMED = Buffer.from(',"stream":true,"stream_options":{"include_usage":true}}');
const STREAM_KEY = Buffer.from('"stream":true');

/** True for the body of a request that asks for a stream. */
export function isStreamed(body: Buffer): boolean {
  return body.includes(STREAM_KEY);
}

/** Switched on once, for all requests that follow. */
export class Streaming {
  #isOn = false;

  /** Switches streaming on; false where it was. */
  switchOn(): boolean {
    const before = this.#isOn;
    this.#isOn = true;
    return !before;
  }

  /** The body as a streamed request: the same bytes where streaming is off. */
  apply(body: Buffer): Buffer {
    return this.#isOn && !isStreamed(body)
      ? Buffer.concat([body.subarray(0, body.length - 1), STREAMED])
      : body;
  }
}
