/** What a refusal means. */
export type Expected =
  | 'quota'
  | 'key'
  | 'model'
  | 'account'
  | 'other'
  | 'filtered'
  | 'too long'
  | 'row'
  | 'later'
  | 'throttle'
  | 'responses';

/** An error in the shape of OpenAI and most others. */
export function error(message: string, more: Record<string, unknown> = {}): unknown {
  return { error: { message, type: 'invalid_request_error', param: null, code: null, ...more } };
}

/** Bodies as providers send them: from their docs, public issues and test fixtures. */
// prettier-ignore
export const BODIES: readonly [name: string, status: number, body: unknown, expected: Expected][] = [
  // No credit.
  ['OpenAI quota', 429, error('You exceeded your current quota, please check your plan and billing details.', { type: 'insufficient_quota', code: 'insufficient_quota' }), 'quota'],
  ['OpenAI billing', 429, error('Your account is not active, please check your billing details on our website.', { code: 'billing_not_active' }), 'quota'],
  ['OpenAI hard limit', 400, error('Billing hard limit has been reached', { code: 'billing_hard_limit_reached' }), 'quota'],
  ['Anthropic credit', 400, { type: 'error', error: { type: 'invalid_request_error', message: 'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.' } }, 'quota'],
  ['Anthropic spend limit', 400, { type: 'error', error: { type: 'invalid_request_error', message: 'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.' } }, 'quota'],
  ['xAI spent', 429, { code: 'Some resource has been exhausted', error: 'Your team abc has either used all available credits or reached its monthly spending limit. To continue making API requests, please purchase more credits.' }, 'quota'],
  ['xAI new team', 403, { code: 'The caller does not have permission to execute the specified operation', error: "Your newly created team doesn't have any credits yet. You can purchase credits on https://console.x.ai" }, 'quota'],
  ['Moonshot', 429, { error: { message: 'Your account org-1 is suspended due to insufficient balance, please recharge your account or check your plan and billing details', type: 'exceeded_current_quota_error' } }, 'quota'],
  ['Zhipu', 429, { error: { code: '1113', message: '您的账户已欠费，请充值后重试。' } }, 'quota'],
  ['Alibaba arrears', 400, { error: { code: 'Arrearage', type: 'Arrearage', message: 'Access denied, please make sure your account is in good standing.' } }, 'quota'],
  ['Alibaba free tier', 403, { error: { code: 'AllocationQuota.FreeTierOnly', message: 'The free tier of the model has been exhausted.' } }, 'quota'],
  ['Fireworks', 412, { error: { object: 'error', type: 'invalid_request_error', message: 'Account me-1 is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices.' } }, 'quota'],
  ['OpenRouter', 402, { error: { message: 'This request requires more credits, or fewer max_tokens. You requested up to 8192 tokens, but can only afford 3500.', code: 402 } }, 'quota'],
  ['OpenRouter empty', 402, { error: { message: 'Insufficient credits. Add more using https://openrouter.ai/credits', code: 402 } }, 'quota'],
  ['DeepSeek', 402, error('Insufficient Balance', { code: 'invalid_request_error' }), 'quota'],
  ['Hugging Face', 402, { error: 'You have exceeded your monthly included credits for Inference Providers.' }, 'quota'],
  ['Novita', 403, { code: 403, reason: 'NOT_ENOUGH_BALANCE', message: 'not enough balance', metadata: {} }, 'quota'],
  ['SiliconFlow', 403, { code: 30001, message: 'Sorry, your account balance is insufficient', data: null }, 'quota'],
  ['LiteLLM budget', 400, error('Budget has been exceeded! Current cost: 10.2, Max budget: 10', { type: 'budget_exceeded' }), 'quota'],
  ['LiteLLM key budget', 429, error('ExceededBudget: User=x over budget. Spend=12.1, Budget=10', { type: 'budget_exceeded' }), 'quota'],
  ['new-api', 403, error('用户额度不足, 剩余额度: ＄0.00', { type: 'new_api_error', code: 'insufficient_user_quota' }), 'quota'],
  ['Vertex AI', 403, [{ error: { code: 403, message: 'This API method requires billing to be enabled.', status: 'PERMISSION_DENIED', details: [{ reason: 'BILLING_DISABLED' }] } }], 'quota'],
  ['Cohere trial', 429, { message: 'You are using a Trial key, which is limited to 1000 API calls / month.' }, 'quota'],
  ['Cloudflare', 429, { errors: [{ message: 'AiError: you have used up your daily free allocation of 10,000 neurons', code: 4006 }], success: false }, 'quota'],
  ['MiniMax in a 200', 200, { base_resp: { status_code: 1008, status_msg: 'insufficient balance' }, choices: null }, 'quota'],
  ['Replicate', 402, { title: 'Insufficient credit', detail: 'You have insufficient credit to run this model.', status: 402 }, 'quota'],
  ['wrapped by a gateway', 500, error('litellm.RateLimitError: OpenAIException - {"error":{"code":"insufficient_quota"}} insufficient credits'), 'quota'],
  ['Volcengine', 403, error('The request failed because your account has an overdue balance.', { code: 'AccountOverdueError' }), 'quota'],

  ['SiliconFlow in words', 403, { message: 'Sorry, your account balance is insufficient' }, 'quota'],
  ['Together', 400, error('Credit limit exceeded, please navigate to the billing page'), 'quota'],
  ['Portkey', 412, error('Budget exceeded'), 'quota'],
  ['billing', 403, error('Please check your billing details'), 'quota'],
  ['one-api', 403, error('该令牌额度已用尽', { type: 'one_api_error' }), 'quota'],

  ['OpenRouter key limit', 403, { error: { message: 'Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys', code: 403 } }, 'quota'],
  ['a reseller', 400, error('Your prepaid balance has run out. Please add credits to continue.'), 'quota'],
  ['a reseller, 429', 429, error('You have no quota left. Please top up your account.'), 'quota'],

  ['a wallet', 403, error('Your wallet is empty. Please deposit to keep using the API.'), 'quota'],
  ['a subscription', 400, error('The organization has no active subscription'), 'quota'],
  ['a subscription that ended', 403, { message: 'Subscription expired' }, 'quota'],
  ['a payment', 403, error('Payment method declined, update it in the console'), 'quota'],
  ['a month', 429, error('Monthly quota exceeded'), 'quota'],
  ['a plan', 429, error('You have exceeded your monthly token quota of this plan; upgrade your subscription.'), 'quota'],
  ['a code as message', 429, { error: 'insufficient_credits' }, 'quota'],

  // The account.
  ['Gemini location', 400, [{ error: { code: 400, message: 'User location is not supported for the API use.', status: 'FAILED_PRECONDITION' } }], 'account'],
  ['Groq restricted', 400, error('Organization has been restricted. Please reach out to support if you believe this was in error.', { code: 'organization_restricted' }), 'account'],
  ['OpenAI country', 403, error('Country, region, or territory not supported', { code: 'unsupported_country_region_territory', type: 'request_forbidden' }), 'account'],
  ['OpenAI verification', 403, error('Your organization must be verified to use the model `o3`.'), 'account'],
  ['Anthropic disabled', 400, { type: 'error', error: { type: 'invalid_request_error', message: 'This organization has been disabled.' } }, 'account'],
  ['OpenRouter data policy', 404, { error: { message: 'No endpoints found matching your data policy. Enable prompt training here: https://openrouter.ai/settings/privacy', code: 404 } }, 'account'],
  ['Google service', 403, [{ error: { code: 403, message: 'Generative Language API has not been used in project 1 before or it is disabled.', status: 'PERMISSION_DENIED' } }], 'account'],

  ['OpenAI address', 401, error('Your IP address 1.2.3.4 is not authorized to use this API key.', { code: 'ip_not_authorized' }), 'account'],
  ['Groq terms', 400, error('The model `x` requires terms acceptance.', { code: 'model_terms_required' }), 'account'],

  ['a territory', 403, error('This API is not available in your territory'), 'account'],

  // The key.
  ['OpenAI', 401, error('Incorrect API key provided: sk-1**********9.', { code: 'invalid_api_key' }), 'key'],
  ['xAI', 400, { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: xa***yz. You can obtain an API key from https://console.x.ai.' }, 'key'],
  ['Gemini', 400, [{ error: { code: 400, message: 'API key not valid. Please pass a valid API key.', status: 'INVALID_ARGUMENT', details: [{ reason: 'API_KEY_INVALID' }] } }], 'key'],
  ['Gemini expired', 400, [{ error: { code: 400, message: 'API key expired. Please renew the API key.', status: 'INVALID_ARGUMENT' } }], 'key'],
  ['FastAPI', 400, { detail: 'Could not validate credentials' }, 'key'],
  ['a token', 400, error('API token is invalid'), 'key'],
  ['Bedrock token', 403, { message: 'The security token included in the request is invalid.' }, 'key'],
  ['a JWT', 400, error('JWT expired'), 'key'],
  ['Anthropic', 401, { type: 'error', error: { type: 'authentication_error', message: 'invalid x-api-key' } }, 'key'],
  ['LiteLLM without a database', 400, error('No connected db.', { type: 'no_db_connection', code: '400' }), 'key'],
  ['LiteLLM token', 401, error('Authentication Error, Invalid proxy server token passed. Received API Key = sk-...1234', { type: 'token_not_found_in_db', code: '401' }), 'key'],
  ['LiteLLM 400', 400, error('Authentication Error, Invalid proxy server token passed'), 'key'],
  ['Azure', 401, { error: { code: '401', message: 'Access denied due to invalid subscription key or wrong API endpoint.' } }, 'key'],
  ['one-api', 401, error('无效的令牌 (request id: 20260101)', { type: 'one_api_error' }), 'key'],
  ['Cloudflare AI Gateway', 401, { success: false, result: [], messages: [], error: [{ code: 2009, message: 'Unauthorized' }] }, 'key'],
  ['OpenRouter', 401, { error: { message: 'No auth credentials found', code: 401 } }, 'key'],
  ['a gateway without a key', 400, { message: 'Missing Authorization header' }, 'key'],
  ['no permission', 403, error('Request not allowed', { type: 'forbidden' }), 'key'],
  ['Alibaba', 401, { error: { code: 'InvalidApiKey', message: 'Incorrect API key provided.' } }, 'key'],
  ['in a 200', 200, { error: { type: 'authentication_error', message: 'bad key' } }, 'key'],

  // The model.
  ['LMDeploy', 400, error("Value error, requested model my-model isn't one of the served models: ['a', 'b']"), 'model'],
  ['a list of models', 400, error('my-model is not a supported model name'), 'model'],
  ['an engine', 400, error('Engine not found'), 'model'],
  ['a deployment', 404, { error: 'no such deployment' }, 'model'],
  ['OpenAI', 404, error('The model `gpt-x` does not exist or you do not have access to it.', { code: 'model_not_found' }), 'model'],
  ['DeepSeek', 400, error('Model Not Exist', { code: 'invalid_request_error' }), 'model'],
  ['Hugging Face', 400, { error: { message: "The requested model 'x' is not supported by any provider you have enabled.", type: 'invalid_request_error', code: 'model_not_supported' } }, 'model'],
  ['Groq decommissioned', 400, error('The model `llama3-70b-8192` has been decommissioned and is no longer supported.', { code: 'model_decommissioned' }), 'model'],
  ['Mistral', 400, { object: 'error', message: 'Invalid model: mistral-x', type: 'invalid_model', param: null, code: '1500' }, 'model'],
  ['Azure', 404, { error: { code: 'DeploymentNotFound', message: 'The API deployment for this resource does not exist.' } }, 'model'],
  ['Cohere', 422, { message: "model 'x' not found, make sure the correct model ID was used" }, 'model'],
  ['Ollama', 404, error('model "x" not found, try pulling it first', { type: 'api_error' }), 'model'],
  ['vLLM', 404, { object: 'error', message: 'The model `x` does not exist.', type: 'NotFoundError', param: null, code: 404 }, 'model'],
  ['LiteLLM', 400, error('/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view available models for your key.', { param: 'None', code: '400' }), 'model'],
  ['LiteLLM key', 401, error("key not allowed to access model. This key can only access models=['a']. Tried to access x", { type: 'key_model_access_denied', param: 'model', code: '401' }), 'model'],
  ['new-api', 503, error('当前分组 default 下对于模型 gpt-x 无可用渠道 (request id: 2)', { type: 'new_api_error', code: 'model_not_found' }), 'model'],
  ['one-api', 503, error('当前分组 default 下对于模型 gpt-x 无可用渠道', { type: 'one_api_error' }), 'model'],
  ['OpenRouter', 404, { error: { message: 'No endpoints found for x/y.', code: 404 } }, 'model'],
  ['OpenRouter id', 400, { error: { message: 'x/y is not a valid model ID', code: 400 } }, 'model'],
  ['Bedrock id', 400, { message: 'The provided model identifier is invalid.' }, 'model'],
  ['Bedrock access', 403, { message: "You don't have access to the model with the specified model ID." }, 'model'],
  ['Vertex AI', 404, [{ error: { code: 404, message: 'Publisher Model `projects/p/locations/l/publishers/google/models/x` was not found or your project does not have access to it.', status: 'NOT_FOUND' } }], 'model'],
  ['Gemini', 404, [{ error: { code: 404, message: 'models/x is not found for API version v1beta, or is not supported for generateContent.', status: 'NOT_FOUND' } }], 'model'],
  ['Anthropic', 404, { type: 'error', error: { type: 'not_found_error', message: 'model: claude-x' } }, 'model'],
  ['Together', 400, error('Unable to access non-serverless model x/y. Please visit https://api.together.ai to create a dedicated endpoint', { code: 'model_not_available' }), 'model'],
  ['completions only', 404, error('This is not a chat model and thus not supported in the v1/chat/completions endpoint.', { param: 'model' }), 'responses'],
  ['responses only', 404, error('This model is only supported in v1/responses and not in v1/chat/completions.', { param: 'model' }), 'responses'],
  ['Cloudflare', 400, { errors: [{ message: 'AiError: No such model @cf/x or task', code: 5007 }], success: false, result: {}, messages: [] }, 'model'],
  ['GitHub Models', 400, { error: { code: 'unknown_model', message: 'Unknown model: x' } }, 'model'],
  ['NVIDIA', 400, error('Unsupported model: x'), 'model'],
  ['a wrong path', 404, '<html><head><title>404 Not Found</title></head></html>', 'other'],

  // Filtered.
  ['Gemini recitation', 400, error('The response was blocked due to recitation'), 'filtered'],
  ['in words of its own', 400, error('Prompt rejected: contains disallowed content'), 'filtered'],
  ['moderation', 403, error('Input blocked by moderation'), 'filtered'],
  ['moderation in a detail', 422, { detail: 'content moderation failed' }, 'filtered'],
  ['moderation in a code', 400, { error: { code: 'moderation_blocked', message: 'blocked' } }, 'filtered'],
  ['Azure', 400, { error: { code: 'content_filter', message: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", innererror: { code: 'ResponsibleAIPolicyViolation' } } }, 'filtered'],
  ['DeepSeek', 400, error('Content Exists Risk'), 'filtered'],
  ['Alibaba', 400, { error: { code: 'data_inspection_failed', message: 'Input data may contain inappropriate content.' } }, 'filtered'],
  ['Zhipu', 400, { error: { code: '1301', message: '系统检测到输入或生成内容可能包含不安全或敏感内容。' }, contentFilter: [{ level: 1, role: 'user' }] }, 'filtered'],
  ['Moonshot', 400, { error: { message: 'The request was rejected because it was considered high risk', type: 'content_filter' } }, 'filtered'],
  ['OpenAI', 400, error('Invalid prompt: your prompt was flagged as potentially violating our usage policy.', { code: 'invalid_prompt' }), 'filtered'],
  ['OpenRouter', 403, { error: { message: 'x requires moderation on Anthropic. Your input was flagged for "violence".', code: 403, metadata: { reasons: ['violence'], flagged_input: 'x', provider_name: 'Anthropic' } } }, 'filtered'],
  ['OpenRouter, reworded', 403, { error: { message: 'Access denied: invalid API key usage for this topic', code: 403, metadata: { reasons: ['violence'], flagged_input: 'x', provider_name: 'Anthropic' } } }, 'filtered'],
  ['OpenRouter, reasons only', 403, { error: { message: 'Forbidden', code: 403, metadata: { reasons: ['sexual/minors'] } } }, 'filtered'],
  ['OpenRouter, flagged input only', 403, { error: { message: 'Forbidden', code: 403, metadata: { flagged_input: 'how do I…' } } }, 'filtered'],
  ['OpenRouter behind a gateway', 500, error('upstream: {...}', { metadata: { raw: '{"error":{"message":"Forbidden","code":403,"metadata":{"reasons":["hate"]}}}' } }), 'filtered'],
  ['OpenRouter in a 200', 200, { error: { message: 'Forbidden', code: 403, metadata: { reasons: ['hate'], flagged_input: 'x' } } }, 'filtered'],
  ['OpenRouter without reasons', 403, { error: { message: 'Forbidden', code: 403, metadata: { reasons: [], provider_name: 'x' } } }, 'key'],
  ['reasons of something else', 403, { error: { message: 'Forbidden', code: 403, reasons: ['plan'] } }, 'key'],
  ['Azure, reworded', 400, { error: { message: 'No.', code: 'x', innererror: { content_filter_result: { hate: { filtered: true, severity: 'high' }, violence: { filtered: false } } } } }, 'filtered'],
  ['xAI', 403, { code: 'The caller does not have permission to execute the specified operation', error: 'Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO' }, 'filtered'],
  ['LiteLLM', 400, error('litellm.ContentPolicyViolationError: AzureException'), 'filtered'],
  ['guardrail', 400, error('Violated guardrail policy', { type: 'guardrail_violation' }), 'filtered'],

  ['Zhipu in words', 400, error('输入包含敏感内容'), 'filtered'],
  ['Bedrock, throttled', 429, { __type: 'ThrottlingException', message: 'Too many tokens, please wait before trying again.' }, 'throttle'],
  ['Baidu risk', 400, error('the content of message contains sensitive words', { code: 'content_risk' }), 'filtered'],
  ['Vertex AI, Imagen and Gemini', 400, error("The prompt could not be submitted. This prompt contains sensitive words that violate Google's Responsible AI practices."), 'filtered'],
  ['Zhipu, too long', 400, error('Prompt 超长', { code: '1261' }), 'too long'],
  ['one-api, too long', 400, error('输入超出模型的最大长度'), 'too long'],
  ['Hugging Face, gated', 403, { error: 'Access to model meta-llama/X is restricted and you are not in the authorized list. Visit https://huggingface.co/meta-llama/X to ask for access.' }, 'account'],

  // Too long.
  ['TGI inputs', 422, { error: 'Input validation error: `inputs` must have less than 1024 tokens. Given: 3000', error_type: 'validation' }, 'too long'],
  ['Triton', 400, { detail: 'Sequence length 9321 > 8192' }, 'too long'],
  ['OpenAI', 400, error("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", { code: 'context_length_exceeded', param: 'messages' }), 'too long'],
  ['vLLM', 400, error("'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's maximum context length is 4096 tokens and your request has 3000 input tokens (2048 > 4096 - 3000).", { param: 'max_tokens', code: 400 }), 'too long'],
  ['llama.cpp', 400, { error: { code: 400, message: 'the request exceeds the available context size, try increasing it', type: 'exceed_context_size_error', n_prompt_tokens: 5000, n_ctx: 4096 } }, 'too long'],
  ['older llama.cpp', 500, { error: { code: 500, message: 'the request exceeds the available context size. try increasing the context size or enable context shift', type: 'server_error' } }, 'too long'],
  ['TGI', 422, { error: 'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 3500 `inputs` tokens and 1024 `max_new_tokens`', error_type: 'validation' }, 'too long'],
  ['Together', 422, error('Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 3500 `inputs` tokens and 1024 `max_new_tokens`', { param: 'max_tokens' }), 'too long'],
  ['GitHub Models', 413, { error: { code: 'tokens_limit_reached', message: 'Request body too large for gpt-4o model. Max size: 8000 tokens.' } }, 'too long'],
  ['Groq minute', 413, error('Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 7044', { type: 'tokens', code: 'rate_limit_exceeded' }), 'too long'],
  ['Anthropic', 400, { type: 'error', error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' } }, 'too long'],
  ['Anthropic with max_tokens', 400, { type: 'error', error: { type: 'invalid_request_error', message: 'input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length or `max_tokens` and try again' } }, 'too long'],
  ['Gemini', 400, [{ error: { code: 400, message: 'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).', status: 'INVALID_ARGUMENT' } }], 'too long'],
  ['Mistral', 400, { object: 'error', message: 'Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length', type: 'invalid_request_prompt', code: '3051' }, 'too long'],
  ['Bedrock', 400, { message: 'Input is too long for requested model.' }, 'too long'],
  ['SGLang', 400, { object: 'error', message: "The input (5000 tokens) is longer than the model's context length (4096 tokens).", type: 'BadRequestError', code: 400 }, 'too long'],
  ['Alibaba', 400, { error: { code: 'invalid_parameter_error', message: 'Range of input length should be [1, 30720]' } }, 'too long'],
  ['xAI', 400, { code: 'Client specified an invalid argument', error: "This model's maximum prompt length is 131072 but the request contains 150000 tokens." }, 'too long'],
  ['Fireworks', 400, error('The prompt is too long: 140000, model maximum context length: 131071'), 'too long'],
  ['LM Studio', 400, { error: 'Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.' }, 'too long'],
  ['too long a text', 400, error("Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760.", { code: 'string_above_max_length', param: 'messages[0].content' }), 'too long'],
  ['older vLLM', 400, { object: 'error', message: 'max_tokens must be at least 1, got -1024.', type: 'BadRequestError', code: 400 }, 'too long'],
  ['words of its own', 400, error("Unsupported length: 3000 prompt tokens and 'max_tokens' 2048 do not fit into 4096."), 'too long'],
  ['a proxy', 413, '<html><head><title>413 Request Entity Too Large</title></head></html>', 'too long'],

  // This row, for a reason that nobody says.
  ['OpenAI', 400, error('Something about this request'), 'row'],
  ['a legal reason', 451, '', 'row'],

  ['Gemini prohibited', 400, [{ error: { code: 400, message: 'The prompt was blocked due to PROHIBITED_CONTENT', status: 'INVALID_ARGUMENT' } }], 'filtered'],
  ['a reseller’s filter', 422, { detail: 'NSFW content detected' }, 'filtered'],

  // Later.
  ['a gateway that sends 403 for 429', 403, error('Rate limit exceeded for your IP'), 'throttle'],
  ['a model that loads', 400, error('Model is still loading'), 'later'],
  ['OpenAI flex', 429, error('Resource unavailable.', { type: 'resource_unavailable', code: 'resource_unavailable' }), 'later'],
  ['OpenAI flex by its words', 429, error('429 Resource Unavailable'), 'later'],
  ['a full flex tier', 498, '', 'later'],
  ['Groq flex', 498, error('Flex tier capacity exceeded, please try again later', { type: 'internal_server_error', code: 'capacity_exceeded' }), 'later'],
  ['Cloudflare 524', 524, '<html><head><title>example.com | 524: A timeout occurred</title></head></html>', 'later'],
  ['llama.cpp', 503, { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } }, 'later'],
  ['Hugging Face', 503, { error: 'Model x is currently loading', estimated_time: 20 }, 'later'],
  ['Anthropic', 529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }, 'later'],
  ['a gateway', 502, '<html>', 'later'],
  ['LiteLLM', 400, error('There are no healthy deployments for this model: no healthy upstream'), 'later'],
  ['an error in a 200', 200, { error: { type: 'overloaded_error', message: 'Overloaded' } }, 'later'],
  ['Gemini', 429, [{ error: { code: 429, message: 'You exceeded your current quota, please check your plan and billing details.', status: 'RESOURCE_EXHAUSTED', details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34.4s' }] } }], 'throttle'],
  ['OpenAI', 429, error('Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29500, Requested 1500. Please try again in 2s.', { code: 'rate_limit_exceeded' }), 'throttle'],
  ['a bare one', 429, '', 'throttle'],
  ['Bedrock', 400, { __type: 'ThrottlingException', message: 'Too many requests, please wait before trying again.' }, 'throttle'],
  ['Google', 403, { error: { code: 403, message: 'x', errors: [{ reason: 'rateLimitExceeded' }] } }, 'throttle'],
  ['OpenRouter for the day', 429, { error: { message: 'Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day', code: 429 } }, 'throttle'],
];
