/** Several answers to one prompt, where each is requested on its own. */

/** How providers call the seed. */
const SEEDS = ['seed', 'random_seed'];
const N = Buffer.from('"n":');

/**
 * The request for one of several answers: for one answer, and with another seed than the others.
 * @param body of the request for all of them, as JSON
 * @param number of the answer, from 0 on
 */
export function choiceBody(body: Buffer, number: number): Buffer {
  // Inside a text the quotes of a name would be escaped.
  if (number === 0 && !body.includes(N)) return body;
  const value = JSON.parse(body.toString('utf8')) as Record<string, unknown>;
  delete value['n'];
  addToSeed(value, number);
  return Buffer.from(JSON.stringify(value), 'utf8');
}

/** Changes a request's seed, in place: the same one may well give the same answer again. */
export function addToSeed(body: Record<string, unknown>, by: number): void {
  for (const name of SEEDS) {
    const seed = body[name];
    if (typeof seed === 'number') body[name] = seed + by;
  }
}
