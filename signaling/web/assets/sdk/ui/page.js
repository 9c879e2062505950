// The page behind /j/#<invitation>. The fragment never leaves the browser, and it stays in the
// address bar: an accidental reload must not lock a patient out.
import { BedsideConsultation } from '../bedside.js';

const loading = document.getElementById('loading'); // gone if fallback.js has given up
const element = new BedsideConsultation();
element.ownPage = { owns: true, fixed: false, language: new URLSearchParams(location.search).get('lang') };
element.dataset.bedsideState = 'loading';
element.invitation = decodeURIComponent(location.hash.slice(1));
// For support and tests: the consultation of this page, with its stats().
element.addEventListener('consultation', ({ detail }) => { globalThis.bedside = detail; });
if (loading) {
  // The words stay until there are others.
  element.addEventListener('page', () => loading.remove(), { once: true });
  loading.after(element);
  document.getElementById('too-old').remove();
}
addEventListener('hashchange', () => location.reload()); // another link was pasted over this one
