/** Which answers count as whole: by how they ended and, where a schema was sent, by what they hold. */

import { isObject } from '../lib/json.js';
import { FinishRules } from './finish-reason.js';

export interface AnswerRules extends Pick<FinishRules, 'endingOf'> {
  /**
   * What is wrong with the text of a whole answer; null where nothing is. Absent where any text will do, so that
   * nothing needs to be read of most answers.
   */
  violationIn?: (text: string) => string | null;
}

/** The flags that decide. */
export interface RuleSource {
  acceptFinishReason: readonly string[];
  generation: { response_format: unknown };
}

/**
 * The rules of a run.
 * @throws UsageError where the schema of `--response_format` cannot be used
 */
export async function answerRules({ acceptFinishReason, generation }: RuleSource): Promise<AnswerRules> {
  const finish = new FinishRules(acceptFinishReason);
  const schema = schemaIn(generation.response_format);
  if (schema === null) return finish;
  const { AnswerSchema } = await import('./answer-schema.js');
  const checked = new AnswerSchema(schema);
  return {
    endingOf: (reason) => finish.endingOf(reason),
    violationIn: (text) => checked.violationIn(text),
  };
}

/**
 * The schema of a `response_format`; null where it has none, so that any text will do.
 * @see https://platform.openai.com/docs/api-reference/chat/create#chat-create-response_format
 */
function schemaIn(format: unknown): Record<string, unknown> | boolean | null {
  if (!isObject(format) || format['type'] !== 'json_schema') return null;
  // Together and Fireworks also take the schema beside the type.
  const { json_schema: named, schema: bare } = format;
  const schema = isObject(named) && named['schema'] !== undefined ? named['schema'] : bare;
  return isObject(schema) || typeof schema === 'boolean' ? schema : null;
}
