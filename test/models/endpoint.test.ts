import { describe, expect, it } from 'vitest';
import { findEndpoint, keyVariablesOf } from '../../src/models/endpoint.js';
import type { ModelCall } from '../../src/models/call.js';
import { settingsFor } from '../support/settings.js';

function callOf(annotator: string, variables: Record<string, string>): ModelCall {
  return settingsFor({ annotator, dataset: 'data.jsonl' }, variables).call;
}

describe('the key of a server on this machine', () => {
  it.each(['ollama', 'vllm', 'lmstudio', 'sglang', 'llamacpp', 'tgi'])(
    '%s: is sent where its variable is set, and is not needed',
    (name) => {
      const variable = `${name.toUpperCase()}_API_KEY`;
      const withKey = callOf(`${name}/m`, { [variable]: 'a-local-key-0001' });
      expect(findEndpoint(withKey).apiKey).toBe('a-local-key-0001');
      const without = callOf(`${name}/m`, {});
      expect(findEndpoint(without).apiKey).toBeNull();
      // Recorded, it would be needed by whoever runs the same again.
      expect(keyVariablesOf(without)).toBeNull();
    },
  );

  it('of a provider is needed', () => {
    const call = callOf('groq/m', {});
    expect(() => findEndpoint(call)).toThrow('GROQ_API_KEY');
    expect(keyVariablesOf(call)).toBe('GROQ_API_KEY');
  });
});
