/**
 * What a refusal means, as a table. The first entry that fits decides; where none does, the parameters that the text
 * names and then the status do. A new provider's wording is a new entry, with where it was seen, and a line in
 * `test/requests/refusals.test.ts`.
 */

import type { Refusal } from './refusal-body.js';

/** Why nothing that is sent can succeed. */
export type RunCause = 'key' | 'model' | 'quota' | 'account';

export type Meaning =
  /** Nothing that is sent can succeed until the user does something. */
  | { run: RunCause }
  /** This row's own fault: withheld by a filter, too long for the model, or refused without a further reason. */
  | { row: 'filtered' | 'too long' }
  /**
   * Works after a while: too many requests, an overloaded server, the model is being loaded, no capacity left over for a
   * cheaper service tier.
   */
  | { later: 'throttle' | 'busy' | 'loading' | 'capacity' };

interface Entry {
  means: Meaning;
  /** Statuses that it is seen with; any where left out. */
  status?: readonly number[];
  /** In the codes, types and reasons. */
  code?: RegExp;
  /** In a field that names the part of the request that is at fault. */
  named?: RegExp;
  /** True for refusals whose fields say that a content filter flagged the prompt. */
  flagged?: true;
  /** In the codes and the text; all of them. */
  text?: RegExp | readonly RegExp[];
  /** What makes it something else. */
  unless?: RegExp;
  source: string;
}

/** Where a refusal of the request itself is seen; 5xx come from gateways that wrap it. */
const REFUSED = [400, 401, 402, 403, 404, 412, 413, 422, 429, 500, 503];
const NO_CREDIT: Meaning = { run: 'quota' };
const WRONG_KEY: Meaning = { run: 'key' };
const NO_MODEL: Meaning = { run: 'model' };
const ACCOUNT: Meaning = { run: 'account' };
const FILTERED: Meaning = { row: 'filtered' };
const TOO_LONG: Meaning = { row: 'too long' };

/*
 * Patterns are linear: no repetition inside another, and every gap between words is bounded. Texts that need several
 * words anywhere are lists of patterns.
 */
export const REFUSALS: readonly Entry[] = [
  // What the structure of the body says goes before any wording.
  {
    means: FILTERED,
    status: [400, 403, 422, 451, 500],
    flagged: true,
    source:
      'OpenRouter 403 with `metadata.flagged_input` or `metadata.reasons`, Azure `content_filter_result`',
  },

  // The windows of subscriptions, whose wording is that of spent money, and which start over by themselves.
  {
    means: { later: 'throttle' },
    status: [429],
    text: /limits? (?:will )?resets? (?:at|on|in|after)\b|weekly (?:usage )?limit|\b\d{1,2}[- ]hours? (?:usage )?limit/i,
    source: 'Z.ai 429 1308 and 1310 (docs.z.ai, api-code), Ollama Cloud 429',
  },

  // No credit: waiting does not help.
  {
    means: NO_CREDIT,
    status: [402],
    source: 'RFC 9110; OpenRouter, DeepSeek, Hugging Face, Cerebras, Together',
  },
  {
    means: NO_CREDIT,
    code: /insufficient_quota|credit_balance_exhausted|spend_limit_exceeded|usage_limit_exceeded|billing_hard_limit|billing_not_active/,
    source: 'OpenAI, guides/error-codes',
  },
  { means: NO_CREDIT, code: /exceeded_current_quota_error/, source: 'Moonshot 429, docs of errors' },
  {
    means: NO_CREDIT,
    code: /^(?:.* )?(?:1113|1309|1008|30001)(?: |$)/,
    source: 'Zhipu 429 1113, Z.ai 429 1309 (the plan has expired), MiniMax 1008, SiliconFlow 403 30001',
  },
  {
    means: NO_CREDIT,
    code: /Arrearage|AllocationQuota\.FreeTierOnly|PrepaidBillOverdue|PostpaidBillOverdue/,
    source: 'Alibaba Model Studio, error codes',
  },
  {
    means: NO_CREDIT,
    code: /AccountOverdue|SetLimitExceeded|InArrears|OutOfService/,
    source: 'Volcengine and BytePlus (ModelArk, error codes), Tencent Cloud error codes',
  },
  {
    means: NO_CREDIT,
    code: /not_enough_balance|insufficient_(?:user_)?(?:balance|credits?|funds|quota)|payment_required|budget_exceeded|ExceededBudget|pre_consume_token_quota_failed/i,
    source: 'Novita, DeepSeek, Cerebras, new-api, LiteLLM',
  },
  {
    means: NO_CREDIT,
    code: /BILLING_DISABLED|INVALID_PAYMENT_INSTRUMENT/,
    source: 'Vertex AI 403, Bedrock 403',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /credit balance is too low|reached your specified API usage limits|used up your daily free allocation/i,
    source: 'Anthropic 400, Cloudflare Workers AI 429',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /used all available credits|doesn.t have any credits|monthly included credits|free tier of the model has been exhausted|exhausted (?:its|your|the) free|trial key[^.]{0,80}limited to/i,
    source: 'xAI 429 and 403, Hugging Face 402, Alibaba 403, BytePlus 429, Cohere 429',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /(?:insufficient|not enough|no more|no remaining|out of|run out of) (?:account |available |user |your )?(?:balance|credits?|funds)\b/i,
    source: 'DeepSeek 402, Novita 403, Replicate 402, DeepInfra 402',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /balance (?:is )?(?:insufficient|too low|not enough|depleted|exhausted)|balance has been (?:depleted|exhausted)/i,
    source: 'SiliconFlow 403, Moonshot 429, Hyperbolic 402',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /requires more credits|credit limit exceeded|out of credits|credits? (?:has|have|is|are) (?:been )?(?:depleted|exhausted|expired|run out)/i,
    source: 'OpenRouter 402, Together 402, Perplexity 401, Gemini 429 of prepaid accounts',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /(?:spend(?:ing)?|billing|usage) (?:hard )?(?:limit|cap) (?:has been |was )?(?:reached|exceeded)|(?:reached|exceeded|reaching) (?:its|your|the) (?:(?:monthly|organization|project|workspace) )?(?:spend(?:ing)?|billing|usage) (?:limit|cap)|monthly spending limit/i,
    source: 'xAI 429, Fireworks 412, OpenAI 400, Groq 429 blocked_api_access',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /budget has been exceeded|budget exceeded|exceeded (?:the |your )?budget|over budget/i,
    source: 'LiteLLM 400 and 429, Portkey 412',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /billing to be enabled|check your billing details|account is (?:not active|past due)|unpaid invoice|failure to pay/i,
    unless: /RESOURCE_EXHAUSTED|plan and billing details/,
    source: 'Vertex AI 403, OpenAI 429 billing_not_active, Fireworks 412',
  },
  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /余额不足|额度不足|额度已用|额度失败|剩余额度|余额已用|欠费|已欠费|账户余额/,
    source: 'one-api, new-api (a reservation that fails names the quota left), SiliconFlow, Zhipu',
  },

  {
    means: NO_CREDIT,
    status: REFUSED,
    text: /\b(?:key|credit|spend) limit (?:has been |was )?(?:exceeded|reached)|(?:reached|exceeded|hit) (?:its|your|the) (?:credit|spend|key) limit/i,
    source: 'OpenRouter 403, Vercel AI Gateway',
  },
  {
    means: NO_CREDIT,
    status: [400, 401, 403, 412, 422],
    text: [
      /\b(?:credits?|balance|funds|prepaid|quota)\b/i,
      /insufficient|exhaust|deplet|run out|ran out|used up|not enough|no (?:more|remaining|quota)|too low|negative|\b(?:add|buy|purchase) (?:more )?(?:credits?|funds)|top[- ]?up|recharge/i,
    ],
    unless: /per[- ](?:second|minute|hour|day)|try again in|RESOURCE_EXHAUSTED/i,
    source: 'resellers, in words of their own',
  },
  {
    means: NO_CREDIT,
    status: [400, 401, 403, 412],
    text: [
      /\b(?:quota|budget|allowance|spend(?:ing)?|usage limit)\b/i,
      /\bexceed(?:ed|s|ing)?\b|\breach(?:ed|es)?\b|exhaust|used up|\bhit\b/i,
    ],
    unless:
      /per[- ](?:second|minute|hour|day)|\bdaily\b|thinking|reasoning|budget_tokens|try again in|rate[- _]?limit|RESOURCE_EXHAUSTED|too many requests/i,
    source:
      'keys and projects with a quota or a budget of their own: Portkey, Cloudflare AI Gateway, resellers',
  },
  {
    means: NO_CREDIT,
    status: [429],
    text: /\b(?:add|buy|purchase) (?:more )?(?:credits?|funds)|top[- ]?up\b|recharge|no (?:more |remaining )?(?:free )?(?:credits?|quota)\b/i,
    unless: /per[- ](?:second|minute|hour|day)|try again in|RESOURCE_EXHAUSTED/i,
    source: 'resellers; a limit that lifts by itself asks for patience, not for money',
  },
  {
    means: NO_CREDIT,
    status: [400, 401, 403, 412, 429],
    text: /\b(?:subscription|plan|membership|package)s? (?:is |was |has )?(?:not active|inactive|expired|cancell?ed|ended|lapsed|suspended|frozen)|valid (?:credit card|payment method)|credit card on file|no active (?:subscription|plan|billing)|payment (?:method )?(?:was |is |has )?(?:declined|failed|required|missing|expired)|wallet (?:is )?empty|\bdeposit\b[^.]{0,40}\b(?:to|before)\b/i,
    source:
      'subscriptions: GitHub Copilot, Poe, Featherless 403, Zhipu coding plans 429, Huawei token plans 403; Vercel AI Gateway 403',
  },
  {
    means: NO_CREDIT,
    status: [403, 429],
    text: [
      /\b(?:monthly|plan|subscription|billing (?:cycle|period)|this month)\b/i,
      /\b(?:quota|allowance|allotment|usage limit|token limit)\b/i,
      /exceed|reach|exhaust|used up|hit\b/i,
    ],
    unless: /per[- ](?:second|minute|hour|day)|try again in|RESOURCE_EXHAUSTED|plan and billing details/i,
    source: 'Vercel, Chutes, Featherless 429: a month, or more money',
  },

  // The account may not use this at all.
  {
    means: ACCOUNT,
    code: /unsupported_country_region_territory|organization_restricted|ip_not_authorized|account_deactivated|access_terminated|model_terms_required|SERVICE_DISABLED|CONSUMER_SUSPENDED/,
    source: 'OpenAI 403 and 401, Groq 400, Moonshot, Google 403',
  },
  {
    means: ACCOUNT,
    status: [...REFUSED, 451],
    text: /User location is not supported|Country, region, or territory not supported|not (?:available|supported|offered) in your (?:current )?(?:country|region|territory|area|location|jurisdiction)|not (?:allowed|authorized|permitted)[^.]{0,30} from (?:your|this) (?:IP|country|region|location)|(?:unavailable|blocked|restricted|prohibited)[^.]{0,40} in your (?:country|region|territory|location|jurisdiction)|\bIP(?: address)? [^.]{0,60}not (?:allowed|authorized|whitelisted|(?:in|on) the (?:allow|white|access)[- ]?list)/i,
    source: 'Gemini 400, OpenAI 403 and 401 ip_not_authorized',
  },
  {
    means: ACCOUNT,
    status: REFUSED,
    text: /organization must be verified|(?:organization|account|workspace|team|project|subscription|resource)[^.]{0,60} (?:has been|is|was) (?:restricted|disabled|deactivated|suspended|banned|blocked|archived|flagged|locked|frozen|terminated|closed)|not enabled for (?:your|this) (?:organization|account|workspace|team|project)/i,
    source:
      'OpenAI 403, Groq 400, Anthropic 400, Fireworks 412, Azure 403, W&B Inference 403; must not match prompts that are flagged',
  },
  {
    means: ACCOUNT,
    status: REFUSED,
    text: /matching your (?:[^.]{0,40} )?data policy|has not been used in project|(?:must|please|need to) (?:have [^.]{0,40})?accept the (?:model |licen[cs]e )?terms|not in the authorized list|\bgated (?:model|repo)|model is gated|agree to the (?:model.s )?licen[cs]e/i,
    source:
      'OpenRouter 404, Google 403, Groq 400 model_terms_required, Hugging Face and Featherless 403 of gated models',
  },

  // The key.
  {
    means: WRONG_KEY,
    code: /invalid_api_key|API_KEY_INVALID|authentication_error|invalid_authentication_error|InvalidApiKey|no_db_connection|auth_error|UNAUTHENTICATED|UnrecognizedClientException|token_not_found_in_db/,
    unless: /key_model_access_denied|not allowed to access model/i,
    source: 'OpenAI, Gemini 400, Anthropic, Moonshot, Alibaba, LiteLLM without a database 400, Bedrock',
  },
  {
    means: WRONG_KEY,
    status: REFUSED,
    text: /(?:incorrect|invalid|wrong|missing|malformed|expired|no|unknown) (?:api|access|virtual|proxy|subscription|authentication|auth|bearer|private|secret|client|service|project|user|team)[- ]?(?:server )?(?:keys?|token|credential)/i,
    source: 'xAI 400, LiteLLM 401, Azure 401, one-api 401, Together 400',
  },
  {
    means: WRONG_KEY,
    status: REFUSED,
    text: /api[- ]?key (?:is |was |has )?(?:been )?(?:not valid|not active|not authori[sz]ed|invalid|incorrect|expired|missing|required|not found|revoked|disabled|deleted|deactivated|inactive|suspended|blocked)|no auth credentials found|Authentication Error, |invalid proxy server token/i,
    source: 'Gemini 400, OpenRouter 401, LiteLLM 400, resellers',
  },
  {
    means: WRONG_KEY,
    status: REFUSED,
    text: /(?:unable|failed|not able) to authenticate\b|\b(?:could not|cannot|couldn.t) be authenticated\b|\bauthentication (?:failed|failure|error|(?:is )?required)\b|\bnot authenticated\b|\binvalid (?:authentication|credentials?)\b/i,
    source: 'Cloudflare 400, FastAPI security 403, gateways',
  },
  {
    means: WRONG_KEY,
    status: REFUSED,
    text: /\b(?:api|access|auth(?:entication|orization)?|bearer|security|id|session|jwt)[- ]?tokens?\b[^.]{0,40}? (?:is |was |has |are )?(?:not valid|invalid|incorrect|expired|missing|been (?:revoked|disabled|deleted))|\bJWT (?:is |has |was )?(?:expired|invalid|malformed)|(?:could not|couldn.t|cannot|unable to|failed to) (?:validate|verify|authenticate)[^.]{0,30} (?:credentials?|(?:api |access )?key|token)\b/i,
    source: 'FastAPI security 400 and 401, Bedrock 403, Supabase, Apigee and Kong gateways',
  },
  {
    means: WRONG_KEY,
    status: REFUSED,
    text: /authorization(?: header)? (?:is |was )?(?:missing|required|invalid|malformed|not (?:found|provided))|(?:missing|no|invalid|malformed) authorization\b|(?:failed|unable) to (?:get|read|find|parse)[^.]{0,20} authorization\b|\blogin fail/i,
    source: 'nginx and API gateways 400, Cloudflare 400, Huawei MaaS 400, MiniMax 1004',
  },
  {
    means: WRONG_KEY,
    status: REFUSED,
    text: /无效的令牌|令牌(?:已过期|无效|状态不可用)|身份验证失败/,
    source: 'one-api and new-api 401, Zhipu 401',
  },

  // The model.
  {
    means: NO_MODEL,
    code: /model_not_found|model_not_available|model_not_supported|model_decommissioned|model_not_active|invalid_model|unknown_model|DeploymentNotFound|ModelNotFound|ModelNotExist|InvalidModel|key_model_access_denied|team_model_access_denied/,
    source:
      'OpenAI 404, Together 400, Hugging Face 400, Groq 400, Mistral 400, Azure 404, GitHub Models 400, LiteLLM 401',
  },
  {
    means: NO_MODEL,
    status: [400, 404, 422],
    named: /^(?:body\.)?model$/,
    source: 'OpenAI 400, Together 400, Mistral 422: `param` or `loc` is the model itself',
  },
  {
    means: NO_MODEL,
    code: /(?:^| )(?:5007|1211)(?: |$)/,
    source: 'Cloudflare Workers AI 400 5007, Zhipu 400 1211',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /Model Not Exist|No such model|Invalid model name passed in|\binvalid model(?: name| id| identifier)?(?: ?[:,.'"`“]|$)|is not a valid model(?: ID)?|no model (?:is )?(?:named|loaded)|No models loaded|unknown model|allowed now, your model/i,
    source:
      'DeepSeek 400, Cloudflare, LiteLLM 400, OpenRouter 400, LM Studio 404, Perplexity 400, FastChat 400',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /No endpoints found for|\bFunction [^:]{1,80}: Not found for account|No allowed providers are available|not supported by any provider you have enabled|Unable to access (?:non-serverless )?model/i,
    source: 'OpenRouter 404, NVIDIA 404, Hugging Face 400, Together 400',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /无可用渠道|没有可用渠道|no available channels?|模型不存在/i,
    source: 'one-api and new-api 503, Zhipu',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /\bmodels?\b[^.]{0,120}? (?:does not exist|doesn.t exist|not found|was not found|is not found|could not be found|(?:is )?(?:currently )?not (?:loaded|served)|has been (?:decommissioned|deprecated|retired|removed|shut down)|is (?:deprecated|unavailable|not available|no longer available|not deployed)(?: and|$|\.| for| to))/i,
    unless: /parameter|argument/i,
    source: 'vLLM 404, Cohere 422, Gemini 404, Vertex AI 404, Groq 400',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /try pulling it first|LLM Provider NOT provided|provided model identifier is invalid|on-demand throughput isn.t supported|You don.t have access to the model|not (?:have|allowed) (?:access )?to (?:access )?(?:the )?model|no access to (?:the )?model\b|requested model [^.]{1,80} is not (?:permitted|allowed|authorized)|(?:plan|subscription|tier)\b[^.]{0,20} (?:does not|doesn.t) (?:yet )?include|does not support (?:chat|generate)(?:["'.,;]|$)|not a chat model|only supported in v1\/(?:responses|completions)/i,
    source:
      'Ollama 404 and 400, LiteLLM 400, Bedrock 400 and 403, OpenAI 403 and 404, GitHub Models 403, AI21 403, Z.ai 429 1311',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /unsupported model\b|model (?:is )?not supported\b/i,
    unless: /parameter|argument|with this model|for this model|by this model/i,
    source: 'Groq, NVIDIA, Alibaba 400 model_not_supported',
  },
  {
    means: NO_MODEL,
    status: REFUSED,
    text: /\b(?:not|isn.t) (?:a |an |one of the )(?:supported|served|known|recogni[sz]ed|allowed|deployed) models?\b|\b(?:engine|deployment) (?:was |is )?(?:not found|unknown)|no such (?:engine|deployment)|\b(?:engine|deployment)\b[^.]{0,80} does(?: not|n.t) exist/i,
    unless: /parameter|argument/i,
    source: 'LMDeploy 400, Azure and OpenAI 404 of engines, Databricks and Baseten 404',
  },

  // Content that a filter withholds.
  {
    means: FILTERED,
    code: /content_filter|content_policy|responsible_?ai|data_?inspection_?failed|invalid_prompt|content_blocked|prompt_blocked|moderation|guardrail|ContentPolicyViolation|SensitiveContentDetected|PROHIBITED_CONTENT|policy_violation/i,
    source: 'Azure 400, OpenAI 400, Alibaba 400, Moonshot 400, LiteLLM, Volcengine',
  },
  {
    means: FILTERED,
    code: /^(?:.* )?(?:1301|1026|1027)(?: |$)/,
    source: 'Zhipu 400 1301, MiniMax 1026 and 1027',
  },
  {
    means: FILTERED,
    status: [400, 403, 422, 451, 500],
    text: /Content Exists Risk|inappropriate content|requires moderation|(?:input|prompt|content|message)[^.]{0,60} flagged|flagged (?:by|as|for)|PROHIBITED_CONTENT|prohibited (?:words?|content|terms?)|\bNSFW\b|sensitive (?:words?|content|information)|content_risk|responsible AI|safety system|content management policy|blocked by (?:our |the |a )?(?:content|safety|guardrail)|SAFETY_CHECK_TYPE|violates? (?:\w+ ){0,4}(?:guidelines|polic(?:y|ies))|ContentPolicyViolation|guardrail|prompt injection|\bjailbreak|contains? (?:\w+ ){0,3}content (?:that |which )?(?:is |was )?not (?:allowed|permitted)/i,
    source:
      'DeepSeek 400, Alibaba 400, OpenRouter 403, OpenAI 400, Azure 400, xAI 403, Gemini 400, LiteLLM 400 (Lakera, Aporia, Presidio)',
  },
  {
    means: FILTERED,
    status: [400, 403, 422, 451],
    text: [
      /\b(?:prompt|input|content|messages?|response|answer|output|request|text)\b/i,
      /\b(?:PII|moderat(?:ion|ed|or)|safety|recitation|disallowed|harmful|unsafe|offensive|toxic|toxicity|hate|violence|sexual)\b/i,
      /\b(?:block(?:ed)?|reject(?:ed)?|refus(?:ed|al)|fail(?:ed|s)?|detect(?:ed)?|denied|contains?|not allowed|stopped|withheld)\b/i,
    ],
    source:
      'Gemini (recitation), Cohere, Stability, Bedrock guardrails, moderation gateways, Merge Gateway, in words of their own',
  },
  {
    means: FILTERED,
    status: [400, 403, 422, 451, 500],
    text: /敏感|违规|不安全|不合规/,
    source: 'Zhipu 400, Baidu',
  },

  // Too long for the model, or for what one request may be.
  { means: TOO_LONG, status: [413], source: 'RFC 9110; GitHub Models, Groq, nginx' },
  {
    means: TOO_LONG,
    status: [400],
    code: /(?:^| )1261(?: |$)/,
    source: 'Zhipu 400 1261: the prompt is too long',
  },
  {
    means: TOO_LONG,
    status: REFUSED,
    text: /超长|超出[^。]{0,20}(?:上下文|长度|最大)/,
    source: 'Zhipu, one-api',
  },
  {
    means: TOO_LONG,
    code: /context_length_exceeded|context_window|ContextWindowExceeded|string_above_max_length|tokens_limit_reached|request_too_large|exceed_context_size_error|input_too_long/i,
    source: 'OpenAI 400, Groq 400, LiteLLM, GitHub Models 413, llama.cpp 400',
  },
  {
    means: TOO_LONG,
    status: REFUSED,
    text: /maximum (?:supported )?(?:context|prompt|input|sequence|model) length|\bmax(?:imum)? (?:input|prompt) (?:characters?|tokens?)\b|exceeds? (?:the )?(?:available )?(?:context|max(?:imum)? context)|exceed(?:s|ed)? (?:the )?(?:model )?token limit|tokens? (?:length|count) exceeds|context (?:window|size|length) (?:limit )?(?:of|exceeded|exceeds)|exceed context limit|ContextWindowExceeded/i,
    unless: /per (?:minute|day|hour)/i,
    source:
      'OpenAI 400, vLLM 400, llama.cpp 400 and 500, Anthropic 400, SGLang 400, xAI 400, LM Studio 400, SambaNova 400, Moonshot 400, Friendli 422, MiniMax 2013, Baidu 336007',
  },
  {
    means: TOO_LONG,
    status: REFUSED,
    text: /prompt (?:is )?too long|input is too long|reduce (?:the )?length of|too large for model with|Range of input length|request(?:ed)? too large|max(?:imum)? payload/i,
    unless: /per minute|per day/i,
    source: 'Anthropic 400, Bedrock 400, Groq 400, Mistral 400, Alibaba 400, Ollama 400',
  },
  {
    means: TOO_LONG,
    status: REFUSED,
    text: /tokens`? \+ `?max_new_tokens|input token count[^.]{0,60}exceeds|max_tokens must be (?:at least 1|positive|greater than 0)[^-]{0,20}got -|expected maxLength|\binput text length should not exceed|\binputs?`? must have less than [\d,]{1,12} tokens|(?:sequence|input|prompt) length[^.]{0,30}?\b[\d,]{1,12} ?> ?[\d,]{1,12}/i,
    source: 'TGI 422, Together 400, Gemini 400, vLLM 400, Triton 400, Bedrock 400, NLP Cloud 422',
  },
  {
    means: TOO_LONG,
    status: [400, 422, 500],
    text: [
      /\btokens?\b|\blength\b/i,
      /\b(?:prompt|inputs?|context|messages?|sequence)\b/i,
      /exceed|too (?:long|large|many|big)|not fit|(?:longer|larger|greater|more) than|over the limit/i,
    ],
    unless:
      /per (?:minute|day|hour)|(?:completion|output) tokens\b[^.]{0,40}(?:at most|maximum)|at most [\d,]{1,12} (?:completion|output) tokens|extra_forbidden/i,
    source: 'many servers, in words of their own',
  },

  // Later.
  {
    means: { later: 'capacity' },
    status: [429, 503],
    code: /(?:^| )(?:\w+_)?resource_?unavailable(?: |$)/i,
    source: 'OpenAI and Azure 429, guides/flex-processing: not billed, and no rate limit',
  },
  {
    means: { later: 'capacity' },
    status: [429, 498, 503],
    text: /\bresources? (?:is |are )?(?:temporarily |currently )?unavailable\b|\bflex\b[^.]{0,80}(?:capacity|unavailable)|insufficient (?:resources|capacity)[^.]{0,40}\bflex\b/i,
    unless: /RESOURCE_EXHAUSTED|per (?:minute|day|hour)/i,
    source: 'OpenAI 429 “Resource Unavailable”, Groq 498 “Flex tier capacity exceeded”',
  },
  { means: { later: 'capacity' }, status: [498], source: 'Groq, docs/flex-processing: capacity_exceeded' },
  {
    means: { later: 'throttle' },
    status: [400, 403, 500, 503],
    code: /rate_?limit|throttl|too_?many_?requests|RESOURCE_EXHAUSTED/i,
    source: 'Bedrock 400 ThrottlingException, Google 403 rateLimitExceeded, gateways that wrap a 429',
  },
  {
    means: { later: 'throttle' },
    status: [400, 403, 500],
    text: /\brate[- ]?limit(?:s|ed)?\b[^.]{0,30}(?:exceeded|reached|hit)|(?:exceeded|reached|hit)[^.]{0,30}\brate[- ]?limits?\b|too many requests|\bthrottled\b|\b(?:QPS|RPM|TPM|RPD|TPD|requests?) (?:request )?limit (?:was |has been )?(?:reached|exceeded)/i,
    source: 'GitHub Models 403, CDNs and gateways that send 403 for 429, Baidu 17 and 18, MiniMax 1039',
  },
  {
    means: { later: 'loading' },
    status: [400, 409, 425, 500, 503],
    text: /loading model|model[^.]{0,120} is (?:currently |still )?(?:loading|starting|being loaded|cold\b)|warming up/i,
    source: 'llama.cpp 503, Hugging Face 503, TGI, Featherless 400 (docs, error codes)',
  },
  { means: { later: 'busy' }, status: [503, 529], source: 'RFC 9110; Anthropic overloaded_error' },
  {
    means: { later: 'busy' },
    status: [400, 408, 409, 424, 425, 500, 502, 504],
    code: /overloaded|capacity_exceeded|UNAVAILABLE|ServiceUnavailable|ModelNotReady|no_healthy/i,
    source: 'Anthropic, Groq, Google, Bedrock, LiteLLM',
  },
  {
    means: { later: 'busy' },
    status: [400],
    text: /no healthy (?:deployment|upstream)|\bupstream\b[^.]{0,40}(?:time(?:d )?[- ]?out|failed|error|reset|unavailable)|\bmodel (?:has )?(?:crashed|unloaded)|(?:failed|unable) to load model|CUDA (?:error|out of memory)|\bconnection (?:reset|refused|error|timed out)|internal (?:server )?error|(?:service|server|model) (?:is )?temporarily unavailable|currently closed or temporarily unavailable|\bqueue is full|\b(?:model|server|engine|service|system) is (?:currently |too )?(?:overloaded|busy)\b|no deployments available/i,
    source:
      'LiteLLM 400, LM Studio 400 (lmstudio-js), BytePlus 400, SGLang 400, gateways that send 400 for a failure of their upstream',
  },
];

/** The meaning that the table gives a refusal; null where no entry fits. */
export function meaningOf(refusal: Refusal): Meaning | null {
  return entryFor(refusal)?.means ?? null;
}

/** The entry that decides. */
export function entryFor(refusal: Refusal): Entry | undefined {
  const all = `${refusal.codes} ${refusal.text}`;
  return REFUSALS.find(
    ({ means, status, code, named, flagged, text, unless }) =>
      (status === undefined || status.includes(refusal.status)) &&
      (code === undefined || code.test(refusal.codes)) &&
      (flagged === undefined || refusal.flagged) &&
      (named === undefined || refusal.named.some((name) => named.test(name))) &&
      (text === undefined || (text instanceof RegExp ? [text] : text).every((one) => one.test(all))) &&
      (unless === undefined || !unless.test(all)) &&
      !('run' in means && text instanceof RegExp && standsInPrompt(text, all, refusal)),
  );
}

/** True where the words that would end the run may be the row's own, too few of them to be recognised as an echo. */
function standsInPrompt(pattern: RegExp, all: string, { prompt }: Refusal): boolean {
  const words = pattern.exec(all)?.[0];
  return words !== undefined && prompt.includes(words);
}

/** Tokens that are left for the answer, and the row's own fault where that is too few. */
interface RoomRule {
  /** Names `limit` (the context), and either `input` (the prompt) or `total` (the prompt and the longest answer). */
  pattern: RegExp;
  source: string;
}

/** How messages state the limit of the context and what the prompt takes of it. */
const ROOM: readonly RoomRule[] = [
  {
    // Before the next one: what tools and functions take is in the total alone.
    pattern:
      /maximum context length (?:is|of) (?<limit>[\d,]{1,12})[^]{0,40}? requested (?:about |a total of )?(?<total>[\d,]{1,12}) tokens\b/i,
    source: 'OpenAI, DeepSeek, OpenRouter, SGLang, older vLLM, llama-cpp-python',
  },
  {
    pattern:
      /maximum context length (?:is|of) (?<limit>[\d,]{1,12})[^]{0,120}?\((?:about )?(?<input>[\d,]{1,12}) (?:in the (?:messages|prompt)|of text input)/i,
    source: 'OpenAI, DeepSeek, older vLLM, OpenRouter',
  },
  {
    pattern:
      /maximum context length (?:is|of) (?<limit>[\d,]{1,12})[^]{0,160}?(?<input>[\d,]{1,12}) (?:input tokens|tokens from the input|prompt tokens|tokens in (?:the|your) (?:prompt|input|messages))/i,
    source: 'vLLM, SGLang',
  },
  {
    pattern: /must be <= (?<limit>[\d,]{1,12})\. Given: (?<input>[\d,]{1,12}) `?inputs?`?/i,
    source: 'TGI, Together',
  },
  {
    pattern: /context limit: (?<input>[\d,]{1,12}) \+ [\d,]{1,12} > (?<limit>[\d,]{1,12})/i,
    source: 'Anthropic',
  },
  {
    pattern:
      /Prompt contains (?<input>[\d,]{1,12}) tokens[^]{0,80}?model with (?<limit>[\d,]{1,12}) maximum context length/i,
    source: 'Mistral',
  },
];
/** Says that a number is the sum of the prompt and of the longest answer. */
const IS_TOTAL = /\b(?:requested|completion|generat\w{1,10}|output)\b/i;
/** `Limit 6000, Requested 7044`: what is requested includes the tokens that the answer may have. */
const LIMIT = /limit:? ([\d,]{1,12})/i;
const REQUESTED = /requested:? ([\d,]{1,12})/i;
const USED = /used:? [\d,]{1,12}/i;

/**
 * The most tokens that an answer to this prompt may have, as the message states.
 * @param maximum what the refused request allowed for its answer
 * @returns null where the message does not say
 */
export function roomIn({ text }: Refusal, maximum: number | null): number | null {
  for (const { pattern } of ROOM) {
    const { limit, input, total } = pattern.exec(text)?.groups ?? {};
    if (limit !== undefined && input !== undefined) return numberOf(limit) - numberOf(input);
    if (limit !== undefined && total !== undefined && maximum !== null)
      return numberOf(limit) - (numberOf(total) - maximum);
  }
  if (maximum === null) return null;
  const sizes = sizesIn(text);
  return sizes === null ? roomByArithmetic(text, maximum) : sizes.limit - (sizes.requested - maximum);
}

/**
 * The same for wordings that are not known, by what the numbers in them can be: `prompt + maximum = total > limit`. Null
 * where they allow no such reading, or more than one.
 */
function roomByArithmetic(text: string, maximum: number): number | null {
  const numbers = new Set(
    Array.from(text.matchAll(/(?<![\w.-])\d[\d,]{0,11}(?:\.0)?(?![\w.]*\w)/g), ([digits]) =>
      numberOf(digits),
    ),
  );
  const isMaximumStated = numbers.delete(maximum);
  numbers.delete(0);
  const total = [...numbers].find((number) => numbers.has(number - maximum));
  if (total !== undefined) {
    numbers.delete(total);
  } else if (!isMaximumStated) {
    const [low = 0, high = 0] = [...numbers].sort((a, b) => a - b);
    const isTotal = numbers.size === 2 && high > maximum && IS_TOTAL.test(text);
    return isTotal ? low - (high - maximum) : null;
  }
  const [input = 0, limit = 0] = [...numbers].sort((a, b) => a - b);
  return numbers.size === 2 && input + maximum > limit ? limit - input : null;
}

/** True where a request alone is more than a minute's limit: no waiting helps. */
export function isLargerThanLimit({ text }: Refusal): boolean {
  if (/request too large/i.test(text)) return true;
  const sizes = sizesIn(text);
  return sizes !== null && sizes.requested > sizes.limit && !USED.test(text);
}

function sizesIn(text: string): { limit: number; requested: number } | null {
  const limit = LIMIT.exec(text)?.[1];
  const requested = REQUESTED.exec(text)?.[1];
  return limit === undefined || requested === undefined
    ? null
    : { limit: numberOf(limit), requested: numberOf(requested) };
}

function numberOf(digits: string): number {
  return Number(digits.replaceAll(',', ''));
}
