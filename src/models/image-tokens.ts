/**
 * Tokens of images, for estimates: as if each had 1024 × 1024 pixels in high detail, which makes four tiles.
 * @see https://platform.openai.com/docs/guides/images-vision#calculating-costs
 */

const TILES = 4;
/** Base tokens and tokens of a tile, by the model's name; the small models count an image many times higher. */
const TOKENS: readonly (readonly [RegExp, base: number, tile: number])[] = [
  [/^gpt-4o-mini/, 2833, 5667],
  [/^(?:o1|o3)/, 75, 150],
  [/^gpt-5/, 70, 140],
];
const USUAL = [85, 170] as const;

/** The tokens of one image. */
export function imageTokens(model: string): number {
  const [, base = USUAL[0], tile = USUAL[1]] = TOKENS.find(([name]) => name.test(model)) ?? [];
  return base + TILES * tile;
}
