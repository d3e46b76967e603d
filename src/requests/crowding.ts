/** Outcomes that are remembered. */
const OUTCOMES = 64;
/** Fewer refusals may be chance. */
const FEWEST_REFUSALS = 3;
/** Outcomes that a limit of requests at a time does not explain, as a share of the refusals, where there is one. */
const EXPLAINED = 0.25;
/**
 * There is no such limit if, of at least `ENOUGH_REFUSALS` refusals, this share came while the server had no more requests
 * than it usually takes. One more is often taken: the server was done with another whose answer was still on its way.
 */
const UNEXPLAINED = 0.5;
const ENOUGH_REFUSALS = 8;
const USUALLY = 0.75;

/** What refusals that name no limit follow. */
export type Cause =
  /** The number of requests at a time: as many as `places` are taken. */
  | { kind: 'places'; places: number }
  /** Something else, such as a rate: requests are refused however few are awaited. */
  | { kind: 'other' }
  | { kind: 'unknown' };

/**
 * Tells a limit of requests at a time from a limit of requests a minute where the server names neither (nginx with
 * `limit_conn`, HAProxy with `maxconn`, gateways): the first refuses all requests that are sent while a certain number is
 * in progress and takes all others, the second refuses at any number. Paced as a rate, the first kind took three times as
 * long as the same server with the right `--max_concurrency`.
 */
export class Crowding {
  /** Of the last requests, how many were awaited when each was sent, itself included; negative where it was refused. */
  readonly #loads = new Int16Array(OUTCOMES);
  #next = 0;

  /** @param awaited requests that were awaited when this one was sent, itself included */
  add(awaited: number, isRefused: boolean): void {
    const load = Math.min(awaited, 32_767);
    this.#loads[this.#next] = isRefused ? -load : load;
    this.#next = (this.#next + 1) % OUTCOMES;
  }

  /** @param isKnown true where the refusals were found to follow the number before */
  cause(isKnown: boolean): Cause {
    const refused: number[] = [];
    const taken: number[] = [];
    for (const load of this.#loads) {
      if (load < 0) refused.push(-load);
      else if (load > 0) taken.push(load);
    }
    if (refused.length < (isKnown ? 1 : FEWEST_REFUSALS)) return { kind: 'unknown' };
    const { places, errors } = bestSplit(refused, taken);
    if (errors <= EXPLAINED * refused.length) return { kind: 'places', places };
    const usual = quantile(taken, USUALLY);
    const early = refused.filter((load) => load <= usual).length;
    const isOther = refused.length >= ENOUGH_REFUSALS && early >= UNEXPLAINED * refused.length;
    return { kind: isOther ? 'other' : 'unknown' };
  }
}

/** The value that such a share of the others are not above; endless where there are none. */
function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * values.length)] ?? Infinity;
}

/**
 * The number, of at least one, that explains most: requests beyond it were refused, and the others taken. Of several, the
 * largest.
 */
function bestSplit(refused: readonly number[], taken: readonly number[]): { places: number; errors: number } {
  let best = { places: 0, errors: Infinity };
  for (const places of new Set(refused.map((load) => Math.max(1, load - 1)))) {
    const errors =
      refused.filter((load) => load <= places).length + taken.filter((load) => load > places).length;
    if (errors < best.errors || (errors === best.errors && places > best.places)) best = { places, errors };
  }
  return best;
}
