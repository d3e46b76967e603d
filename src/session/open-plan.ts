/** A planned run as its workers and its merge open it: the plan, and the settings that it was made with. */

import { resolve } from 'node:path';
import { requireOwnFolder } from '../lib/own-folder.js';
import { identityFlags, refuseChanges } from '../run/identity.js';
import type { RunSettings } from '../run/settings.js';
import { shardsDir } from '../shards/folders.js';
import type { PlannedFlags } from '../shards/planned-flags.js';
import { readPlan, type Plan } from '../shards/plan.js';
import type { RetriableState } from '../types.js';

export interface OpenPlan {
  /** Absolute. */
  runDir: string;
  plan: Plan;
  settings: RunSettings;
}

/**
 * @param settingsOf makes settings of the plan's flags, and of those of this process
 * @param retry states whose rows are sent again
 * @throws UserError where the plan is missing or damaged, or this version of the program makes other requests of it
 */
export function openPlan(
  path: string,
  settingsOf: (flags: PlannedFlags) => RunSettings,
  retry: readonly RetriableState[],
): OpenPlan {
  const runDir = resolve(path);
  requireOwnFolder(runDir);
  requireOwnFolder(shardsDir(runDir));
  const plan = readPlan(runDir);
  const settings = settingsOf(plan.flags);
  refuseChanges(plan.asked, identityFlags(settings), settings.call.given);
  return {
    runDir,
    plan,
    settings: { ...settings, policy: { ...settings.policy, earlier: 'resume', retry } },
  };
}
