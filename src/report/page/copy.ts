import { element } from './dom.js';

const SHOWN_MS = 1500;

/** A button that copies a text as it is, hidden characters included. */
export function copyButton(what: string, text: string): HTMLElement {
  const button = element(
    'button',
    {
      type: 'button',
      class: 'copy',
      'aria-label': `Copy: ${what}`,
      onclick: () => {
        void copy(text).then((isCopied) => {
          button.textContent = isCopied ? 'Copied' : 'Not copied';
          setTimeout(() => (button.textContent = 'Copy'), SHOWN_MS);
        });
      },
    },
    'Copy',
  );
  return button;
}

/** False where the browser does not allow it: it does in pages on this machine and over https. */
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
