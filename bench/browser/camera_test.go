package browser_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
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

// texturedFrames are three seconds, which come again and again without a jump.
const texturedFrames = 90

// writeTexturedCamera writes a picture that takes a camera's bits: it is textured, and sways by parts of a pixel.
func writeTexturedCamera(path string) error {
	const margin = 32
	const width, height = cameraWidth + 2*margin, cameraHeight + 2*margin
	// Noise of several sizes, as skin, cloth and walls have.
	random := rand.New(rand.NewPCG(1, 2))
	texture := make([]float32, width*height)
	for _, grain := range []int{32, 12, 5} {
		across := width/grain + 2
		noise := make([]float32, across*(height/grain+2))
		for i := range noise {
			noise[i] = random.Float32() - 0.5
		}
		for y := range height {
			for x := range width {
				texture[y*width+x] += between(noise, across, float32(x)/float32(grain), float32(y)/float32(grain)) * 70
			}
		}
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	_, _ = fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n", cameraWidth, cameraHeight)
	chroma := make([]byte, cameraWidth/2*cameraHeight/2*2)
	for i := range chroma {
		chroma[i] = byte(noChroma + i/cameraWidth%40 - 20)
	}
	row := make([]byte, cameraWidth)
	for n := range texturedFrames {
		_, _ = w.WriteString("FRAME\n")
		turn := 2 * math.Pi * float64(n) / texturedFrames
		left, top := float32(margin+20*math.Sin(turn)), float32(margin+8*math.Sin(2*turn))
		for y := range cameraHeight {
			for x := range row {
				row[x] = byte(128 + between(texture, width, left+float32(x), top+float32(y)))
			}
			_, _ = w.Write(row)
		}
		_, _ = w.Write(chroma)
	}
	return errors.Join(w.Flush(), file.Close())
}

// between is a value between four points of a grid.
func between(grid []float32, width int, x, y float32) float32 {
	left, top := int(x), int(y)
	dx, dy := x-float32(left), y-float32(top)
	at := grid[top*width+left:]
	below := at[width:]
	return (at[0]*(1-dx)+at[1]*dx)*(1-dy) + (below[0]*(1-dx)+below[1]*dx)*dy
}
