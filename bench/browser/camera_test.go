package browser_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"
)

// The fake camera: 640x360, white, with a grey bar that moves. page.js shows it in the middle of its
// quadrants.
const (
	cameraWidth, cameraHeight = 640, 360
	cameraFrames              = 15
	white, grey, noChroma     = 235, 120, 128 // ITU-R BT.601, limited range
)

// writeCamera writes the picture as YUV4MPEG2, which Chromium plays in a loop.
func writeCamera(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	_, _ = fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n", cameraWidth, cameraHeight)
	chroma := make([]byte, cameraWidth/2*cameraHeight/2*2)
	for i := range chroma {
		chroma[i] = noChroma
	}
	for n := range cameraFrames {
		_, _ = w.WriteString("FRAME\n")
		for y := range cameraHeight {
			for x := range cameraWidth {
				inBar := y >= 170 && y < 190 && (x+cameraWidth-n*cameraWidth/cameraFrames)%cameraWidth < 60
				if inBar {
					_ = w.WriteByte(grey)
				} else {
					_ = w.WriteByte(white)
				}
			}
		}
		_, _ = w.Write(chroma)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
