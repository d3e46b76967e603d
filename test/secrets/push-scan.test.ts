import { describe, expect, it } from 'vitest';
import { join } from 'node:path';
import { refuseSecrets } from '../../src/publishing/secret-scan.js';
import { keyLikeIn } from '../../src/secrets/key-patterns.js';
import { Redactor } from '../../src/secrets/redactor.js';
import { temporaryFolder } from '../support/cli.js';
import { parquetWriteFile } from 'hyparquet-writer';

const KEY = 'sk-SECRETab/cd+efGHIJKLMNOPQRSTUVWXYZ0123456789';
const redactor = new Redactor([{ value: KEY, source: 'OPENAI_API_KEY' }]);
const TOKEN = `hf_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbC`;

/** What a push of these answers ends with; null where nothing speaks against it. */
async function refusalOf(answers: string[], allowed: boolean, card = '# Answers'): Promise<string | null> {
  const data = join(temporaryFolder(), 'train.parquet');
  parquetWriteFile({
    filename: data,
    columnData: [
      { name: 'user_prompt', data: answers.map(() => 'p'), type: 'STRING' },
      { name: 'annotation', data: answers, type: 'STRING' },
    ],
  });
  try {
    await refuseSecrets({ card, summary: '{}', data, record: '{}', digests: new Map() }, redactor, allowed);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a push', () => {
  it('of ordinary texts goes through', async () => {
    expect(await refusalOf(['yes', 'sk-learn and sk-1'], false)).toBeNull();
  });

  it('never contains a known secret, in any spelling, with any flag', async () => {
    const escaped = Buffer.from(`Bearer ${KEY}`).toString('base64');
    for (const allowed of [false, true]) {
      const refusal = await refusalOf(['fine', `say ${escaped}`], allowed);
      expect(refusal).toContain('1 text would publish a secret: row 1, column annotation (OPENAI_API_KEY)');
    }
    expect(await refusalOf(['fine'], true, `# ${KEY}`)).toContain('README.md (OPENAI_API_KEY)');
  });

  it('of anything that looks like a key needs --allow_secrets', async () => {
    const refusal = await refusalOf(['fine', 'fine', `use ${TOKEN}`], false);
    expect(refusal).toContain('row 2, column annotation (a Hugging Face token)');
    expect(refusal).toContain('--allow_secrets');
    expect(refusal).not.toContain(TOKEN);
    expect(await refusalOf([`use ${TOKEN}`], true)).toBeNull();
  });
});

describe('anything that looks like a key', () => {
  it.each([
    'sk-0f1e2d3c4b5a69788796a5b4c3d2e1f0',
    'sk-proj-Ab3_dE5gH7jK9-mN1pQ2rS4tU6vW8xY0zAbC',
    'sk-ant-api03-Ab3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbC',
    TOKEN,
    `gsk_${'aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA'.repeat(2).slice(0, 52)}`,
    'AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q',
    'ghp_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbC12',
    'AKIAQYLPMN5HHHFPZAM2',
  ])('%s', (key) => {
    expect(keyLikeIn(`export KEY="${key}"`)).not.toBeNull();
  });

  it.each([
    'risk-assessment-of-everything-2024',
    'sk-learn-is-a-library-of-python-3',
    'sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
    'hf_model_for_causal_language_modelling',
    'AKIAIOSFODNN7EXAMPLE',
    'sk-your-api-key-goes-right-here',
  ])('is not %s', (text) => {
    expect(keyLikeIn(text)).toBeNull();
  });
});
