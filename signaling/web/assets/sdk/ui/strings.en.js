// Every word the pages say, in English. A translation is a copy of this file with another name and
// one more entry in LANGUAGES of context.js. Plain words, short sentences, reading age 9 to 11.

const time = (d) => d.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
const day = (d) => d.toLocaleDateString('en-GB', { weekday: 'long', day: 'numeric', month: 'long' });
const isToday = (d) => d.toDateString() === new Date().toDateString();
const when = (d) => (isToday(d) ? `today at ${time(d)}` : `${day(d)} at ${time(d)}`);
const capital = (s) => s[0].toUpperCase() + s.slice(1);

const roles = {
  clinician: 'clinician', patient: 'patient', carer: 'carer', interpreter: 'interpreter',
  observer: 'observer', device: 'device',
};

export const strings = {
  title: 'Video consultation',
  loading: 'Opening your consultation',
  roles,
  roleWithArticle: (role) => ({ interpreter: 'the interpreter', observer: 'an observer', device: 'a device' })[role] ?? `the ${roles[role] ?? role}`,
  nameAndRole: (name, role) => (name ? `${name} \u2013 ${roles[role] ?? role}` : capital(roles[role] ?? role)),
  you: 'You',
  code: (code) => `Code for support: ${code}`,

  welcome: {
    title: 'Your video consultation',
    when: (d) => capital(when(d)),
    as: (who, name) => (name ? `You are joining as ${name}, ${who}.` : `You are joining as ${who}.`),
    next: 'First we check your camera and microphone. Your browser will ask if it may use them. Please choose Allow.',
    nextObserver: 'You will see and hear the others. They will see your name, but not your picture.',
    notRecorded: 'The consultation is not recorded.',
    go: 'Continue',
  },
  devices: {
    title: 'Check your camera and microphone',
    asking: 'Your browser is asking if it may use your camera and microphone. Please choose Allow.',
    speak: 'Say something. The bar moves when we can hear you.',
    heard: 'We can hear you.',
    noCamera: 'Your camera is not used. The others will hear you, but not see you.',
    noMicrophone: 'Your microphone is not used. The others will not hear you.',
    camera: 'Camera', microphone: 'Microphone',
    selfview: 'Your own picture', level: 'Microphone level',
    join: 'Join', withoutCamera: 'Continue without camera', withoutMicrophone: 'Continue without microphone',
    joining: 'Joining',
  },
  waiting: {
    notHere: 'Your clinician is not here yet',
    here: (name) => (name ? `${name} is here` : 'Your clinician is here'),
    notHereText: 'You are in the right place. Please keep this page open.',
    hereText: (name) => `${name || 'Your clinician'} can see that you are here and will let you in.`,
    nothing: 'You do not need to do anything. You will hear a sound when you are let in.',
    start: (d) => `Your consultation: ${when(d)}.`,
    private: 'Nobody can see or hear you yet.',
    leave: 'Leave',
  },
  room: {
    title: 'Consultation',
    mic: 'Microphone', micShort: 'Mic', micOff: 'Microphone off', micOffShort: 'Mic off',
    camera: 'Camera', cameraOff: 'Camera off', cameraOffShort: 'Cam off',
    share: 'Share', shareOff: 'Stop sharing', shareOffShort: 'Stop',
    chat: 'Chat', more: 'More', leave: 'Leave', end: 'End for all', people: 'People',
    controls: 'Controls', stage: 'People in the consultation',
    alone: 'Nobody else is here yet', aloneText: 'You will see them here as soon as they arrive.',
    aloneWaiting: 'Someone is waiting', aloneWaitingText: 'Choose Admit in the list of people to let them in.',
    alsoHere: (names) => `Also here: ${names}`,
    coverCameraOff: 'Camera is off', coverComing: 'Picture is coming', coverStalled: 'The picture has stopped. It is not live.', coverAway: 'Connection lost. Waiting for them to come back.',
    muted: 'Microphone off',
    pin: 'Make large', unpin: 'Show all',
    screenOf: (name) => `${name}: shared screen`, examOf: (name) => `${name}: exam camera`,
    selfview: 'Your own picture. Move it with the arrow keys.', selfCameraOff: 'Your camera is off',
    sharing: 'You are sharing your screen.',
    quality: { good: 'Connection good', fair: 'Connection fair', poor: 'Connection poor' },
    connecting: 'Connecting',
    spoken: {
      arrived: (name) => `${name} has joined.`, gone: (name) => `${name} has left.`,
      waiting: (name) => `${name} is waiting to be let in.`,
      micOn: 'Microphone is on.', micOff: 'Microphone is off.', cameraOn: 'Camera is on.', cameraOff: 'Camera is off.',
      back: 'The connection is back.',
    },
  },
  people: {
    title: 'People', waiting: 'Waiting', here: 'In the consultation',
    since: (minutes) => (minutes < 1 ? 'waiting since just now' : `waiting for ${minutes} min`),
    admit: 'Admit', refuse: 'Do not admit', remove: 'Remove', away: 'connection lost', self: '(you)',
    nobodyWaiting: 'Nobody is waiting.', close: 'Close',
  },
  chat: {
    title: 'Chat', empty: 'Messages are seen by everybody here and are not kept.', write: 'Write a message',
    send: 'Send', failed: 'The message was not sent.', unread: (n) => `${n} new`, close: 'Close',
  },
  more: {
    title: 'More', shortcuts: 'Keys: m for microphone, v for camera', close: 'Close',
    details: (d) => `Round trip ${d.roundTrip} ms. Lost on the way to you ${d.down} %, from you ${d.up} %.`,
    noDetails: 'No figures yet.', connection: 'Connection',
  },
  confirm: {
    end: 'End the consultation for everybody?', endText: 'Everybody will be disconnected.',
    endYes: 'End for all', no: 'Go back',
    remove: (name) => `Remove ${name}?`, removeText: 'They cannot come back with their link.', removeYes: 'Remove',
  },
  notices: {
    reconnecting: (seconds) => `The connection was lost. Reconnecting for ${seconds} s. You do not need to do anything.`,
    talking: 'Your microphone is off, nobody can hear you.', unmute: 'Switch it on',
    blockedSound: 'Your browser has switched the sound off.', hear: 'Tap to hear',
    unplugged: {
      camera: (label) => `The camera ${label} has stopped. Maybe it was unplugged.`,
      mic: (label) => `The microphone ${label} has stopped. Maybe it was unplugged. Nobody can hear you now.`,
    },
    use: (label) => `Use ${label}`, tryAgain: 'Try again', noOther: 'Plug it in again, or connect another one.',
    failed: 'That did not work. Please try again.', dismiss: 'Close this message',
    waiting: (n) => (n === 1 ? '1 person is waiting' : `${n} people are waiting`), show: 'Show',
  },
  sounds: { speaker: 'Speaker' },
  actions: {
    retry: 'Try again', reload: 'Try again', 'use-here': 'Use it here', 'without-camera': 'Continue without camera',
    'without-microphone': 'Continue without microphone', rejoin: 'Join again', precall: 'Check camera and microphone',
  },

  ended: {
    ended: { title: 'The consultation has ended', text: ['You can close this page.'] },
    left: { title: 'You have left the consultation', text: ['You can close this page, or join again while the consultation goes on.'] },
    help: 'If you need help or still have questions, call the place that sent you the link. In an emergency call your local emergency number.',
  },

  precall: {
    title: 'Check your camera and microphone', go: 'Start the check',
    text: ['You can try your camera and microphone here at any time. Nothing is sent to anybody.'],
    good: 'Everything works. On the day, use the link you were sent.',
    done: 'Finish', finished: 'You are ready', again: 'Check again',
  },

  // Problem pages: what happened, that it is not your fault, the one thing to do next.
  problems: {
    no_invitation: { title: 'This link is not complete', text: ['Please open the link again from the message you were sent. If you copied it, make sure that you copied all of it.'] },
    invitation_unknown: { title: 'We do not know this link', text: ['Please open the link again from the message you were sent. If you copied it, make sure that you copied all of it.', 'If it still does not work, call the place that sent it.'] },
    invitation_revoked: { title: 'This link is no longer valid', text: ['The place that sent it has withdrawn it. Please call them: they can send you a new one.'] },
    revoked: { title: 'Your link was withdrawn', text: ['The place that sent it has withdrawn it. Please call them: they can send you a new one.'] },
    not_yet_open: { title: 'You are early', text: (d) => [d.opensAt ? `You can join ${when(d.opensAt)}.` : 'Your consultation is not open yet.', 'You can leave this page open. It goes on by itself.'] },
    window_closed: { title: 'This consultation is over', text: (d) => [d.closedAt ? `The link could be used until ${when(d.closedAt)}.` : 'The time for this consultation has passed.', 'If you missed it, call the place that sent you the link to arrange another time.'] },
    consultation_ended: { title: 'This consultation has ended', text: ['If you still have questions, call the place that sent you the link.'] },
    consultation_full: { title: 'The consultation is full', text: ['Everybody who can join is already there. Is it open on another device of yours? Close it there, then try again.'] },
    cancelled: { title: 'This consultation was cancelled', text: ['The place that invited you has cancelled it. Please call them to arrange another time.'] },
    replaced: { title: 'Open on another device', text: ['Your link was opened on another device or in another window, so it was closed here.'] },
    refused: { title: 'You were not let in', text: ['The clinician could not let you in. If you think that this is a mistake, call the place that sent you the link.'] },
    removed: { title: 'You were taken out of the consultation', text: ['Your link does not work any more. If you think that this is a mistake, call the place that sent it.'] },
    server_draining: { title: 'The video service is restarting', text: ['This is planned work and takes a minute or two. Please join again.'] },
    unavailable: { title: 'The video service is busy', text: ['Please wait a minute, then try again. Your link stays valid.'] },
    rate_limited: { title: 'Too many tries', text: ['Please wait a minute, then try again. Your link stays valid.'] },
    media_failed: { title: 'The connection was lost', text: ['Your link stays valid. Please join again.'] },
    connection_lost: { title: 'The connection was lost', text: ['We tried for a minute to connect again. Check that you are online, then join again. Your link stays valid.'] },
    network: { title: 'We cannot reach the video service', text: ['Check that you are online: does another web page open? Then try again.'] },
    origin_not_allowed: { title: 'This website is not ready for video', text: ['This is not your fault. Please call the place that invited you and tell them the code below.'] },
    too_slow: { title: 'Your connection was too slow', text: ['Go nearer to your Wi-Fi, or close other programs that use the internet. Then join again.'] },
    udp_blocked: { title: 'Your network does not let video through', text: (d) => ['This is not your fault. Networks in companies and hospitals sometimes block video calls. Try a phone with mobile data, or another Wi-Fi.', `For the IT department: please allow UDP to ${d.host}, port ${d.port}.`, 'We keep trying. This page goes on by itself when it works.'] },
    browser_too_old: { title: 'Your browser is too old', text: ['Video calls need a newer browser. Please update it, or open the link in a current Chrome, Edge, Firefox or Safari.'] },
    insecure: { title: 'This page is not secure', text: ['Browsers only allow cameras on pages whose address begins with https. Please open the link exactly as you were sent it.'] },
    codec_mismatch: { title: 'Your browser cannot take part', text: ['It cannot show the kind of video used here. Please open the link in a current Chrome, Edge, Firefox or Safari.'] },
    camera_denied: { title: 'We may not use your camera', text: ['Your browser or your phone has blocked it for this page. Choose the camera or lock sign next to the address of this page, choose Allow, then try again.'] },
    camera_in_use: { title: 'Another program uses your camera', text: ['Close other programs and pages with video, for example other video calls. Then try again.'] },
    camera_none: { title: 'We cannot find a camera', text: ['If you have one, plug it in, then try again. You can also continue without a camera: the others will hear you.'] },
    microphone_denied: { title: 'We may not use your microphone', text: ['Your browser or your phone has blocked it for this page. Choose the microphone or lock sign next to the address of this page, choose Allow, then try again.'] },
    microphone_in_use: { title: 'Another program uses your microphone', text: ['Close other programs and pages with sound, for example other video calls. Then try again.'] },
    microphone_none: { title: 'We cannot find a microphone', text: ['If you have one, plug it in, then try again. Without it you can see and hear, but nobody can hear you.'] },
    internal: { title: 'Something went wrong', text: ['This is our fault, not yours. Please try again. If it happens again, call the place that sent you the link and tell them the code below.'] },
  },
};
