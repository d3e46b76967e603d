/** What a secret is, and which values are worth hiding. */

/** A value that must not get out, and where it comes from. */
export interface Secret {
  value: string;
  /** For messages, such as `OPENAI_API_KEY` or `the address in HTTPS_PROXY`. */
  source: string;
}

/** Fewer characters than that are no secret, and would garble ordinary text. */
const SHORTEST = 8;
/** Letters of one case, with or without hyphens, are a word up to here. */
const LONGEST_WORD = 15;
/** Fewer different characters than that are a row of crosses. */
const FEWEST_DIFFERENT = 5;

/** What documentation puts in the place of a key: llama.cpp, vLLM, LM Studio, LiteLLM, Ollama, LocalAI. */
const PLACEHOLDER =
  /^(?:sk-)?(?:no|not|your|my|fake|dummy|test|some|any|the|insert|add)[-_ ]?(?:open-?ai[-_ ])?(?:api[-_ ]?)?(?:key|token|needed|required|set|used)(?:[-_ ](?:here|required|needed|set|used))?$/i;

/**
 * True for a value that is hidden: at least 8 characters, with 5 different ones among them, and neither a word (letters
 * of one case, up to 15) nor a placeholder such as `no-key-required`. Anything less is in answers for reasons of
 * its own, and hiding it would change them.
 */
export function isHidden(value: string): boolean {
  if (value.length < SHORTEST || new Set(value).size < FEWEST_DIFFERENT) return false;
  const isWord =
    value.length <= LONGEST_WORD && /^(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)(?:[-_ ][a-z]+|[-_ ][A-Z]+)*$/.test(value);
  return !isWord && !PLACEHOLDER.test(value);
}
