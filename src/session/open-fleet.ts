/** Several servers opened for a run: what each serves is compared before the first request. */

import pLimit from 'p-limit';
import type { ChatClient } from '../http/chat-client.js';
import { systemClock, type Clock } from '../lib/clock.js';
import { messageOf, UserError } from '../lib/errors.js';
import { packageVersion } from '../lib/package.js';
import { sanitize } from '../lib/text.js';
import type { ModelCall } from '../models/call.js';
import { callOf, findEndpoint, warnOfPlainKey, type Endpoint } from '../models/endpoint.js';
import { lookUpModels, type ModelListing } from '../models/model-list.js';
import { ServedModel } from '../models/served-models.js';
import type { NamedServer, ServerSource } from '../models/server-list.js';
import { Fleet } from '../requests/fleet.js';
import { Member } from '../requests/fleet-member.js';
import type { Reporter } from '../types.js';
import { FleetWatch } from './fleet-watch.js';
import { openServer, type Common } from './open-server.js';

/** Servers that are asked for their models at the same time. */
const ASKED_AT_ONCE = 16;

/** How long others are waited for once one of them has responded. */
const PATIENCE_MS = 2000;

/** A server that was opened. */
export interface OpenMember {
  key: string;
  member: Member;
  client: ChatClient;
  /** What it serves, as it says now. */
  list: () => Promise<ModelListing>;
}

/** Opens servers of one call as they are listed. */
export class ServerOpener {
  readonly #names = new Set<string>();
  readonly #end = new AbortController();

  constructor(
    private readonly call: ModelCall,
    private readonly common: Common,
    private readonly reporter: Reporter,
  ) {}

  /** @throws UserError where its key is missing or its address cannot be used */
  async open(server: NamedServer): Promise<OpenMember> {
    const call = callOf(this.call, server);
    const endpoint = findEndpoint(call);
    warnOfPlainKey(endpoint, this.reporter);
    const opened = await openServer(call, endpoint, this.common);
    const { address, apiKey } = endpoint;
    const isComparable = call.annotator.provider.addressOf === undefined;
    return {
      key: keyOf(server),
      member: new Member(this.#nameOf(server, endpoint), opened.server),
      client: opened.client,
      list: async () =>
        // Azure lists what an account could deploy, and not what it has.
        isComparable
          ? lookUpModels(address, apiKey, `reannotate/${packageVersion()}`, this.#end.signal)
          : { kind: 'none' },
    };
  }

  /** Ends looks at servers that have not responded. */
  end(): void {
    this.#end.abort();
  }

  /** The name of a server that left is free again. */
  forget({ member }: OpenMember): void {
    this.#names.delete(member.name);
  }

  /** Accounts at one address are distinguished by their keys' variables. */
  #nameOf({ apiKeyVariable }: NamedServer, { baseUrl }: Endpoint): string {
    const shown = sanitize(baseUrl, 200);
    const name = this.#names.has(shown) ? `${shown} (${apiKeyVariable ?? 'no key'})` : shown;
    this.#names.add(name);
    return name;
  }
}

/** What distinguishes servers. */
export function keyOf({ baseUrl, apiKeyVariable }: NamedServer): string {
  return JSON.stringify([baseUrl, apiKeyVariable]);
}

/**
 * Opens all servers of a run. One that serves another model, or does not answer, is left out and checked again.
 * @throws UserError where a key is missing, the servers serve different models, or none serves this one
 */
export async function openFleet(
  call: ModelCall,
  source: ServerSource,
  common: Common,
  reporter: Reporter,
): Promise<{ fleet: Fleet; watch: FleetWatch }> {
  const opener = new ServerOpener(call, common, reporter);
  const opened: OpenMember[] = [];
  try {
    for (const server of source.servers) opened.push(await opener.open(server));
    const listed = await listAll(opened, systemClock);
    const served = new ServedModel(call.annotator.model, listed);
    const fleet = new Fleet({ clock: systemClock, reporter });
    const watch = new FleetWatch({ fleet, served, source, opener, opened, reporter });
    for (const { one, listing } of listed) watch.admit(one, listing);
    if (fleet.standings.every(({ absence }) => absence !== null) && listed.every(isWrong(served)))
      throw new UserError(noneServes(call.annotator.model, listed, served));
    watch.start();
    return { fleet, watch };
  } catch (error) {
    opener.end();
    await Promise.all(opened.map(({ client }) => client.abort()));
    throw error;
  }
}

/** What servers list; one that hangs while others respond is not waited for. */
export async function listAll<Opened extends Pick<OpenMember, 'list'> & { member: Pick<Member, 'name'> }>(
  opened: readonly Opened[],
  clock: Pick<Clock, 'sleep'>,
): Promise<(WithListing & { one: Opened })[]> {
  const limit = pLimit(ASKED_AT_ONCE);
  let onResponse = (): void => undefined;
  const late = new Promise<void>((resolve) => (onResponse = resolve))
    .then(() => clock.sleep(PATIENCE_MS))
    .then((): ModelListing => ({ kind: 'failed', message: 'it has not responded yet' }));
  const list = async (one: Opened): Promise<ModelListing> => {
    const listing = await one.list();
    if (listing.kind !== 'failed') onResponse();
    return listing;
  };
  return Promise.all(
    opened.map((one) =>
      limit(async () => ({
        one,
        server: one.member.name,
        listing: await Promise.race([list(one), late]),
      })),
    ),
  );
}

type WithListing = { server: string; listing: ModelListing };

function isWrong(served: ServedModel): (one: WithListing) => boolean {
  return ({ listing }) => served.problemOf(listing) !== null;
}

function noneServes(model: string, listed: readonly WithListing[], served: ServedModel): string {
  const each = listed
    .map(({ server, listing }) => `${server}: ${served.problemOf(listing) ?? ''}`)
    .join('; ');
  return `No server has the model ${sanitize(model, 80)}. ${each}.`;
}

/** An error of a list that is read again, in a sentence. */
export function problemOf(error: unknown): string {
  return sanitize(messageOf(error), 300);
}
