import { button, buttons, el, page } from './dom.js';
import { Meter } from './meter.js';

const SPEECH = 0.35; // of the meter: clearly louder than a quiet room (about -42 dBFS)

/** While the browser asks: the page behind its question says what to choose. */
export function askingScreen({ t }) {
  return { node: page(t.devices.title, el('p', {}, t.devices.asking)), close() {} };
}

/** Own picture, moving meter, and a choice of device where there is one. `list` is of the buttons that end the page. */
export function devicesScreen(ctx, { list, note }) {
  const { t, capture } = ctx;
  const video = el('video', { class: 'mirror', part: 'selfview', autoplay: true, playsinline: true, 'aria-label': t.devices.selfview });
  video.muted = true; // as an attribute it would come too late
  const bar = el('div', { class: 'meter-bar' });
  const meterBox = el('div', { class: 'meter', role: 'meter', 'aria-label': t.devices.level, 'aria-valuemin': 0, 'aria-valuemax': 100 }, bar);
  const heard = el('p', { class: 'heard', role: 'status' }, t.devices.speak);
  const choices = el('div', { class: 'choices' });
  const preview = el('div', { class: 'preview' }, video);
  const sound = el('div', { class: 'sound' }, heard, meterBox);
  const missing = el('p', { class: 'missing' });
  const offline = el('p', { class: 'missing', role: 'status' });
  const node = page(t.devices.title, offline, preview, sound, missing, choices, note && el('p', { class: 'note' }, note), buttons(...list));

  const meter = new Meter(ctx.audio());
  let frame = 0;
  let loud = 0;
  const draw = () => {
    const level = meter.level();
    bar.style.setProperty('--level', level.toFixed(3));
    meterBox.setAttribute('aria-valuenow', Math.round(level * 100));
    loud = level > SPEECH ? loud + 1 : loud;
    if (loud === 5) heard.textContent = t.devices.heard; // once: no chatter for screen readers
    frame = requestAnimationFrame(draw);
  };

  const refresh = () => {
    preview.hidden = !capture.camera;
    video.srcObject = capture.camera ? new MediaStream([capture.camera]) : null;
    sound.hidden = !capture.mic;
    meter.listen(capture.mic);
    missing.textContent = [!capture.camera && t.devices.noCamera, !capture.mic && t.devices.noMicrophone].filter(Boolean).join(' ');
    deviceChoices(ctx, refresh).then((selects) => choices.replaceChildren(...selects));
  };
  const network = () => { offline.textContent = navigator.onLine === false ? t.devices.offline : ''; };
  const off = new AbortController();
  for (const type of ['online', 'offline']) addEventListener(type, network, { signal: off.signal });
  network();
  navigator.mediaDevices.addEventListener('devicechange', refresh);
  refresh();
  draw();
  return {
    node,
    close() {
      cancelAnimationFrame(frame);
      meter.listen(null);
      video.srcObject = null;
      off.abort();
      navigator.mediaDevices.removeEventListener('devicechange', refresh);
    },
  };
}

/** One select per kind of device in use, where there is more than one to choose from. */
export async function deviceChoices({ t, capture }, onchange) {
  const out = [];
  for (const source of ['camera', 'mic']) {
    if (!capture[source]) continue;
    const devices = await capture.devices(source);
    if (devices.length < 2) continue;
    const name = source === 'camera' ? t.devices.camera : t.devices.microphone;
    const current = capture[source]?.getSettings().deviceId;
    const select = el('select', { id: `bedside-${source}`, part: 'select' }, ...devices.map((d, i) => el('option',
      { value: d.deviceId, selected: d.deviceId === current }, d.label || t.devices.nth(name, i + 1))));
    select.addEventListener('change', async () => {
      await capture.use(source, select.value).catch(() => capture.open({ [source]: true }));
      onchange(source);
    });
    out.push(el('label', { class: 'field', for: select.id }, el('span', {}, name), select));
  }
  return out;
}

/** The buttons of the check on the way into a consultation. */
export function joinButtons({ t, capture }, { join, withoutCamera }) {
  const out = [button({ action: 'join', kind: 'primary', text: t.devices.join, onclick: join })];
  if (capture.camera) out.push(button({ action: 'without-camera', text: t.devices.withoutCamera, onclick: withoutCamera }));
  return out;
}
