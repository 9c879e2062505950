/** Types of the Bedside SDK. Times are milliseconds and sizes CSS pixels unless a comment says otherwise. */

export type Role = 'clinician' | 'patient' | 'carer' | 'interpreter' | 'observer' | 'device';
export type Source = 'camera' | 'mic' | 'screen' | 'exam' | 'auscultation';
/**
 * `new` until joined, `waiting` in the lobby and `held` on hold (nothing is sent or received, the
 * SDK takes the tracks off by itself), `admitted` in the room.
 */
export type State = 'new' | 'waiting' | 'admitted' | 'held' | 'ended';
/** `muted` is a slot whose occupant has switched this source off. */
export type SlotState = 'empty' | 'live' | 'muted';

export interface Participant {
  id: string;
  role: Role;
  /** At most 64 characters; personal: do not log it. */
  display?: string;
  /** A guardian: a carer who decides for the patient. */
  proxy?: boolean;
  /** A device that receives what is said and shown, such as a wall display. */
  watch?: boolean;
  state: 'waiting' | 'admitted' | 'held';
  /** False while their connection is being restored. */
  connected: boolean;
  /** While waiting: since when, Unix milliseconds. */
  waiting?: number;
  /** The sources they have muted. */
  muted?: Source[];
}

/** What may be known in the lobby. Times are RFC 3339. */
export interface Facts {
  clinician_present: boolean;
  start?: string;
  end?: string;
  /** When everybody is disconnected. */
  closes?: string;
  /** When clinician and patient first met. */
  started?: string;
}

export interface Policy {
  recording: 'never' | 'ask' | 'required';
  /** The version of the notice to which people consent; absent with `never`. */
  notice?: string;
  profile: 'general' | 'motion' | 'detail';
  /** What everybody sends. */
  video_codec: 'VP8' | 'H264';
  max_participants: number;
  /** What this participant may send. */
  publish: Source[];
  /** What this participant may ask for. */
  can: ('subscribe' | 'message' | 'vitals' | 'admit' | 'refuse' | 'remove' | 'hold' | 'hand_over' | 'record' | 'consent' | 'end' | 'leave' | (string & {}))[];
}

export type Decision = 'granted' | 'denied' | 'withdrawn';

/** Whether the consultation is recorded. Show it to everybody, at all times. */
export interface Recording {
  /** `requested`: people are being asked, nothing is recorded. `paused`: nothing is until the reason has gone. */
  state: 'off' | 'requested' | 'recording' | 'paused';
  /** The version of the notice that consent is to. */
  notice: string;
  /** Why it is off or paused: a reason of the protocol's `recording`. */
  reason?: string;
  /** Whose consent is needed and not there: one's own, and for clinicians everybody's. */
  missing: string[];
  /** What this participant has said. */
  consent?: Decision;
  /** For clinicians: how often something could not be written. */
  gaps?: number;
}

/** What the exchange of an invitation tells before joining. */
export interface Preview {
  role?: Role;
  display?: string;
  /** Whether clinician and patient have met already. */
  state?: 'open' | 'in_progress';
  /** When the link can be used, RFC 3339. */
  window?: { from: string; to: string };
  facts?: Facts;
  /** Whether the consultation may be recorded. */
  recording?: 'never' | 'ask' | 'required';
  /** The version of the notice, unless nothing is ever recorded. */
  notice?: string;
  /** Seconds that the token lives; join() exchanges again when it has become old. */
  expires_in?: number;
}

/** How one source is shown. */
export interface LayoutTile {
  participant: string;
  source: Source;
  /** Device pixels: CSS pixels times devicePixelRatio. */
  width: number;
  /** Device pixels. */
  height: number;
  pinned?: boolean;
}

/** One video slot. */
export interface Tile {
  /** The m-line; stays the same for the life of a connection. */
  mid: string;
  /** '' in an empty slot. */
  participant: string;
  source: Source | '';
  state: SlotState;
  /**
   * Whether what the element shows now is the participant's. False from the moment in which the slot
   * changes hands until their first frame: until then it holds somebody else's last picture. Cover it.
   */
  shown: boolean;
  /** A camera's picture that has stood still for two seconds, or of which frames come one by one: not live. Say so. */
  stalled: boolean;
  /** Plays the slot, without sound. Yours to put where it is to be seen; the SDK's to keep playing. */
  element: HTMLVideoElement;
  track: MediaStreamTrack;
}

/**
 * `reconnecting`: nothing needs to be done; with `restarting`, the server has said that it will be back.
 * `failed` with `udp_blocked`: no media within 10 s, the SDK goes on trying. `failed` with `signaling`:
 * given up, `ended` follows: after 60 s, or after 5 minutes where the SDK has exchanged the invitation
 * and can come in anew with it.
 */
export interface ConnectionDetail {
  state: 'connecting' | 'connected' | 'reconnecting' | 'failed';
  detail?: 'signaling' | 'restarting' | 'media' | 'udp_blocked';
  /** Reconnecting the signaling: since when, Unix milliseconds. */
  since?: number;
  /** Reconnecting the signaling: 0 for the first attempt. */
  attempt?: number;
}

export interface QualityDetail {
  level: 'good' | 'fair' | 'poor';
  /** Fraction 0 to 1 of the packets to us lost in the last second, before repair. */
  downLoss: number;
  /** Fraction 0 to 1, as the server last reported. */
  upLoss: number;
  /** Milliseconds. */
  roundTrip: number;
  /** The way that media goes: `tcp` and `tls` where the network blocks UDP. `silent`: not a byte came by it. */
  path: { protocol?: 'udp' | 'tcp' | 'tls'; relayed: boolean; silent: boolean };
  /** What arrived here from each of the others whose picture or sound is live. */
  received: ReceivedDetail[];
}

/** How one participant is received here: their connection, the server and one's own taken together. */
export interface ReceivedDetail {
  participant: string;
  level: 'good' | 'fair' | 'poor';
  /** Fraction 0 to 1 of the packets from the server, before repair. */
  loss: number;
  /** Fraction 0 to 1 of the sound that had to be made up. */
  concealed: number;
  /** Whether sound came at all: it does not while they are muted. */
  sound: boolean;
  /** Milliseconds, the worst of their slots. */
  jitter: number;
  /** Of the camera, where it is received. */
  width?: number;
  height?: number;
  framesPerSecond?: number;
}

export type LinkLevel = 'good' | 'fair' | 'poor';

/** How good one participant's connection is; one's own, too. Who has not been named has a good one. */
export interface LinkDetail {
  participant: string;
  /** From them to the server: what everybody gets of them. */
  uplink: LinkLevel;
  /** From the server to them. */
  downlink: LinkLevel;
  /** For clinicians, every ten seconds. Losses are fractions 0 to 1, before repair; `round_trip` is in
   * milliseconds, to the server and back, 0 while it is not known. */
  figures?: { uplink_loss: number; downlink_loss: number; round_trip: number };
}

/** Why it ended: the reasons of the protocol's `ended`, or the code of the error that ended it. */
export type EndReason = 'ended' | 'left' | 'replaced' | 'refused' | 'removed' | 'revoked' | 'cancelled'
  | 'window_closed' | 'too_slow' | 'ssrc_limit' | 'media_failed' | 'server_draining' | (string & {});

export interface DeviceDetail {
  source: Source | 'speaker';
  kind: 'audio' | 'video';
  /** `ended`: unplugged or taken away; the SDK has taken it off. `blocked`: autoplay rules; see resumeAudio. */
  problem: 'ended' | 'blocked';
  /** The device's name, '' for the speaker. */
  label: string;
}

export interface ConsultationEvents {
  /** `resumed` after a lost connection: every slot is new. */
  joined: { resumed: boolean };
  state: { state: State };
  /** The others in the room: who came, who went, who was put on hold and who came back from it. */
  roster: { roster: Participant[]; arrived: Participant[]; gone: Participant[]; held: Participant[]; back: Participant[] };
  /** A slot was assigned, emptied, shown, or its picture stands still. */
  tile: Tile;
  /** Before anything is recorded, and whenever that changes. */
  recording: Recording;
  /** Loudest first; level 0 (silence) to 127. */
  speakers: { levels: { participant: string; level: number }[] };
  message: { from: string; to?: string; kind: string; body: string };
  connection: ConnectionDetail;
  /** Once a second while connected. */
  quality: QualityDetail;
  /** When a level changes. */
  link: LinkDetail;
  device: DeviceDetail;
  ended: { reason: EndReason };
  /** `final` errors are followed by `ended`. */
  error: { error: BedsideError; final: boolean };
}

export interface SlotStats {
  mid: string;
  kind: 'audio' | 'video';
  participant: string;
  source: Source | '';
  state: SlotState;
  shown: boolean;
  codec?: string;
  ssrc?: number;
  packetsReceived?: number;
  packetsLost?: number;
  bytesReceived?: number;
  /** Milliseconds. */
  jitter?: number;
  framesReceived?: number;
  framesDecoded?: number;
  framesDropped?: number;
  framesPerSecond?: number;
  /** Pixels of the decoded picture. */
  width?: number;
  height?: number;
  freezes?: number;
  /** Milliseconds. */
  frozen?: number;
  retransmitted?: number;
  nacks?: number;
  plis?: number;
  /** 0 to 1. */
  audioLevel?: number;
  audioEnergy?: number;
  /** Samples at 48 kHz. */
  samplesReceived?: number;
  samplesConcealed?: number;
}

export interface SenderStats {
  mid: string;
  source: Source;
  rid?: string;
  codec?: string;
  ssrc?: number;
  packetsSent?: number;
  bytesSent?: number;
  retransmitted?: number;
  framesEncoded?: number;
  framesPerSecond?: number;
  width?: number;
  height?: number;
  limitedBy?: 'none' | 'cpu' | 'bandwidth' | 'other';
  active?: boolean;
  /** Milliseconds. */
  roundTrip?: number;
  /** Fraction 0 to 1, as the server last reported. */
  lossFraction?: number;
}

export interface Stats {
  path: {
    dtls?: string;
    /** The SRTP cipher, such as AEAD_AES_128_GCM. */
    cipher?: string;
    /** Milliseconds. */
    roundTrip?: number;
    /** Estimated uplink, bit/s. */
    available?: number;
    /** `udp`, `tcp` or `tls`: to the relay, where there is one between. */
    protocol?: string;
    relayed?: boolean;
  };
  /** Slots that have received something. Counters run since the connection was made. */
  slots: SlotStats[];
  senders: SenderStats[];
}

export class BedsideError extends Error {
  /** Stable: a code of the protocol, or `network`, `connection_lost`, `origin_not_allowed`. */
  readonly code: string;
  /** For developers, in English. */
  readonly detail: string;
  /** With code `not_yet_open`. */
  readonly opensAt: Date | null;
  /** With code `window_closed`. */
  readonly closedAt: Date | null;
  /** Seconds until it makes sense to try again, with `pin_locked`, `rate_limited` and `unavailable`. */
  readonly retryAfter: number | null;
}

/** One participant's part in one consultation: signaling, one RTCPeerConnection, slots. */
export class Consultation extends EventTarget {
  /**
   * Exchanges an invitation for a session token. Nothing is joined yet and no device is touched.
   * @param server its origin, such as https://video.example; '' is the one this module came from
   * @param options `pin`: what the person got beside the link, asked for with the codes `pin_required`,
   *   `pin_wrong` (ask again) and `pin_locked` (after `retryAfter` seconds)
   * @throws BedsideError
   */
  static exchange(server: string, invitation: string, options?: { pin?: string; signal?: AbortSignal }): Promise<Consultation>;
  /** For pages whose own back end has exchanged the invitation. Tokens live 60 s and work once. */
  constructor(options?: { server?: string; connect?: string; token?: string });

  /** This participant's id; '' before joining. */
  readonly self: string;
  readonly role: Role | '';
  readonly display: string;
  readonly state: State;
  readonly roster: Participant[];
  readonly policy: Policy;
  readonly facts: Facts;
  readonly recording: Recording;
  readonly connection: ConnectionDetail;
  readonly preview: Preview;
  /** The video slots as they are now. */
  readonly tiles: Tile[];

  /** Resolves in the lobby or in the room. @throws BedsideError */
  join(): Promise<void>;
  /**
   * Resolves within a second, whatever the network does. With `to` a clinician hands over to another
   * clinician in the room: that waits for the server, and throws `no_such_participant` when they are
   * not there; one is still in the room then.
   */
  leave(options?: { to?: string }): Promise<void>;
  /** Ends it for everybody. @throws BedsideError as do all below, where the role may not */
  end(): Promise<void>;
  admit(participant: string): Promise<void>;
  refuse(participant: string): Promise<void>;
  /** Takes a participant out of the conversation until unhold(); they stay connected and hear nothing. */
  hold(participant: string): Promise<void>;
  unhold(participant: string): Promise<void>;
  /** Takes a participant out and revokes the invitation. */
  remove(participant: string): Promise<void>;
  /** Asks everybody for their consent, which is one's own, too; recording begins when all have agreed. */
  requestRecording(): Promise<void>;
  /** Ends the recording, or the request. */
  stopRecording(): Promise<void>;
  /** Says whether this participant, and with a guardian the patient, agrees to being recorded. */
  consent(recording: Decision): Promise<void>;
  /**
   * Relays at most 4096 bytes to one participant, or to everybody in the room. Whoever may admit may
   * also write to one who waits or is on hold.
   */
  send(kind: string, body: string, to?: string): Promise<void>;
  /** What the page shows, for the server to choose what to send. */
  layout(tiles: LayoutTile[]): Promise<void>;

  /** Sends the track from admission on; null takes it off. The track stays yours to stop. */
  setCamera(track: MediaStreamTrack | null): Promise<void>;
  setMicrophone(track: MediaStreamTrack | null): Promise<void>;
  setTrack(source: Source, track: MediaStreamTrack | null): Promise<void>;
  /** Takes the track off the sender and tells the others; the device stays open. */
  mute(source: Source, muted: boolean): Promise<void>;
  /** Whether nothing of this source is sent: muted, or no track. */
  isMuted(source: Source): boolean;
  share(stream: MediaStream): Promise<void>;
  /** Stops the shared track and takes it off. */
  stopShare(): Promise<void>;

  /** Plays what autoplay rules had blocked: call it from a click. */
  resumeAudio(): void;
  stats(): Promise<Stats>;

  addEventListener<K extends keyof ConsultationEvents>(type: K,
    listener: (event: CustomEvent<ConsultationEvents[K]>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof ConsultationEvents>(type: K,
    listener: (event: CustomEvent<ConsultationEvents[K]>) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/** What `<bedside-consultation>` shows. */
export type Page = 'loading' | 'welcome' | 'pin' | 'devices' | 'waiting' | 'held' | 'room' | 'ended' | 'problem';

export interface BedsideConsultationEvents {
  /** The invitation has been exchanged. Fires again when the person starts again. */
  consultation: Consultation;
  /** The element shows another page. `problem` is the code of what went wrong, else ''. */
  page: { page: Page; problem: string };
}

/**
 * `<bedside-consultation server invitation lang>`: everything from the invitation to the end of the
 * call. Style it with the custom properties at the top of its style sheet, /sdk/v1/ui/style.css, and
 * with [part="…"]. `lang` (en, de) is the language, the browser's without it. What it shows is also in
 * its attributes data-bedside-state and data-bedside-problem. Taken out of the document, it leaves the
 * consultation and stops the camera.
 */
export class BedsideConsultation extends HTMLElement {
  /** Set it before the element is connected. */
  invitation: string;
  readonly consultation: Consultation | null;
  addEventListener<K extends keyof BedsideConsultationEvents>(type: K,
    listener: (event: CustomEvent<BedsideConsultationEvents[K]>) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    'bedside-consultation': BedsideConsultation;
  }
}
