/** Refusals of models that answer only to streamed requests. */

/** Each wording with where it was seen. */
const WORDINGS: readonly RegExp[] = [
  // "This model only support stream mode, please enable the stream parameter" (Alibaba; infiniflow/ragflow#5912).
  /only (?:supports?|allows?|accepts?|works? (?:with|in)|available (?:with|in|for|as|via)|be used (?:with|in)|uses?) (?:the )?["'`]?stream/i,
  // "parameter.enable_thinking must be set to false for non-streaming calls" (Alibaba, Qwen3; QwenLM/Qwen3#1286).
  /must be (?:set to )?false for non-?stream/i,
  // "Stream must be set to true" (ChatGPT's Codex backend; openai/codex), "'stream' must be true".
  /stream["'`]?(?:ing)?(?: (?:parameter|field|option|mode))?["'`]? (?:must|should|has to|needs to) be (?:set (?:to )?)?["'`]?(?:true|enabled|on|used)/i,
  // "Streaming is required for operations that may take longer than 10 minutes" (Anthropic's SDKs, proxies before it).
  /stream(?:ing|ed)?["'`]?(?: (?:mode|requests?|parameter))? (?:is|are) (?:\w+ )?(?:required|mandatory|needed)/i,
  // "must be streamed", "requires streaming", "requires stream=true".
  /must be streamed|(?:requires?|needs?) (?:that )?(?:the )?["'`]?stream/i,
  // "Please set stream=true", "please use stream mode", "set \"stream\": true".
  /(?:set|use|enable|pass|with|turn on|add)\s+(?:the )?["'`]?stream(?:ing)?["'`]?(?: mode| parameter| option)?(?:\s*(?:=|:|to)\s*["'`]?true| to access| instead|$|[.,;!])/i,
  // "Non-streaming requests are not supported", "does not support non-streaming output".
  /non[- ]?stream(?:ing|ed)?\b[^.]{0,40}(?:not (?:supported|allowed|available|permitted)|unsupported|disabled)/i,
  /(?:not support|unsupported|cannot|can't)[^.]{0,30}\bnon[- ]?stream/i,
  // "stream=false is not supported", "Unsupported value: 'stream' does not support false with this model" (OpenAI's form).
  /stream["'`]?\s*(?:=|:|does not support|cannot be|can't be|must not be)\s*["'`]?false/i,
  // "current user api does not support http call" (Alibaba, of Qwen3's open models: "use streaming output").
  /api does not support http call/i,
  // Chinese gateways: "supports only streaming calls", "please use streaming".
  /仅支持流式|只支持流式|请使用流式|不支持非流式/,
];

/** "'stream' does not support true", "stream=true is not supported": the other way round. */
const REFUSES_STREAM =
  /stream(?:ing)?["'`]? (?:does not support|cannot be|must not be) ["'`]?true|stream["'`]?\s*[=:]\s*["'`]?true["'`]? is (?:not|un)|stream(?:ing)?["'`]?(?: mode| parameter)? is (?:not|un)|(?:not|n't|un) ?support(?:ed)? (?:for )?["'`]?stream/i;

/** True where the text of an error says that requests to this model have to be streamed. */
export function asksForStream(message: string): boolean {
  if (!/stream|流式|http call/i.test(message)) return false;
  const text = message.slice(0, 2000);
  return WORDINGS.some((wording) => wording.test(text)) && !REFUSES_STREAM.test(text);
}
