/** The refusals of models that do not answer on `/chat/completions`, and do on `/responses`. */

const WORDINGS: readonly { pattern: RegExp; source: string }[] = [
  {
    pattern:
      /only (?:be )?(?:supported|available|accessible|used) (?:in|on|via|through|with) (?:the )?(?:\/?v1)?\/?responses\b/i,
    source: 'OpenAI 404: “only supported in v1/responses and not in v1/chat/completions”',
  },
  {
    pattern: /not a chat model and thus not supported in the v1\/chat\/completions/i,
    source: 'OpenAI 404, of codex and pro models',
  },
  {
    pattern: /chatCompletion operation does not work with the specified model/i,
    source: 'Azure 400 OperationNotSupported',
  },
  {
    pattern:
      /not (?:accessible|supported|available) (?:via|in|on|by|through) the \/?(?:v1\/)?chat[/ ]completions/i,
    source: 'GitHub Copilot 400 unsupported_api_for_model',
  },
  {
    pattern:
      /(?:please |must |should )?(?:use|call|switch to) (?:the )?(?:\/?v1\/responses|\/responses|responses api|responses endpoint)/i,
    source: 'gateways that serve the Responses API alone',
  },
];

/** True where the text of an error says that requests to this model belong to the Responses API. */
export function asksForResponses(message: string): boolean {
  const text = message.slice(0, 2000);
  return WORDINGS.some(({ pattern }) => pattern.test(text));
}
