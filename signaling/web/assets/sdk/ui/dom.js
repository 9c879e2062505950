/** Makes an element. Attributes that are false, null or undefined are left out; on… are listeners. */
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

/** A button with an icon, a word, and a shorter word for narrow screens. */
export function button({ action, kind = '', icon, text, short, onclick, ...rest }) {
  return el('button', { type: 'button', class: `button ${kind}`.trim(), part: 'button', 'data-action': action, onclick, ...rest },
    icon, ...label(text, short));
}

export function label(text, short) {
  if (!short) return [el('span', {}, text)];
  return [el('span', { class: 'long' }, text), el('span', { class: 'short' }, short)];
}

/** A page of one thing: heading, paragraphs, then whatever it needs. */
export function page(title, ...content) {
  return el('main', { class: 'page', part: 'page' },
    el('div', { class: 'card', part: 'card' }, el('h1', { tabindex: '-1' }, title), ...content));
}

export const paragraphs = (texts) => texts.map((t) => el('p', {}, t));

/** Asks once. Resolves with whether the answer was yes; Escape is no. */
export function confirm({ title, text, yes, no, action }, where) {
  return new Promise((resolve) => {
    const dialog = el('dialog', { class: 'dialog', part: 'dialog', 'aria-labelledby': 'bedside-confirm' },
      el('h2', { id: 'bedside-confirm' }, title), el('p', {}, text),
      el('div', { class: 'buttons' },
        button({ action, kind: 'danger', text: yes, onclick: () => dialog.close('yes') }),
        button({ action: 'cancel', text: no, autofocus: true, onclick: () => dialog.close('') })));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes');
      dialog.remove();
    });
    where.append(dialog);
    dialog.showModal();
  });
}
