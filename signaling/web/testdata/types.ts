// Compiled, not run: a vendor's page as the types let it be written, and what they must refuse.
import { BedsideConsultation, BedsideError, Consultation } from './bedside.js';

async function call(invitation: string, camera: MediaStreamTrack): Promise<void> {
  try {
    const c = await Consultation.exchange('https://video.example', invitation);
    c.addEventListener('tile', ({ detail }) => {
      detail.element.hidden = !detail.shown;
      const width: number = detail.element.videoWidth;
      console.log(detail.mid, width);
    });
    c.addEventListener('ended', (e) => console.log(e.detail.reason));
    c.addEventListener('roster', ({ detail: { roster, arrived } }) => console.log(roster.length, arrived[0]?.role));
    await c.setCamera(camera);
    await c.join();
    await c.send('chat', 'hello');
    c.addEventListener('quality', ({ detail }) => console.log(detail.received[0]?.framesPerSecond));
    if (c.state === 'held') await c.leave();
    await c.hold('p_1');
    await c.unhold('p_1');
    await c.leave({ to: 'p_2' });
    await c.layout([{ participant: 'p_1', source: 'camera', width: 640, height: 360 }]);
    const { path, slots } = await c.stats();
    console.log(path.cipher, slots[0]?.framesDecoded);
    // @ts-expect-error there is no such event
    c.addEventListener('tyle', ({ detail }) => detail.mid);
    // @ts-expect-error a source, not any text
    await c.mute('camara', true);
    // @ts-expect-error only the server changes it
    c.state = 'admitted';
  } catch (e) {
    if (e instanceof BedsideError && e.code === 'not_yet_open') console.log(e.opensAt?.getTime());
    if (e instanceof BedsideError && e.code === 'pin_locked') console.log(e.retryAfter ?? 900);
    if (e instanceof BedsideError && e.code === 'pin_required') await Consultation.exchange('', invitation, { pin: '1234' });
  }
}

const element: BedsideConsultation = document.createElement('bedside-consultation');
element.invitation = 'abc';
element.lang = 'de';
element.addEventListener('page', ({ detail }) => console.log(detail.page === 'held', detail.problem));
void call;
