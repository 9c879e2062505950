// The devices of this computer. Asking fails in three ways that people can do something about.
const PROBLEMS = {
  NotAllowedError: 'denied', SecurityError: 'denied', NotFoundError: 'none', OverconstrainedError: 'none',
};
const problem = (e) => PROBLEMS[e.name] ?? 'in_use'; // NotReadableError, AbortError

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 }, facingMode: 'user' };
const AUDIO = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** The camera and microphone in use: at most one track of each, owned and stopped here. */
export class Capture {
  camera = null; // MediaStreamTrack
  mic = null;

  /**
   * Asks for what is wanted, both in one question. What fails is asked for alone, to learn which.
   * @returns {Promise<{camera?: string, mic?: string}>} what is wrong with each: denied, in_use, none
   */
  async open({ camera, mic }) {
    try {
      await this.#get({ camera, mic });
      return {};
    } catch (e) {
      if (!(camera && mic)) return camera ? { camera: problem(e) } : { mic: problem(e) };
    }
    const wrong = {};
    await this.#get({ mic }).catch((e) => { wrong.mic = problem(e); });
    await this.#get({ camera }).catch((e) => { wrong.camera = problem(e); });
    return wrong;
  }

  /** @param {'camera' | 'mic'} source @param {string} deviceId */
  use(source, deviceId) { return this.#get({ [source]: true }, deviceId); }

  /** Stops a device; its light goes out. */
  close(source) {
    this[source]?.stop();
    this[source] = null;
  }

  closeAll() {
    this.close('camera');
    this.close('mic');
  }

  /** @returns {Promise<MediaDeviceInfo[]>} */
  async devices(source) {
    const kind = source === 'camera' ? 'videoinput' : 'audioinput';
    const all = await navigator.mediaDevices.enumerateDevices();
    return all.filter((d) => d.kind === kind && d.deviceId && d.deviceId !== 'default' && d.deviceId !== 'communications');
  }

  async #get({ camera, mic }, deviceId) {
    const id = deviceId ? { deviceId: { exact: deviceId } } : {};
    if (deviceId && camera) this.close('camera'); // phones open one camera at a time
    const stream = await navigator.mediaDevices.getUserMedia({
      video: camera ? { ...VIDEO, ...id } : false, audio: mic ? { ...AUDIO, ...id } : false,
    });
    for (const track of stream.getTracks()) {
      const source = track.kind === 'video' ? 'camera' : 'mic';
      this.close(source);
      this[source] = track;
    }
  }
}
