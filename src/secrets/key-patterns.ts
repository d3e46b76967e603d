/**
 * What keys of well-known services look like, no matter whose they are. The shapes are those of gitleaks' rules
 * (github.com/gitleaks/gitleaks, `config/gitleaks.toml`), as far as a prefix distinguishes such keys from ordinary text.
 */

interface KeyPattern {
  /** For messages, such as `an OpenAI key`. */
  name: string;
  pattern: RegExp;
}

const PATTERNS: readonly KeyPattern[] = [
  { name: 'a key that begins with sk-', pattern: /(?<![\w-])sk-[\w-]{20,300}/g },
  { name: 'a Hugging Face token', pattern: /(?<!\w)hf_[A-Za-z0-9]{24,60}(?!\w)/g },
  { name: 'a Groq key', pattern: /(?<!\w)gsk_[A-Za-z0-9]{40,60}(?!\w)/g },
  { name: 'an xAI key', pattern: /(?<!\w)xai-[A-Za-z0-9]{60,100}(?!\w)/g },
  { name: 'a Google API key', pattern: /(?<!\w)AIza[\w-]{35}(?![\w-])/g },
  { name: 'a GitHub token', pattern: /(?<!\w)gh[pousr]_[A-Za-z0-9]{36}(?!\w)/g },
  { name: 'a GitHub token', pattern: /(?<!\w)github_pat_\w{82}(?!\w)/g },
  { name: 'an AWS access key', pattern: /(?<!\w)(?:AKIA|ASIA)[A-Z2-7]{16}(?!\w)/g },
];

/** Every prefix, for a quick look. */
const PREFIX = /sk-|hf_|gsk_|xai-|AIza|gh[pousr]_|github_pat_|AKIA|ASIA/;
/** Bits a character; gitleaks takes 3 for most keys. Words and crosses have less, or no digits. */
const LEAST_ENTROPY = 3;

/** What a text has that looks like a key, such as `a GitHub token`; null for nothing. */
export function keyLikeIn(text: string): string | null {
  if (!PREFIX.test(text)) return null;
  for (const { name, pattern } of PATTERNS) {
    for (const [found] of text.matchAll(pattern)) if (isRandom(found)) return name;
  }
  return null;
}

/** True for letters and digits as chance gives them; examples of documentation and names with hyphens are not. */
function isRandom(key: string): boolean {
  const secret = key.replace(/^[A-Za-z]{2,10}[-_]/, '');
  if (/EXAMPLE$/.test(key) || entropyOf(secret) < LEAST_ENTROPY) return false;
  const isWords = secret
    .split(/[-_]/)
    .every((part) => /^(?:[A-Za-z]?[a-z]{0,14}|[A-Z]{0,14}|\d{0,4})$/.test(part));
  return !isWords;
}

/** Shannon's, in bits a character. */
function entropyOf(text: string): number {
  const times = new Map<string, number>();
  for (const character of text) times.set(character, (times.get(character) ?? 0) + 1);
  return [...times.values()].reduce((sum, count) => {
    const share = count / text.length;
    return sum - share * Math.log2(share);
  }, 0);
}
