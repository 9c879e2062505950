package browser_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPlayerImage takes the picture of the documentation that shows a recording of three people in mpv. It is
// no test: somebody has to look at it. It needs mpv, Xvfb and ImageMagick.
func TestPlayerImage(t *testing.T) {
	if !*updateImages {
		t.Skip("takes a picture only with -update-images")
	}
	dir := t.TempDir()
	c := recordedConsultation(t, dir, []string{"Dr Lee", "Sam Novak", "Ana Silva"}, "true")
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	ana := c.arrive(interpreter)
	c.admit(doctor, ana)
	for _, p := range c.present {
		p.until("two pictures", `bedsideTest.all('.tile[data-shown="true"]').length === 2`)
	}
	c.record()
	<-time.After(10 * time.Second)
	c.stopRecording()
	film := filepath.Join(dir, "visit.mkv")
	openRecording(t, dir, c.complete(), film)
	play(t, film, filepath.Join("..", "..", "docs", "images", "recording-player.png"))
}

// allThree is mpv's --lavfi-complex that shows three pictures beside each other and mixes three voices, as
// docs/operations.md has it.
const allThree = "[vid1]scale=480:270[a];[vid2]scale=480:270[b];[vid3]scale=480:270[c];[a][b][c]hstack=3[vo];[aid1][aid2][aid3]amix=3[ao]"

// play opens a film in mpv, on a screen of its own, and takes a picture of that screen when 6 s have been played.
func play(t *testing.T, film, image string) {
	t.Helper()
	const display = ":97"
	screen := exec.Command("Xvfb", display, "-screen", "0", "1440x330x24", "-nolisten", "tcp")
	if err := screen.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Process.Kill(); _ = screen.Wait() }()
	shot := func(to string) error { return exec.Command("import", "-display", display, "-window", "root", to).Run() }
	c := &tab{t: t, name: "screen"}
	c.eventually("screen", func() bool { return shot(filepath.Join(t.TempDir(), "empty.png")) == nil })
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = said.Close() }()
	player := exec.Command("mpv", "--no-config", "--vo=x11", "--ao=null", "--end=6", "--keep-open=yes", "--geometry=1440x330+0+0",
		"--osc=yes", "--script-opts=osc-visibility=always,osc-layout=bottombar", "--term-status-msg=over ${eof-reached}",
		"--lavfi-complex="+allThree, film)
	player.Env = append(os.Environ(), "DISPLAY="+display)
	player.Stdout, player.Stderr = said, said
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = player.Process.Kill(); _ = player.Wait() }()
	c.eventually("end of 6 s", func() bool {
		text, err := os.ReadFile(said.Name())
		return err == nil && strings.Contains(string(text), "over yes")
	})
	if err := shot(image); err != nil {
		t.Fatal(err)
	}
}
