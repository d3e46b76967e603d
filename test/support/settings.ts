/** Flags as they are typed, made into what a command works with. */

import { judgeSettings } from '../../src/cli/judge-settings.js';
import {
  commandLineLayer,
  mergeLayers,
  parseFlags,
  type Parsed,
  type RawFlags,
} from '../../src/cli/flags/parse.js';
import type { CommandName } from '../../src/cli/commands.js';
import { runSettings } from '../../src/cli/run-settings.js';
import { watchSettings } from '../../src/cli/watch-settings.js';
import type { JudgeOptions } from '../../src/judge/options.js';
import type { RunSettings } from '../../src/run/settings.js';
import { Redactor } from '../../src/secrets/redactor.js';
import type { WatchOptions } from '../../src/session/watch-options.js';

type Variables = Readonly<Record<string, string>>;

function parsed<Name extends CommandName>(name: Name, flags: RawFlags): Parsed<Name> {
  return parseFlags(name, mergeLayers(name, [commandLineLayer(flags)]));
}

export function settingsFor(flags: RawFlags, variables: Variables = {}): RunSettings {
  return runSettings(parsed('reannotate', flags), { variables, redactor: new Redactor() });
}

export function watchSettingsFor(flags: RawFlags, variables: Variables = {}): WatchOptions {
  return watchSettings(parsed('watch-batch', flags), { variables, redactor: new Redactor() });
}

export function judgeSettingsFor(flags: RawFlags, variables: Variables = {}): JudgeOptions {
  return judgeSettings(parsed('judge', flags), { variables, redactor: new Redactor() });
}
