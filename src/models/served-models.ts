/** Whether several servers serve the same model, by what each of them lists under `/models`. */

import { UserError } from '../lib/errors.js';
import { plural } from '../lib/text.js';
import type { ModelListing } from './model-list.js';

/** Models that a message names. */
const NAMED = 3;

/** A server and what it lists. */
export interface Listed {
  /** Its address for people. */
  server: string;
  listing: ModelListing;
}

/** What each of several servers has to list. */
export class ServedModel {
  /**
   * Null where a server lists the model by its name. Otherwise servers take any name and answer with what they have
   * loaded (llama.cpp, TGI), so that all have to list the same.
   */
  readonly #instead: readonly string[] | null;

  /** @throws UserError where no server lists the model, and they list different ones */
  constructor(
    private readonly model: string,
    listed: readonly Listed[],
  ) {
    const lists = listed.flatMap(({ server, listing }) =>
      listing.kind === 'models' ? [{ server, names: listing.names }] : [],
    );
    const [first] = lists;
    const isNamed = first === undefined || lists.some(({ names }) => isIn(model, names));
    this.#instead = isNamed ? null : first.names;
    if (isNamed || lists.every(({ names }) => areSame(names, first.names))) return;
    const each = lists.map(({ server, names }) => `${server} has ${shortList(names)}`).join('; ');
    throw new UserError(
      `The servers of --base_url serve different models, and none of them lists ${model}: ${each}. Leave out those that ` +
        'serve another model, or name the model as they list it with --annotator.',
    );
  }

  /** Why a server cannot be one of them; null where it can, or does not say what it serves. */
  problemOf(listing: ModelListing): string | null {
    if (listing.kind !== 'models') return null;
    const { names } = listing;
    const isRight = this.#instead === null ? isIn(this.model, names) : areSame(names, this.#instead);
    if (isRight) return null;
    return `it serves ${shortList(names)}, and not ${this.#instead === null ? this.model : shortList(this.#instead)}`;
  }
}

/** Ollama's tag for a name without one, and the prefix of Gemini's list, make no difference. */
function isIn(model: string, names: readonly string[]): boolean {
  const plain = (name: string): string => name.replace(/^models\//, '').replace(/:latest$/, '');
  return names.some((name) => plain(name) === plain(model));
}

function areSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && [...one].sort().join('\n') === [...other].sort().join('\n');
}

function shortList(names: readonly string[]): string {
  if (names.length === 0) return 'no model';
  const more = names.length - NAMED;
  return `${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${plural(more, 'other model', 'other models')}` : ''}`;
}
