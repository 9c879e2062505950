import { button, el } from './dom.js';

// A new language is a line here and a strings file beside it. Names are in the language itself.
const LANGUAGES = { en: 'English', de: 'Deutsch' };

const known = (tags) => tags.map((l) => l.toLowerCase().split('-')[0]).find((l) => l in LANGUAGES);

/** The language asked for by a lang attribute, else the first of the browser's that there is. */
export const choose = (asked) => known([asked || '']) ?? known(navigator.languages) ?? 'en';

/** The words of one language: only its file is loaded. */
export const load = (language) => import(`./strings.${language}.js`).then((m) => m.strings);

/** Buttons for the other languages. */
export function switcher({ t, language }, use) {
  return el('nav', { class: 'languages', part: 'languages', 'aria-label': t.language },
    ...Object.entries(LANGUAGES).filter(([l]) => l !== language).map(([l, name]) => button(
      { action: `language-${l}`, kind: 'plain', text: name, lang: l, onclick: () => use(l) })));
}
