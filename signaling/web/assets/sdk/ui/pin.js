import { button, buttons, el, page } from './dom.js';

/**
 * The PIN that came beside the link.
 * @param {{wrong: boolean, go: (pin: string) => void}} o wrong: the last one was not right
 */
export function pinScreen({ t }, { wrong, go }) {
  const words = t.pin;
  const error = el('p', { class: 'error', id: 'bedside-pin-error', role: 'alert' });
  const input = el('input', {
    id: 'bedside-pin', class: 'pin', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 16, spellcheck: 'false',
    'aria-describedby': 'bedside-pin-text bedside-pin-error', 'aria-required': 'true',
  });
  const complain = (text) => {
    error.textContent = text;
    error.hidden = !text;
    if (text) input.setAttribute('aria-invalid', 'true'); else input.removeAttribute('aria-invalid');
  };
  const submit = (e) => {
    e.preventDefault();
    const pin = input.value.replace(/\s/g, ''); // as it is written on paper: 123 456
    if (pin) return go(pin);
    complain(words.empty);
    return input.focus();
  };
  complain(wrong ? words.wrong : '');
  return {
    node: page(words.title, el('p', { id: 'bedside-pin-text' }, words.text),
      el('form', { onsubmit: submit, novalidate: true },
        el('label', { class: 'field', for: input.id }, el('span', {}, words.label), input), error,
        buttons(button({ action: 'send-pin', kind: 'primary', type: 'submit', text: words.go }))),
      el('p', { class: 'note' }, words.help)),
    focus: wrong ? input : null,
    close() {},
  };
}
