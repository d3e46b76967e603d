import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ProcessorCounts } from '../../src/requests/processor.js';
import { Totals } from '../../src/run/totals.js';
import { temporaryFolder } from '../support/cli.js';

const counts = (sent: number, throttled: number, retried: number): ProcessorCounts => ({
  ...{ sent, throttled, retried },
  ...{ answered: 0, failed: 0 },
});

it('a session that sends twice counts both times, and so does the next one', () => {
  const path = join(temporaryFolder(), 'counters.json');
  const totals = new Totals(path, null, new Date());
  totals.follow(counts(10, 2, 1));
  totals.save();
  totals.follow(counts(3, 1, 0));
  totals.save();
  const both = { sent: 13, throttled: 3, retried: 1 };
  expect(totals.requests).toEqual(both);
  expect(new Totals(path, null, new Date()).requests).toEqual(both);
});
