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
export function button({ action, kind = '', icon, text, short, onclick, type = 'button', ...rest }) {
  return el('button', { type, class: `button ${kind}`.trim(), part: 'button', 'data-action': action, onclick, ...rest },
    icon, ...label(text, short));
}

export function label(text, short) {
  if (!short || short === text) return text ? [el('span', {}, text)] : [];
  return [el('span', { class: 'long' }, text), el('span', { class: 'short' }, short)];
}

export const buttons = (...list) => el('div', { class: 'buttons' }, ...list);

/** A page of one thing: heading, paragraphs, then whatever it needs. */
export function page(title, ...content) {
  return el('main', { class: 'page', part: 'page' },
    el('div', { class: 'card', part: 'card' }, el('h1', { tabindex: '-1' }, title), ...content));
}

export const paragraphs = (texts) => texts.map((t) => el('p', {}, t));

/**
 * Opens a dialog inside `where` and resolves with the value of the choice that closed it; Escape is ''.
 * The keyboard goes back to where it was.
 * @param {{title: string, content: Node[], choices: object[], calm?: boolean}} o choices: what button() takes, and `value`;
 *   calm: no key that is being pressed chooses anything
 */
export function ask({ title, content, choices, calm = false }, where) {
  let dialog;
  const answer = new Promise((resolve) => {
    const submit = (e) => {
      e.preventDefault(); // the page's policy allows no form to be sent anywhere
      dialog.close(e.submitter?.value ?? '');
    };
    dialog = el('dialog', { class: 'dialog', part: 'dialog', 'aria-labelledby': 'bedside-dialog' },
      el('form', { onsubmit: submit }, el('h2', { id: 'bedside-dialog', tabindex: calm && '-1', autofocus: calm }, title), ...content,
        buttons(...choices.map((c) => button({ type: 'submit', ...c })))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    where.append(dialog);
    dialog.showModal();
  });
  return Object.assign(answer, { dialog });
}

/** Asks once. Resolves with whether the answer was yes. */
export async function confirm({ title, text, yes, no, action }, where) {
  const choices = [{ action, kind: 'danger', text: yes, value: 'yes' }, { action: 'cancel', text: no, value: '', autofocus: true }];
  return await ask({ title, content: text ? paragraphs([text]) : [], choices }, where) === 'yes';
}
