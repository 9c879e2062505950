// A portal's page with a consultation in it. The portal's own server knows who is logged in, and has
// that person's invitation from the scheduling API: it hands it to nobody else.
import { BedsideConsultation } from 'https://video.example/sdk/v1/bedside.js';

const status = document.getElementById('status');
const leave = document.getElementById('leave');
const words = { waiting: 'You are in the waiting room', admitted: 'You are in the consultation', held: 'You are on hold', ended: 'The consultation is over' };

const { invitation } = await (await fetch('invitation')).json();
const visit = new BedsideConsultation();
visit.invitation = invitation; // no attribute: every script of a page reads those
visit.addEventListener('consultation', ({ detail: consultation }) => {
  const show = () => {
    status.textContent = words[consultation.state] ?? '';
    leave.hidden = consultation.state !== 'admitted';
  };
  for (const event of ['joined', 'state', 'ended']) consultation.addEventListener(event, show);
  consultation.addEventListener('error', ({ detail }) => console.warn(`video: ${detail.error.code}`));
  leave.onclick = () => consultation.leave();
});
document.getElementById('visit').append(visit);
