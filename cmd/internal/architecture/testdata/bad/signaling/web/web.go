package web

import (
	_ "unsafe" // want import

	_ "github.com/bedside-video/bedside/bench/sim" // want import
	_ "github.com/bedside-video/bedside/sfu"       // want import
	_ "github.com/pion/webrtc/v4/pkg/media"        // want import
)
