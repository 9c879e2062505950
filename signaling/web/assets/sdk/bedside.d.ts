/** Types of the Bedside SDK. Times are milliseconds and sizes CSS pixels unless a comment says otherwise. */

export type Role = 'clinician' | 'patient' | 'carer' | 'interpreter' | 'observer' | 'device';
export type Source = 'camera' | 'mic' | 'screen' | 'exam' | 'auscultation';
/** `new` until joined, `waiting` in the lobby (nothing is sent or received), `admitted` in the room. */
export type State = 'new' | 'waiting' | 'admitted' | 'ended';
/** `muted` is a slot whose occupant has switched this source off. */
export type SlotState = 'empty' | 'live' | 'muted';

export interface Participant {
  id: string;
  role: Role;
  /** At most 64 characters; personal: do not log it. */
  display?: string;
  state: 'waiting' | 'admitted';
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
  profile: 'general' | 'motion' | 'detail';
  /** What everybody sends. */
  video_codec: 'VP8' | 'H264';
  max_participants: number;
  /** What this participant may send. */
  publish: Source[];
  /** What this participant may ask for. */
  can: ('admit' | 'refuse' | 'remove' | 'message' | 'end' | (string & {}))[];
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
  /** A camera's picture that has stood still for two seconds: what the element shows is not live. Say so. */
  stalled: boolean;
  /** Plays the slot, without sound. Yours to put where it is to be seen; the SDK's to keep playing. */
  element: HTMLVideoElement;
  track: MediaStreamTrack;
}

/**
 * `reconnecting`: nothing needs to be done. `failed` with `udp_blocked`: no media within 10 s, the SDK
 * goes on trying. `failed` with `signaling`: given up after 60 s, `ended` follows.
 */
export interface ConnectionDetail {
  state: 'connecting' | 'connected' | 'reconnecting' | 'failed';
  detail?: 'signaling' | 'media' | 'udp_blocked';
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
  /** `arrived` and `gone` are the admitted others who came and went. */
  roster: { roster: Participant[]; arrived: Participant[]; gone: Participant[] };
  /** A slot was assigned, emptied, shown, or its picture stands still. */
  tile: Tile;
  /** Loudest first; level 0 (silence) to 127. */
  speakers: { levels: { participant: string; level: number }[] };
  message: { from: string; to?: string; kind: string; body: string };
  connection: ConnectionDetail;
  /** Once a second while connected. */
  quality: QualityDetail;
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
}

/** One participant's part in one consultation: signaling, one RTCPeerConnection, slots. */
export class Consultation extends EventTarget {
  /**
   * Exchanges an invitation for a session token. Nothing is joined yet and no device is touched.
   * @param server its origin, such as https://video.example; '' is the one this module came from
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
  readonly connection: ConnectionDetail;
  readonly preview: Preview;
  /** The video slots as they are now. */
  readonly tiles: Tile[];

  /** Resolves in the lobby or in the room. @throws BedsideError */
  join(): Promise<void>;
  /** Resolves within a second, whatever the network does. */
  leave(): Promise<void>;
  /** Ends it for everybody. @throws BedsideError as do all below, where the role may not */
  end(): Promise<void>;
  admit(participant: string): Promise<void>;
  refuse(participant: string): Promise<void>;
  /** Takes a participant out and revokes the invitation. */
  remove(participant: string): Promise<void>;
  /** Relays at most 4096 bytes to one participant, or to everybody in the room. */
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

/**
 * `<bedside-consultation server invitation>`: everything from the invitation to the end of the call.
 * Style it with the custom properties --bedside-accent, --bedside-radius, … and with [part="…"];
 * its style sheet is /sdk/v1/ui/style.css. Dispatches `consultation` (detail: Consultation).
 */
export class BedsideConsultation extends HTMLElement {
  /** Set it before the element is connected. */
  invitation: string;
  readonly consultation: Consultation | null;
}

declare global {
  interface HTMLElementTagNameMap {
    'bedside-consultation': BedsideConsultation;
  }
}
