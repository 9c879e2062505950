import { el } from './dom.js';

const CORNER = 'bottom-end'; // away from the names, which begin the other end

/** One's own small picture: dragged or moved with the arrow keys, it rests in a corner. */
export class SelfView {
  #video = el('video', { class: 'mirror', autoplay: true, playsinline: true });
  #text = el('p', { class: 'self-off' });

  constructor({ t }) {
    this.t = t;
    this.#video.muted = true;
    this.#text.textContent = t.room.selfCameraOff;
    this.node = el('div', { class: 'selfview', part: 'selfview', tabindex: '0', role: 'group', 'aria-label': t.room.selfview, 'data-corner': CORNER },
      this.#video, this.#text, el('span', { class: 'label' }, t.you));
    this.node.addEventListener('keydown', (e) => this.#key(e));
    this.node.addEventListener('pointerdown', (e) => this.#drag(e));
  }

  /** @param {MediaStreamTrack | null} camera */
  show(camera) {
    this.#video.srcObject = camera ? new MediaStream([camera]) : null;
    this.#video.hidden = !camera;
    this.#text.hidden = Boolean(camera);
  }

  /** Puts it into a free cell of the grid, where it covers nobody; null lets it rest in its corner. */
  place(cell) {
    this.node.classList.toggle('cell', Boolean(cell));
    this.node.tabIndex = cell ? -1 : 0;
    for (const side of ['inset-inline-start', 'inset-block-start', 'width', 'height']) {
      if (cell) this.node.style.setProperty(side, `${cell[side]}px`); else this.node.style.removeProperty(side);
    }
  }

  speaking(yes) { this.node.classList.toggle('speaking', yes); }

  #key(e) {
    const [y, x] = this.node.dataset.corner.split('-');
    const moved = { ArrowUp: ['top', x], ArrowDown: ['bottom', x], ArrowLeft: [y, 'left'], ArrowRight: [y, 'right'] }[e.key];
    if (!moved || this.node.classList.contains('cell')) return;
    e.preventDefault();
    this.node.dataset.corner = moved.join('-');
  }

  #drag(down) {
    const { node } = this;
    if (node.classList.contains('cell')) return;
    node.setPointerCapture(down.pointerId);
    const move = (e) => {
      node.style.setProperty('translate', `${e.clientX - down.clientX}px ${e.clientY - down.clientY}px`);
    };
    const up = () => {
      const own = node.getBoundingClientRect();
      const all = node.parentElement.getBoundingClientRect();
      node.style.removeProperty('translate');
      const y = own.top + own.height / 2 < all.top + all.height / 2 ? 'top' : 'bottom';
      const x = own.left + own.width / 2 < all.left + all.width / 2 ? 'left' : 'right';
      node.dataset.corner = `${y}-${x}`;
      node.removeEventListener('pointermove', move);
    };
    node.addEventListener('pointermove', move);
    node.addEventListener('lostpointercapture', up, { once: true });
  }
}
