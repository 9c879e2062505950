/**
 * How loud a microphone is. It hears also what is not sent, which is how someone who talks while
 * muted is noticed: the sender has no track then, and getStats no level.
 */
export class Meter {
  #context;
  #analyser = null;
  #source = null;
  #samples = new Float32Array(1024);

  /** @param {AudioContext} context made or resumed in a click; it stays the caller's */
  constructor(context) { this.#context = context; }

  /** @param {MediaStreamTrack | null} track */
  listen(track) {
    this.#source?.disconnect();
    this.#source = null;
    if (!track) return;
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
  }

  /** 0 to 1: -60 dBFS to -10 dBFS. Speech at arm's length lies around the middle. */
  level() {
    if (!this.#source) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const s of this.#samples) sum += s * s;
    const db = 10 * Math.log10(sum / this.#samples.length + 1e-9);
    return Math.min(1, Math.max(0, (db + 60) / 50));
  }
}

const NOTES = {
  admitted: [523.25, 783.99], // two soft rising notes: "you are let in"
  message: [659.26], // one: "somebody has written"
  waiting: [587.33, 587.33], // two alike: "somebody waits"
};

/** @param {keyof typeof NOTES} what */
export function chime(context, what) {
  NOTES[what].forEach((frequency, i) => {
    const start = context.currentTime + i * 0.18;
    const gain = new GainNode(context, { gain: 0 });
    const tone = new OscillatorNode(context, { frequency });
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(0.2, start + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, start + 0.7);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.8);
  });
}
