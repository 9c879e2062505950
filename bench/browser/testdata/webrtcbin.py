"""A WHIP and WHEP client of GStreamer's webrtcbin, for tests.

    webrtcbin.py whip|whep URL VP8|H264
    webrtcbin.py check

The second tells what is not installed, if anything, and fails then.

The token of the session comes in the first line of standard input, which is then kept open: when it ends the
client deletes its resource and leaves. What happens is told on standard output, one JSON object a line:
{"opened": status, "location": ..., "etag": ...}, {"state": ...} of the connection, and every second
{"sent": {kind: buffers}, "heard": loudness, "seen": {frames, width, height, colours of the quadrants}}.
"""
import json
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version('Gst', '1.0')
gi.require_version('GstSdp', '1.0')
gi.require_version('GstWebRTC', '1.0')
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

SENDER = {
    'VP8': 'vp8enc deadline=1 cpu-used=8 target-bitrate=500000 keyframe-max-dist=3000 ! rtpvp8pay picture-id-mode=2',
    'H264': 'x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 key-int-max=3000 bframes=0'
            ' ! video/x-h264,profile=constrained-baseline ! h264parse ! rtph264pay config-interval=-1 aggregate-mode=zero-latency',
}
DECODER = {
    'VP8': 'rtpvp8depay ! vp8dec',
    'H264': 'rtph264depay ! h264parse ! avdec_h264',
    'OPUS': 'rtpopusdepay ! opusdec',
}
VIDEO = {'VP8': 'VP8', 'H264': 'H264,packetization-mode=(string)1,profile-level-id=(string)42e01f'}
FEEDBACK = 'rtcp-fb-nack-pli=(boolean)true,rtcp-fb-ccm-fir=(boolean)true'


def tell(**what):
    print(json.dumps(what), flush=True)


def rtp(kind, encoding, payload):
    clock = 48000 if kind == 'audio' else 90000
    more = ',encoding-params=(string)2' if kind == 'audio' else ',' + FEEDBACK
    return f'application/x-rtp,media={kind},payload={payload},clock-rate={clock},encoding-name={encoding}{more}'


class Client:
    def __init__(self, mode, url, codec, token):
        self.mode, self.url, self.codec, self.token = mode, url, codec, token
        self.loop, self.resource, self.begun = GLib.MainLoop(), None, False
        self.sent, self.frames, self.seen, self.heard = {}, 0, {}, 0
        # parse_launch makes a pipeline of two elements or more only.
        text = 'webrtcbin name=webrtc bundle-policy=max-bundle latency=50 fakesrc num-buffers=0 ! fakesink'
        if mode == 'whip':
            text += (f' videotestsrc is-live=true pattern=solid-color foreground-color=0xff28c8c8'
                     f' ! video/x-raw,width=640,height=360,framerate=25/1 ! videoconvert ! video/x-raw,format=I420'
                     f' ! {SENDER[codec]} name=video ! {rtp("video", codec, 96)} ! webrtc.'
                     f' audiotestsrc is-live=true wave=sine freq=880 ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2'
                     f' ! opusenc ! rtpopuspay name=audio ! {rtp("audio", "OPUS", 97)} ! webrtc.')
        self.pipe = Gst.parse_launch(text)
        self.webrtc = self.pipe.get_by_name('webrtc')
        if mode == 'whep':
            for caps in (rtp('video', VIDEO[codec], 96), rtp('audio', 'OPUS', 97)):
                self.webrtc.emit('add-transceiver', GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
        else:
            for kind in ('video', 'audio'):
                self.pipe.get_by_name(kind).get_static_pad('src').add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, self.count, kind)
            i = 0
            while (t := self.webrtc.emit('get-transceiver', i)) is not None:
                t.set_property('direction', GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
                i += 1
        self.webrtc.connect('on-negotiation-needed', self.negotiate)
        self.webrtc.connect('pad-added', self.receive)
        self.webrtc.connect('notify::connection-state', self.state)
        bus = self.pipe.get_bus()
        bus.add_signal_watch()
        bus.connect('message::error', lambda _, m: self.fail(str(m.parse_error())))

    def run(self):
        threading.Thread(target=self.wait_for_end, daemon=True).start()
        GLib.timeout_add(1000, self.report)
        self.pipe.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipe.set_state(Gst.State.NULL)

    def fail(self, why):
        tell(error=why)
        self.loop.quit()

    # ---- signalling ----

    def request(self, method, url, body=None, **headers):
        r = urllib.request.Request(url, method=method, data=body.encode() if body else None,
                                   headers={'Authorization': 'Bearer ' + self.token, **headers})
        try:
            with urllib.request.urlopen(r, timeout=60) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, refused.read().decode()

    def negotiate(self, _):
        if not self.begun:
            self.begun = True
            self.webrtc.emit('create-offer', None, Gst.Promise.new_with_change_func(self.offered, None, None))

    def offered(self, promise, *_):
        reply = promise.get_reply()  # the offer lives as long as this
        offer = reply.get_value('offer')
        self.webrtc.emit('set-local-description', offer, Gst.Promise.new())
        try:
            status, headers, text = self.request('POST', self.url, offer.sdp.as_text(), **{'Content-Type': 'application/sdp'})
        except OSError as e:
            return self.fail(str(e))
        if status != 201:
            tell(opened=status)
            return self.loop.quit()
        self.resource = urllib.parse.urljoin(self.url, headers['Location'])
        _, sdp = GstSdp.SDPMessage.new_from_text(text)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.webrtc.emit('set-remote-description', answer, Gst.Promise.new())
        tell(opened=status, location=self.resource, etag=headers['ETag'])

    def state(self, *_):
        tell(state=self.webrtc.get_property('connection-state').value_nick)

    def wait_for_end(self):
        sys.stdin.read()
        if self.resource:
            tell(deleted=self.request('DELETE', self.resource)[0])
        GLib.idle_add(self.loop.quit)

    # ---- media ----

    def count(self, _, info, kind):
        self.sent[kind] = self.sent.get(kind, 0) + 1
        return Gst.PadProbeReturn.OK

    def receive(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps().get_structure(0)
        name = caps.get_string('encoding-name')
        tail = ('videoconvert ! video/x-raw,format=RGB' if caps.get_string('media') == 'video'
                else 'audioconvert ! audio/x-raw,format=S16LE,channels=1')
        part = Gst.parse_bin_from_description(f'queue ! {DECODER[name]} ! {tail} ! appsink name=sink emit-signals=true sync=false', True)
        part.get_by_name('sink').connect('new-sample', self.look if caps.get_string('media') == 'video' else self.listen)
        self.pipe.add(part)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad('sink'))

    def look(self, sink):
        sample = sink.emit('pull-sample')
        caps = sample.get_caps().get_structure(0)
        width, height = caps.get_value('width'), caps.get_value('height')
        pixels = sample.get_buffer().extract_dup(0, sample.get_buffer().get_size())
        stride = (width * 3 + 3) // 4 * 4
        self.frames += 1
        points = [(width * x // 4, height * y // 4) for y in (1, 3) for x in (1, 3)]
        self.seen = {'width': width, 'height': height, 'frames': self.frames,
                     'colours': [list(pixels[y * stride + x * 3:][:3]) for x, y in points]}
        return Gst.FlowReturn.OK

    def listen(self, sink):
        buffer = sink.emit('pull-sample').get_buffer()
        samples = memoryview(buffer.extract_dup(0, buffer.get_size())).cast('h')
        self.heard = max(self.heard, max(map(abs, samples), default=0))
        return Gst.FlowReturn.OK

    def report(self):
        tell(sent=self.sent, heard=self.heard, seen=self.seen)
        self.heard = 0
        return True


if __name__ == '__main__':
    Gst.init(None)
    if sys.argv[1] == 'check':
        need = 'webrtcbin nicesrc dtlsenc srtpenc vp8enc vp8dec x264enc avdec_h264 h264parse opusenc opusdec rtpvp8pay videoconvert'
        sys.exit(', '.join(e for e in need.split() if not Gst.ElementFactory.find(e)) or None)
    Client(*sys.argv[1:4], sys.stdin.readline().strip()).run()
