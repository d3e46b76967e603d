import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { plannedSettings, settingsToPlan } from '../../src/cli/planned-settings.js';
import { commandLineLayer, parseFlags } from '../../src/cli/flags/parse.js';
import { identityFlags } from '../../src/run/identity.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { plannedFlags } from '../../src/shards/planned-flags.js';
import { temporaryFolder } from '../support/cli.js';

it('workers read a plan’s flags as the command line did, including files that they cannot see', () => {
  const folder = temporaryFolder();
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return `@${join(folder, name)}`;
  };
  const variableSource = { variables: {}, redactor: new Redactor() };
  const given = {
    dataset: join(folder, 'data.jsonl'),
    annotator: 'gpt-4o',
    limit: '1_000',
    temperature: '0.50',
    seed: 'none',
    stop: 'a,b',
    logit_bias: '{"50256":-100}',
    extra_body: file('body.json', '{"top_k": 5}'),
    system_prompt: file('system.txt', 'Be brief, and say {why}.'),
    prompt_template: file('template.txt', '{prompt}\n\nAnswer:'),
    keep_columns: 'all',
    accept_finish_reason: 'eos,null',
    include_metadata: true,
    base_url: 'https://user:secret-password@example.com/v1',
    max_cost: '5',
  };
  const { settings, given: names } = settingsToPlan(
    parseFlags('reannotate', commandLineLayer(given)),
    variableSource,
  );
  const kept = plannedFlags(settings, names, true);
  expect(JSON.stringify(kept)).not.toContain('secret-password');
  const again = plannedSettings({ ...kept, base_url: 'https://example.com/v1' }, null, variableSource);
  expect(identityFlags(again)).toEqual(identityFlags(settings));
  expect(again.policy).toEqual(settings.policy);
  expect(again.call.acceptFinishReason).toEqual(settings.call.acceptFinishReason);
  expect(again.output.includeMetadata).toBe(true);
  expect(() => plannedSettings(kept, null, variableSource)).toThrow('without its password or key');
});
