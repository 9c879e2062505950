import { ask, button, buttons, el, paragraphs } from './dom.js';
import { icon } from './icons.js';

const wanted = (c) => c.recording.missing.includes(c.self);

/** The line that says that the consultation is recorded: in the same place for everybody. */
export class RecordingMark {
  #ctx;
  #c;
  #failed;
  #state = 'off';
  #asking = null; // the open dialog
  #asked = false; // who has closed it is not asked again by itself

  constructor(ctx, consultation, failed) {
    this.#ctx = ctx;
    this.#c = consultation;
    this.#failed = failed;
    this.node = el('section', { class: 'recording', part: 'recording', 'aria-label': ctx.t.recording.title, hidden: true });
  }

  update() {
    const { state, consent, reason } = this.#c.recording;
    const words = this.#ctx.t.recording;
    const before = this.#state;
    this.#state = state;
    this.node.hidden = state === 'off';
    this.node.dataset.recording = state;
    const focused = this.node.contains(document.activeElement) && document.activeElement.dataset.action;
    if (state !== 'off') this.node.replaceChildren(icon('record'), el('p', {}, el('strong', {}, words[state]), ' ', this.#about()), ...this.#choices());
    if (focused) (this.node.querySelector(`[data-action="${focused}"]`) ?? this.node.querySelector('button'))?.focus();
    if (before !== state) {
      this.#ctx.say(state === 'off' ? words.why[reason] ?? words.why.stopped : `${words[state]} ${this.#about()}`);
      if (state === 'requested') this.#asked = false;
    }
    if (!wanted(this.#c)) {
      this.#asked = false;
      this.#asking?.close();
    } else if (!this.#asked && !consent) this.#ask();
    return before !== state && state === 'off' && this.#c.policy.can?.includes('record') ? words.why[reason] : undefined;
  }

  close() { this.#asking?.close(); }

  #about() {
    const { state, reason, missing, consent, gaps } = this.#c.recording;
    const words = this.#ctx.t.recording;
    const names = this.#c.roster.filter((p) => missing.includes(p.id) && p.id !== this.#c.self).map((p) => p.display || this.#ctx.who(p)).join(', ');
    const parts = [];
    if (state === 'paused') parts.push(words.why[reason]);
    if (wanted(this.#c)) parts.push(consent ? words.youSaidNo : words.yourAnswer);
    if (names) parts.push(words.missing(names));
    if (gaps) parts.push(words.gaps(gaps));
    return parts.join(' ');
  }

  #choices() {
    const { state, consent, missing } = this.#c.recording;
    const words = this.#ctx.t.recording;
    const choice = (action, text, onclick) => button({ action, kind: 'small', text, onclick: () => onclick()?.catch(this.#failed) });
    const list = [];
    if (wanted(this.#c)) list.push(choice('answer-recording', words.answer, () => this.#ask()));
    if (consent === 'granted' && state === 'recording') list.push(choice('withdraw-consent', words.withdraw, () => this.#c.consent('withdrawn')));
    if (this.#c.policy.can?.includes('record')) {
      if (state === 'paused' && missing.some((id) => id !== this.#c.self)) list.push(choice('ask-recording-again', words.askAgain, () => this.#c.requestRecording()));
      list.push(choice('stop-recording', words.stop, () => this.#c.stopRecording()));
    }
    return list;
  }

  // Calm: whoever is typing when the question comes must not have agreed.
  async #ask() {
    if (this.#asking) return;
    this.#asked = true;
    const words = this.#ctx.t.recording;
    const answer = ask({
      title: words.question, content: paragraphs(notice(words, this.#c)), calm: true,
      choices: [
        { action: 'agree', kind: 'primary', text: words.yes, value: 'granted' },
        { action: 'disagree', text: words.no, value: 'denied' },
      ],
    }, this.#ctx.root);
    this.#asking = answer.dialog;
    const said = await answer;
    this.#asking = null;
    if (said) this.#c.consent(said).catch(this.#failed);
  }
}

function notice(words, c) {
  const proxy = c.roster.find((p) => p.id === c.self)?.proxy;
  return [words.what, proxy && words.guardian, words.where, words.free].filter(Boolean);
}

/** Where somebody waits: their answer, if it is wanted already. */
export function lobbyConsent(ctx, c, failed) {
  const words = ctx.t.recording;
  const node = el('section', { class: 'consent', part: 'consent', 'aria-label': words.title });
  const choice = (action, kind, text, said) => button({ action, kind, text, onclick: () => c.consent(said).catch(failed) });
  const update = () => {
    const { recording, policy } = c;
    const required = policy.recording === 'required';
    const may = policy.can?.includes('consent');
    const running = recording.state !== 'off';
    node.hidden = policy.recording === 'never' || c.state === 'held';
    const asked = may && (required || running);
    if (!asked) node.replaceChildren(el('p', {}, running || required ? words.isRunning : words.mayBe));
    else if (recording.consent === 'granted') {
      node.replaceChildren(el('p', {}, words.agreed), buttons(choice('withdraw-consent', '', words.withdraw, 'withdrawn')));
    } else {
      node.replaceChildren(el('h2', {}, required ? words.isRequired : words.isRunning),
        ...paragraphs(notice(words, c)), buttons(choice('agree', 'primary', words.yes, 'granted')));
    }
  };
  update();
  return { node, update };
}
