/**
 * The Bedside SDK: one ES module, no dependencies, no build step.
 *
 *   const c = await Consultation.exchange('https://video.example', invitation);
 *   c.addEventListener('tile', ({detail}) => { … });
 *   await c.join();
 *
 * or the whole page as an element:
 *
 *   <script type="module" src="https://video.example/sdk/v1/bedside.js"></script>
 *   <bedside-consultation invitation="…"></bedside-consultation>
 */
import { Consultation } from './consultation.js';
import { BedsideError } from './error.js';

export { BedsideError, Consultation };

/**
 * The whole way from an invitation to the end of the call. Its content is ordinary (light) DOM, so
 * that a vendor restyles it with plain CSS: custom properties --bedside-…, and [part="…"]. Its
 * language is that of its `lang` attribute, else the browser's.
 */
export class BedsideConsultation extends (globalThis.HTMLElement ?? Object) {
  #unmount = null;

  /** Secrets had better not stand in attributes, where every script and extension of a page reads them. */
  invitation = '';

  /** The consultation, once the invitation has been exchanged. @type {Consultation | null} */
  consultation = null;

  connectedCallback() {
    const invitation = this.invitation || this.getAttribute('invitation') || '';
    const server = this.getAttribute('server') || new URL(import.meta.url).origin;
    const options = { server, invitation, language: this.closest('[lang]')?.lang, fixed: this.hasAttribute('lang'), ...this.ownPage };
    this.removeAttribute('invitation');
    // The interface is loaded only where the element is used: the SDK alone stays small.
    this.#unmount = import('./ui/app.js').then(({ mount }) => mount(this, options));
  }

  disconnectedCallback() {
    this.#unmount?.then((unmount) => unmount());
    this.#unmount = null;
  }
}

if (globalThis.customElements && !customElements.get('bedside-consultation')) {
  customElements.define('bedside-consultation', BedsideConsultation);
}
