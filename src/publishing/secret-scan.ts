/** A last look at what is about to be pushed: a key that went public is lost, and what a history holds stays in it. */

import { openAsBlob } from 'node:fs';
import { ParquetFile } from '../datasets/parquet.js';
import { ExcessiveRow, NO_LIMITS } from '../datasets/row-limits.js';
import { UserError } from '../lib/errors.js';
import { cooperativePause } from '../lib/files.js';
import { isObject } from '../lib/json.js';
import { keyLikeIn } from '../secrets/key-patterns.js';
import type { Redactor } from '../secrets/redactor.js';
import { count, sanitize, plural } from '../lib/text.js';
import { CARD_PATH, SUMMARY_PATH, type PushedFiles } from './repository.js';

/** Places that are named. */
const SHOWN = 5;

/** What a place holds: a secret of this process, or something that looks like a key of anybody. */
interface Finding {
  /** Such as `row 17, column annotation`. */
  place: string;
  what: string;
}

/**
 * Looks for secrets in every file of a push, in any spelling, and for what looks like a key.
 * @param allowed whether what merely looks like a key may be pushed
 * @throws UserError that names the places
 */
export async function refuseSecrets(files: PushedFiles, redactor: Redactor, allowed: boolean): Promise<void> {
  const findings = new Findings(redactor, !allowed);
  findings.look(files.card, CARD_PATH);
  findings.look(files.summary, SUMMARY_PATH);
  await lookAtRows(files.data, findings);
  findings.refuse();
}

async function lookAtRows(path: string, findings: Findings): Promise<void> {
  const blob = await openAsBlob(path);
  const file = await ParquetFile.open(
    { byteLength: blob.size, slice: (start, end) => blob.slice(start, end).arrayBuffer() },
    path,
    { limits: NO_LIMITS },
  );
  const pause = cooperativePause();
  let row = 0;
  for await (const value of file.read(file.columns, 0, file.rows)) {
    if (value instanceof ExcessiveRow) throw new Error(`row ${row} of ${path} ${value.problem}`);
    for (const column of file.columns)
      findings.lookAtValue(value[column], `row ${row}, column ${sanitize(column, 60)}`);
    row += 1;
    await pause();
  }
}

class Findings {
  readonly #known: Finding[] = [];
  readonly #alike: Finding[] = [];
  #knownTimes = 0;
  #alikeTimes = 0;

  constructor(
    private readonly redactor: Redactor,
    private readonly looksForPatterns: boolean,
  ) {}

  lookAtValue(value: unknown, place: string): void {
    if (typeof value === 'string') this.look(value, place);
    else if (Array.isArray(value)) for (const one of value as unknown[]) this.lookAtValue(one, place);
    else if (isObject(value)) {
      for (const [name, one] of Object.entries(value)) {
        this.look(name, place);
        this.lookAtValue(one, place);
      }
    }
  }

  look(text: string, place: string): void {
    const source = this.redactor.sourceIn(text);
    if (source !== null) {
      this.#knownTimes += 1;
      if (this.#known.length < SHOWN) this.#known.push({ place, what: source });
      return;
    }
    const alike = this.looksForPatterns ? keyLikeIn(text) : null;
    if (alike === null) return;
    this.#alikeTimes += 1;
    if (this.#alike.length < SHOWN) this.#alike.push({ place, what: alike });
  }

  /** @throws UserError where something was found */
  refuse(): void {
    if (this.#knownTimes > 0) {
      throw new UserError(
        `${plural(this.#knownTimes, 'text')} would publish a secret: ${listed(this.#known, this.#knownTimes)}. ` +
          'Replace that key, since it is in the files of this run, then start over with --overwrite.',
      );
    }
    if (this.#alikeTimes === 0) return;
    throw new UserError(
      `${plural(this.#alikeTimes, 'text')} may hold a key: ${listed(this.#alike, this.#alikeTimes)}. Check them; if no ` +
        'real key is among them, add --allow_secrets.',
    );
  }
}

function listed(findings: readonly Finding[], times: number): string {
  const shown = findings.map(({ place, what }) => `${place} (${what})`).join('; ');
  return times > findings.length ? `${shown}; and ${count(times - findings.length)} more` : shown;
}
