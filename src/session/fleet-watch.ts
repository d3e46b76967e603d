/** Looks after several servers during a run: probes those that are left out, and follows the file that lists them. */

import { readServers, type ServerSource } from '../models/server-list.js';
import type { ModelListing } from '../models/model-list.js';
import type { ServedModel } from '../models/served-models.js';
import type { Fleet } from '../requests/fleet.js';
import type { Member } from '../requests/fleet-member.js';
import type { Reporter } from '../types.js';
import type { Abortable } from './online-session.js';
import { keyOf, problemOf, type OpenMember, type ServerOpener } from './open-fleet.js';

const LOOK_EVERY_MS = 500;
/** The file is read at every fourth look. */
const LOOKS_A_READING = 4;

interface WatchParts {
  fleet: Fleet;
  served: ServedModel;
  source: ServerSource;
  opener: ServerOpener;
  opened: readonly OpenMember[];
  reporter: Reporter;
}

export class FleetWatch implements Abortable {
  /** By what distinguishes them. */
  readonly #open: Map<string, OpenMember>;
  /** Servers that left the list and may still have requests in flight. */
  #leaving: OpenMember[] = [];
  readonly #probing = new Set<Member>();
  #timer: NodeJS.Timeout | null = null;
  #looks = 0;
  #isReading = false;
  /** What was wrong with the file the last time. */
  #fault: string | null = null;

  constructor(private readonly parts: WatchParts) {
    this.#open = new Map(parts.opened.map((one) => [one.key, one]));
  }

  start(): void {
    this.#timer = setInterval(this.#look, LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Takes a server into the run; one that serves another model, or does not answer, gets no requests yet. */
  admit({ member }: OpenMember, listing: ModelListing): void {
    const { fleet, reporter } = this.parts;
    fleet.join(member);
    const trouble = this.#troubleIn(listing);
    if (trouble === null) return;
    fleet.exclude(member, trouble);
    reporter.warning(`${member.name} is not used for now: ${trouble}. It is checked again until it works.`);
  }

  async abort(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.parts.opener.end();
    this.parts.fleet.interrupt();
    await Promise.all([...this.#open.values(), ...this.#leaving].map(({ client }) => client.abort()));
  }

  readonly #look = (): void => {
    for (const member of this.parts.fleet.toProbe) void this.#probe(member);
    this.#closeIdle();
    this.#looks += 1;
    if (this.parts.source.file !== null && this.#looks % LOOKS_A_READING === 0) void this.#follow();
  };

  async #probe(member: Member): Promise<void> {
    const open = [...this.#open.values()].find((one) => one.member === member);
    if (open === undefined || this.#probing.has(member)) return;
    this.#probing.add(member);
    const listing = await open.list();
    this.#probing.delete(member);
    this.parts.fleet.probed(member, this.#troubleIn(listing));
  }

  #troubleIn(listing: ModelListing): string | null {
    return listing.kind === 'failed' ? listing.message : this.parts.served.problemOf(listing);
  }

  /** Reads the list again: servers join and leave. An unusable list is reported once, and nothing changes. */
  async #follow(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    const { source } = this.parts;
    try {
      const listed = new Map(readServers(source).map((server) => [keyOf(server), server]));
      const joining = [...listed].filter(([key]) => !this.#open.has(key));
      const joined = await Promise.allSettled(joining.map(([, server]) => this.#join(server)));
      const failed = joined.find(({ status }) => status === 'rejected');
      for (const [key, open] of this.#open) if (!listed.has(key)) this.#dismiss(open);
      if (failed?.status === 'rejected') throw failed.reason;
      this.#fault = null;
    } catch (error) {
      this.#reportFault(problemOf(error));
    } finally {
      this.#isReading = false;
    }
  }

  /** A problem with the list is reported once. */
  #reportFault(fault: string): void {
    if (fault !== this.#fault) this.parts.reporter.warning(`${fault} The list of servers stays as it was.`);
    this.#fault = fault;
  }

  async #join(server: Parameters<ServerOpener['open']>[0]): Promise<void> {
    const open = await this.parts.opener.open(server);
    this.#open.set(open.key, open);
    const listing = await open.list();
    if (this.#timer === null) return;
    this.parts.reporter.info(`${open.member.name} joins.`);
    this.admit(open, listing);
  }

  #dismiss(open: OpenMember): void {
    const { fleet, opener, reporter } = this.parts;
    this.#open.delete(open.key);
    this.#leaving.push(open);
    fleet.dismiss(open.member);
    opener.forget(open);
    reporter.info(`${open.member.name} is no longer listed and gets no more requests.`);
  }

  #closeIdle(): void {
    const idle = this.#leaving.filter(({ member }) => member.concurrency.inFlight === 0);
    this.#leaving = this.#leaving.filter((one) => !idle.includes(one));
    for (const { client } of idle) void client.close();
  }
}
