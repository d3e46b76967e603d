import { describe, expect, it } from 'vitest';
import { fit, LiveLines } from '../../src/terminal/live-lines.js';

/** A terminal that wraps its lines again when its width changes, as most do; wide characters are two columns. */
class ReflowingTerminal {
  /** Lines as they were written, without the breaks that the width makes; the cursor is at the end of the last. */
  lines = [''];
  constructor(public columns: number) {}

  getWindowSize(): [number, number] {
    return [this.columns, 24];
  }

  #rows(line: string): number {
    return Math.max(1, Math.ceil(line.length / this.columns));
  }

  write(text: string): void {
    for (const [part] of text.matchAll(/\u001b\[[?\d;]*[A-Za-z]|\r|\n|[^\u001b\r\n]+/g)) {
      const up = /^\u001b\[(\d+)A$/.exec(part)?.[1];
      if (part === '\r') continue;
      if (part === '\n') this.lines.push('');
      else if (up !== undefined) this.#moveUp(Number(up));
      else if (part === '\u001b[J') this.#clearRow();
      else if (!part.startsWith('\u001b')) this.lines.push(`${this.lines.pop() ?? ''}${part}`);
    }
  }

  /** Everything below is cleared next, so it can be removed here. */
  #moveUp(rows: number): void {
    for (let left = rows; left > 0; left--) {
      const last = this.lines.at(-1) ?? '';
      if (this.#rows(last) === 1) this.lines.pop();
      else this.lines[this.lines.length - 1] = last.slice(0, (this.#rows(last) - 1) * this.columns);
    }
  }

  #clearRow(): void {
    const last = this.lines.at(-1) ?? '';
    this.lines[this.lines.length - 1] = last.slice(0, (this.#rows(last) - 1) * this.columns);
  }
}

const PLAIN = { coloured: false, environment: { TERM: 'xterm-256color' } };

describe('lines that are redrawn in place', () => {
  it.each([[[200, 80, 40]], [[80, 200, 40]], [[40, 20, 12, 200]], [[200, 13, 199, 14]]])(
    'leave nothing behind at widths of %j',
    (widths) => {
      const terminal = new ReflowingTerminal(widths[0] ?? 80);
      const lines = new LiveLines(terminal, PLAIN);
      terminal.write('a message\n');
      for (const width of widths) {
        terminal.columns = width;
        lines.draw(['x'.repeat(300), 'y'.repeat(70)]);
        lines.draw(['x'.repeat(300), 'y'.repeat(70)]);
        lines.writeAbove('one more\n');
      }
      const kept = ['a message', ...widths.map(() => 'one more')];
      expect(terminal.lines).toHaveLength(kept.length + 2);
      expect(terminal.lines.slice(0, -2)).toEqual(kept);
      lines.stop();
      expect(terminal.lines).toEqual([...kept, '']);
    },
  );

  it('are never erased together with what a shell wrote meanwhile', () => {
    const terminal = new ReflowingTerminal(80);
    const lines = new LiveLines(terminal, PLAIN);
    lines.draw(['one', 'two']);
    terminal.write('\n[1]+ Stopped\n$ fg\n');
    lines.forget();
    lines.draw(['one', 'two']);
    lines.stop();
    expect(terminal.lines.slice(-3)).toEqual(['[1]+ Stopped', '$ fg', '']);
  });

  it('are coloured only where they may be', () => {
    const written: string[] = [];
    const terminal = { columns: 80, write: (text: string) => written.push(text) };
    new LiveLines(terminal, PLAIN).draw(['one']);
    expect(written.join('')).not.toMatch(/\u001b\[\d+m/);
    new LiveLines(terminal, { ...PLAIN, coloured: true }).draw(['one']);
    expect(written.join('')).toContain('\u001b[36m');
  });
});

describe('the columns of a line', () => {
  it.each([
    ['as wide as it may be', 'abcdef', 6, 'abcdef'],
    ['too wide', 'abcdefg', 6, 'abcde…'],
    ['ideographs of two columns each', '漢字漢字', 8, '漢字漢字'],
    ['ideographs that do not fit', '漢字漢字', 7, '漢字漢…'],
    ['one that would be cut in half', 'a漢字', 4, 'a漢…'],
    ['an emoji of several characters', '👩‍💻👩‍💻', 3, '👩‍💻…'],
    ['accents without a column of their own', 'e\u0301e\u0301', 2, 'e\u0301e\u0301'],
  ])('%s', (_, line, columns, expected) => {
    expect(fit(line, columns)).toBe(expected);
  });
});
