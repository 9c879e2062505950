package bench

import (
	"errors"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// The payload types are Chromium's.
const (
	payloadOpus   = 111
	payloadRED    = 63 // of Opus (RFC 2198)
	payloadVP8    = 96
	payloadVP8RTX = 97
)

// mimeRED is RED of audio.
const mimeRED = "audio/red"

func newMediaEngine(repeat bool) (*webrtc.MediaEngine, *interceptor.Registry, error) {
	m := &webrtc.MediaEngine{}
	err := errors.Join(registerCodecs(m, repeat), registerExtensions(m))
	if err != nil {
		return nil, nil, err
	}
	registry := &interceptor.Registry{}
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return nil, nil, err
	}
	feedback, err := twcc.NewSenderInterceptor()
	if err != nil {
		return nil, nil, err
	}
	stamps, err := twcc.NewHeaderExtensionInterceptor()
	if err != nil {
		return nil, nil, err
	}
	registry.Add(reports)
	registry.Add(feedback)
	registry.Add(stamps)
	return m, registry, nil
}

func registerCodecs(m *webrtc.MediaEngine, repeat bool) error {
	opus := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
		RTCPFeedback: []webrtc.RTCPFeedback{{Type: "transport-cc"}},
	}
	if repeat {
		opus.RTCPFeedback = append(opus.RTCPFeedback, webrtc.RTCPFeedback{Type: "nack"})
	}
	red := webrtc.RTPCodecCapability{MimeType: mimeRED, ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111"}
	vp8 := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
		RTCPFeedback: []webrtc.RTCPFeedback{
			{Type: "goog-remb"}, {Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"},
		},
	}
	rtx := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}
	return errors.Join(
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: payloadOpus}, webrtc.RTPCodecTypeAudio),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: red, PayloadType: payloadRED}, webrtc.RTPCodecTypeAudio),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: payloadVP8}, webrtc.RTPCodecTypeVideo),
		m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: rtx, PayloadType: payloadVP8RTX}, webrtc.RTPCodecTypeVideo),
	)
}

func registerExtensions(m *webrtc.MediaEngine) error {
	var errs []error
	add := func(uri string, kinds ...webrtc.RTPCodecType) {
		for _, kind := range kinds {
			errs = append(errs, m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind))
		}
	}
	const audio, video = webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo
	add(sdp.AudioLevelURI, audio)
	add(sdp.SDESMidURI, audio, video)
	add(sdp.TransportCCURI, audio, video)
	add(sdp.SDESRTPStreamIDURI, video)
	add(sdp.SDESRepairRTPStreamIDURI, video)
	return errors.Join(errs...)
}
