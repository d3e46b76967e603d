import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LogFile } from '../../src/terminal/log.js';
import { Redactor } from '../../src/secrets/redactor.js';

describe('a log on a full disk', () => {
  it.skipIf(!existsSync('/dev/full'))('never throws, and says how much is missing', () => {
    const log = new LogFile('/dev/full', 'info', new Redactor([]));
    log.write('info', 'one');
    log.write('debug', 'below the threshold');
    log.write('warning', 'two');
    log.close();
    expect(log.problem).toMatch(/^2 lines could not be written to \/dev\/full \(.+\)\.$/);
  });
});
