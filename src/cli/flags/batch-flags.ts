/** How batches are watched, by `watch-batch` and by the workers of a plan. */

import { UsageError } from '../../lib/errors.js';
import { kind, LIST_IN_CODE, number } from '../../lib/kinds.js';
import { sanitize } from '../../lib/text.js';
import { isId } from '../../batches/id.js';
import { DEFAULT_CHECK_INTERVAL_S } from '../../session/watch-options.js';
import { flag } from './flag.js';

export const ids = kind<readonly string[]>('<id,id>', idsOf, { repeats: true, inCode: LIST_IN_CODE });
const NO_IDS: readonly string[] = [];

export const BATCH_FLAGS = {
  give_up: flag({
    kind: ids,
    fallback: NO_IDS,
    group: 'batches',
    help: 'treat these batches as lost although the account cannot confirm it: their rows may be sent again',
    details:
      'Also takes the name of another machine’s marker file, which says that it sends rows online. See [batches](batches.md).',
    isAction: true,
    commands: { 'watch-batch': true, work: true },
  }),
  check_interval: flag({
    kind: number(0, 86_400, '<seconds>'),
    fallback: DEFAULT_CHECK_INTERVAL_S,
    group: 'batches',
    help: 'time between two polls',
    aliases: ['interval', 'poll_interval', 'polling_interval'],
    commands: {
      'watch-batch': true,
      work: { help: 'time between two looks at the batches of a plan with --batch' },
    },
  }),
};

/** Ids, separated by commas; plain ones may be separated by spaces as well, which other ids can contain. */
function idsOf(given: string, source: string): readonly string[] {
  const found = given
    .split(/[,\n]/)
    .flatMap((part) => (/^[\s\w.-]*$/.test(part) ? part.split(/\s+/) : [part.trim()]))
    .filter((id) => id !== '');
  const wrong = found.find((id) => !isId(id));
  if (wrong !== undefined || found.length === 0) {
    throw new UsageError(
      `${source} takes ids such as batch_abc,batch_def, not ${sanitize(wrong ?? given, 60)}.`,
    );
  }
  return [...new Set(found)];
}
