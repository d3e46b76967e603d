/** The names that datasets have for the parts of a prompt and its answer; compared without regard to case. */

export const SYSTEM = [
  ...['system_prompt', 'system', 'system_message', 'system_instruction'],
  ...['sys_prompt', 'meta_instruction'],
];
export const HISTORY = [
  ...['history', 'chat_history', 'conversation_history', 'dialogue_history', 'dialog_history'],
  ...['previous_turns', 'previous_messages'],
];
/** Taken in every shape. */
export const TOOLS = [
  'tools',
  'functions',
  'available_tools',
  'tool_definitions',
  'function_definitions',
  'function',
  'function_description',
  'function_descriptions',
  'functions_schema',
];
export const INPUTS = ['input', 'inputs', 'context', 'contexts', 'ctx', 'passage'];
/** What a question is asked about. Next to a prompt that is not a question, these may be the answer to it. */
export const READ_BEFORE_QUESTION = [
  ...['passages', 'article', 'paragraph', 'paragraphs', 'document', 'documents', 'story', 'premise'],
  ...['dialogue', 'dialog', 'transcript'],
];
export const QUESTIONS = ['question', 'query', 'question_stem'];
export const CHOICES = ['choices', 'options'];
/** Choices as well, where a `label` says which of them is right (ReClor). */
export const LABELLED_ANSWERS = { choices: 'answers', label: 'label', least: 3 };

/** What an answer written for the dataset is called, and then what is short, or checked against. */
export const ANSWERS = [
  ...['output', 'response', 'answer', 'completion', 'solution', 'answers', 'target', 'targets', 'reply'],
  ...['generated_solution', 'generation', 'generations', 'responses', 'completions', 'outputs', 'solutions'],
  ...['ground_truth_solution', 'reference_solution', 'reference_answer', 'best_answer', 'correct_answer'],
  ...['final_answer', 'reference_code'],
  ...[
    'long_answer',
    'answers_spans',
    'answerkey',
    'answer_key',
    'correct_option',
    'expected_answer',
    'ideal',
  ],
  ...['ground_truth', 'human_answers', 'chatgpt_answers', 'model_answer', 'model_response', 'model_output'],
  ...[
    'llm_response',
    'assistant_response',
    'bot_response',
    'target_text',
    'output_text',
    'summary',
    'highlights',
  ],
];
/** Where the answer to a question with choices is, if it is nowhere else. */
export const CHOICE_ANSWERS = [
  ...[
    'correct',
    'correct_choice',
    'correct_letter',
    'correct_label',
    'answer_letter',
    'answer_label',
    'gold',
  ],
  ...[
    'answer_idx',
    'answer_index',
    'correct_index',
    'correct_idx',
    'correct_answer_index',
    'correct_answer_idx',
  ],
  ...['label'],
];
/** Of `ANSWERS`, the ones that a chat without its last answer has beside it. */
export const CHAT_ANSWERS = [
  ...['answer', 'response', 'completion', 'output', 'solution', 'reference_answer', 'expected_answer'],
  ...['target', 'ground_truth', 'ideal', 'answers'],
];
/** A prompt by any name, the likeliest first. */
export const PROMPTS = [
  ...['prompt', 'question', 'query', 'problem', 'instruction', 'task', 'question_stem', 'problem_statement'],
  ...['user_prompt', 'user_input', 'user_query', 'user_message', 'human_input', 'input_text'],
  ...['inputs', 'input', 'text', 'sample'],
];

/** Taken in every shape: images that are sent, and media that cannot be. */
export const IMAGES = [
  ...[
    'images',
    'image',
    'image_url',
    'image_urls',
    'image_path',
    'image_paths',
    'image_file',
    'image_base64',
  ],
  ...['img', 'img_path', 'picture'],
];
/** Of `IMAGES`, those that say where an image was, which another column may hold (RLAIF-V). */
export const IMAGE_PATHS = ['image_path', 'image_paths', 'image_file', 'img_path'];
export const MEDIA = [
  ...['audio', 'audios', 'audio_url', 'audio_urls', 'audio_path', 'audio_paths'],
  ...['video', 'videos', 'video_url', 'video_urls', 'video_path', 'video_paths'],
];
