import { eld } from 'eld/extrasmall';
import { describe, expect, it } from 'vitest';
import { LANGUAGES, openDetector } from '../../src/lib/detect-language.js';

const detect = await openDetector();

describe('the language of a text', () => {
  it('is one of those that the detector knows', () => {
    expect([...LANGUAGES].sort()).toEqual(Object.values(eld.info().Languages).sort());
  });

  it.each([
    [
      'en',
      'To compute the sum, we first note that the series converges; then we apply the ratio test to it.',
    ],
    ['de', 'Zuerst prüfen wir, ob die Reihe konvergiert, und danach wenden wir das Quotientenkriterium an.'],
    ['fr', 'La Révolution française a commencé en 1789 et a profondément changé la société de l’époque.'],
    ['es', 'La capital de Francia es París, una ciudad conocida por sus museos y por su arquitectura.'],
    ['ru', 'Столица Франции — Париж, город, который известен своими музеями и архитектурой.'],
    ['zh', '法国的首都是巴黎,这座城市以博物馆和建筑闻名于世界各地,也以美食著称,每年都有许多游客前来参观。'],
    [
      'ja',
      'フランスの首都はパリです。美術館と建築で世界的に知られている都市であり、毎年多くの人が訪れます。',
    ],
    ['ar', 'عاصمة فرنسا هي باريس، وهي مدينة معروفة بمتاحفها وهندستها المعمارية وتاريخها الطويل.'],
  ])('%s', (language, text) => {
    expect([...detect(text)]).toContain(language);
    expect(detect(text).size).toBeLessThan(6);
  });

  it.each([
    ['too short', 'Yes.'],
    ['numbers', '12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30'],
    [
      'code alone',
      '```python\ndef area(width, height):\n    return width * height  # the area of a rectangle\n```',
    ],
    ['quantities', '2 cups flour, 100 g butter, 1/2 cup sugar, 1 tsp salt. Bake at 350 °C.'],
    ['nothing', ''],
  ])('is not clear of what is %s', (_, text) => {
    expect([...detect(text)]).toEqual([]);
  });

  it('is the language of the prose around code', () => {
    const code = '```python\nfor word in words:\n    print(word)\n```\n';
    const prose =
      'Diese Schleife geht durch alle Wörter der Liste und gibt jedes von ihnen auf einer Zeile aus.';
    expect([...detect(code + prose)]).toContain('de');
  });
});
