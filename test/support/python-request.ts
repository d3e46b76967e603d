/** A request as the Python tool wrote it into `jobs.json`: with every parameter, as null where it has no value. */
export function pythonRequest(prompt: string): Record<string, unknown> {
  return {
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: prompt }],
    temperature: 1,
    top_p: 1,
    seed: 42,
    max_tokens: 2048,
    stop: null,
    frequency_penalty: 0,
    logit_bias: null,
    logprobs: false,
    top_logprobs: null,
    n: 1,
    presence_penalty: 0,
  };
}
