package browser_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serveRecording starts a server that records for a hospital whose keys are in dir.
func serveRecording(t *testing.T, dir string) *server {
	t.Helper()
	binary, err := command()
	if err != nil {
		t.Fatal(err)
	}
	var recipients []string
	for _, name := range []string{"records", "escrow"} {
		out, err := exec.Command(binary, "keys", "new-recipient", "--out", filepath.Join(dir, name+".key")).Output()
		if err != nil {
			t.Fatalf("new-recipient: %v", err)
		}
		recipients = append(recipients, regexp.MustCompile(`age1pq1\w+`).FindString(string(out)))
	}
	const key = "bedside_recording_test"
	sum := sha256.Sum256([]byte(key))
	file := filepath.Join(dir, "bedside.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
listen: 127.0.0.1:0
metrics_listen: ""
public_url: http://localhost:1
data_dir: %[1]s/data
log: {level: debug}
audit: {min_free_percent: 0}
signaling:
  api_keys: [{id: test, tenant: clinic, scopes: [consultations, recordings], hash: %[2]s}]
recording: {enabled: true, min_free_percent: 0, recipients: [%[3]s]}
`, dir, hex.EncodeToString(sum[:]), strings.Join(recipients, ", ")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, key: key, exited: make(chan error, 1), client: http.DefaultClient}
	s.process = exec.Command(binary, "serve", "--config", file)
	s.process.Stderr = &s.log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.process.Wait() }()
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server logged:\n%s", s.log.String())
		}
	})
	listens := regexp.MustCompile(`msg=serving listen=(\S+)`)
	deadline := time.After(time.Minute)
	for s.url == "" {
		if m := listens.FindStringSubmatch(s.log.String()); m != nil {
			s.url = "http://" + m[1]
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatalf("does not serve:\n%s", s.log.String())
		}
	}
	return s
}

// TestRecording records two people by the page and the real server, and opens what was written with the
// hospital's key: the right person in the right track, as long as it was recorded, lips and voice in step,
// and nothing of it anywhere else.
func TestRecording(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	length := 12 * time.Second
	if os.Getenv("SOAK") != "" {
		length = 30 * time.Second
	}
	dir := t.TempDir()
	c := recordedConsultation(t, dir, []string{"Dr Canary-7f3a", "Canary-9c41 Novak"}, "false, true")
	doctor, sam := c.arrive(clinician), c.arrive(patient)
	c.admit(doctor, sam)
	c.seesEach()
	c.record()
	<-time.After(length)
	c.stopRecording()
	id := c.complete()
	out := filepath.Join(dir, "film.mkv")
	openRecording(t, dir, id, out)
	m := readManifest(t, dir, id)
	f := newFilm(t, ffmpeg, out)
	whole := seconds(f.Format.Duration)
	t.Logf("figure: recorded for %v, the film has %v", m.recorded().Round(time.Millisecond), whole)
	allowed := time.Second // the last packets of a busy machine may be so late
	if os.Getenv("SOAK") != "" {
		allowed = 100 * time.Millisecond
	}
	if (whole - m.recorded()).Abs() > allowed {
		t.Errorf("recorded for %v, the film has %v", m.recorded(), whole)
	}
	for _, p := range c.present {
		person := c.invited(p.name).ID
		f.wantBoth(person)
		wantQuadrants(t, ffmpeg, out, f.track(person, "camera").number(), p.name)
		wantTone(t, ffmpeg, out, f.track(person, "mic").number(), p.name)
		f.wantAll(p.name, person)
		f.wantInStep(p, person, m.Created)
	}
	findCanaries(t, filepath.Join(dir, "data"))
}

// recordedConsultation is a consultation of two people, or three, that may be recorded, for a hospital whose
// keys are in dir. The arguments are page.js's behind the names.
func recordedConsultation(t *testing.T, dir string, display []string, arguments string) *consultation {
	t.Helper()
	c := &consultation{t: t, server: serveRecording(t, dir), names: map[string]string{}}
	browser := newChromium(t)
	var invitations []string
	for i, role := range []string{clinician, patient, interpreter}[:len(display)] {
		invitations = append(invitations, fmt.Sprintf(`{"ref":"ref-%s","role":%[1]q,"display":%q}`, role, display[i]))
	}
	answer, status := c.server.request(http.MethodPost, c.server.url+"/v1/consultations",
		fmt.Appendf(nil, `{"recording":"ask","participants":[%s]}`, strings.Join(invitations, ",")))
	var opened struct{ Participants []invited }
	if err := json.Unmarshal(answer, &opened); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s", status, answer)
	}
	c.people = opened.Participants
	for i, p := range c.people {
		c.names[p.ID] = p.Role
		c.people[i].JoinURL = strings.Replace(p.JoinURL, "http://localhost:1", c.server.url, 1)
	}
	ids, err := json.Marshal(c.names)
	if err != nil {
		t.Fatal(err)
	}
	c.newTab = func(name string) *tab {
		return newTab(t, t, browser, name, strings.Replace(pageScript, "(PERSON)", fmt.Sprintf("(%q, %s, %s)", name, ids, arguments), 1))
	}
	return c
}

// record lets the clinician ask, and everybody else agree.
func (c *consultation) record() {
	c.t.Helper()
	c.present[0].press("more")
	c.present[0].press("request-recording")
	for _, p := range c.present[1:] {
		p.until("question", `bedsideTest.one('dialog[open] [data-action="agree"]')`)
		p.press("agree")
	}
	for _, p := range c.present {
		p.until("mark of the recording", `bedsideTest.one('.recording[data-recording="recording"]')`)
	}
}

func (c *consultation) stopRecording() {
	c.t.Helper()
	c.present[0].press("stop-recording")
	for _, p := range c.present {
		p.until("end of the mark", `!bedsideTest.one('.recording:not([hidden])')`)
	}
}

// manifest is what a recording says of itself.
type manifest struct {
	Created time.Time
	Marks   []struct {
		At   time.Time
		Kind string
	}
}

func readManifest(t *testing.T, dir, id string) (m manifest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "recordings", id, id+".json"))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// recorded is the time from when consent came in force until somebody stopped, pauses and all.
func (m *manifest) recorded() time.Duration {
	var began, ended time.Time
	for _, x := range m.Marks {
		switch x.Kind {
		case "recording.started":
			began = x.At
		case "recording.stopped":
			ended = x.At
		}
	}
	return ended.Sub(began)
}

// complete waits until the server's only recording is complete, and returns its id.
func (c *consultation) complete() string {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		answer, status := c.server.request(http.MethodGet, c.server.url+"/v1/recordings", nil)
		var list struct {
			Recordings []struct {
				ID, State string
				Bytes     int64
			}
		}
		if err := json.Unmarshal(answer, &list); err != nil || status != http.StatusOK {
			c.t.Fatalf("%d %s", status, answer)
		}
		if len(list.Recordings) == 1 && list.Recordings[0].State == "complete" {
			c.t.Logf("figure: %d bytes sealed", list.Recordings[0].Bytes)
			return list.Recordings[0].ID
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-deadline:
			c.t.Fatalf("not complete: %s", answer)
		}
	}
}

func openRecording(t *testing.T, dir, id, out string) {
	t.Helper()
	binary, err := command()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"recording", "verify", id, "--data-dir", filepath.Join(dir, "data"), "--identity", filepath.Join(dir, "escrow.key")},
		{"recording", "open", id, "--data-dir", filepath.Join(dir, "data"), "--identity", filepath.Join(dir, "records.key"), "--out", out},
	} {
		if text, err := exec.Command(binary, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, text)
		}
	}
}

func decode(t *testing.T, ffmpeg string, args ...string) []byte {
	t.Helper()
	c := exec.Command(ffmpeg, append([]string{"-v", "error"}, args...)...)
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil {
		t.Fatalf("ffmpeg %q: %v: %s", args, err, complaints.String())
	}
	return out
}

// wantQuadrants compares the corners of a picture 3 s into the film with those of the role in page.js.
func wantQuadrants(t *testing.T, ffmpeg, film, track, role string) {
	t.Helper()
	out := decode(t, ffmpeg, "-i", film, "-ss", "3", "-map", track, "-frames:v", "1", "-vf", "scale=8:8", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	if len(out) != 8*8*3 {
		t.Fatalf("%s: %d bytes of picture", role, len(out))
	}
	colours := map[byte][3]int{'R': {220, 40, 40}, 'G': {40, 170, 60}, 'B': {50, 70, 220}, 'Y': {230, 210, 40}}
	got := ""
	for _, corner := range [4]int{0, 7, 7 * 8, 7*8 + 7} {
		best, nearest := byte('?'), math.MaxInt
		for name, c := range colours {
			d := 0
			for i := range 3 {
				d += (int(out[corner*3+i]) - c[i]) * (int(out[corner*3+i]) - c[i])
			}
			if d < nearest {
				best, nearest = name, d
			}
		}
		got += string(best)
	}
	if want := map[string]string{clinician: "RGBY", patient: "GBYR"}[role]; got != want {
		t.Errorf("the picture of the %s shows %s, want %s", role, got, want)
	}
}

// wantTone compares how much of each person's tone is in a track.
func wantTone(t *testing.T, ffmpeg, film, track, role string) {
	t.Helper()
	const rate = 8000
	pcm := decode(t, ffmpeg, "-i", film, "-ss", "2", "-t", "3", "-map", track, "-ac", "1", "-ar", strconv.Itoa(rate), "-f", "s16le", "-")
	if len(pcm) < rate {
		t.Fatalf("%s: %d bytes of sound", role, len(pcm))
	}
	samples := make([]int16, len(pcm)/2)
	if err := binary.Read(bytes.NewReader(pcm), binary.LittleEndian, samples); err != nil {
		t.Fatal(err)
	}
	power := func(hertz float64) float64 { // Goertzel
		k := 2 * math.Cos(2*math.Pi*hertz/rate)
		var a, b float64
		for _, x := range samples {
			a, b = float64(x)+k*a-b, a
		}
		return a*a + b*b - k*a*b
	}
	tones := map[string]float64{clinician: 440, patient: 700}
	for other, hertz := range tones {
		if other != role && power(tones[role]) < 100*power(hertz) {
			t.Errorf("the sound of the %s has %.0f of their tone and %.0f of the %s's", role, power(tones[role]), power(hertz), other)
		}
	}
}

// findCanaries looks for names in the recordings and their names, where none may be.
func findCanaries(t *testing.T, data string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(filepath.Join(data, "recordings"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		for _, secret := range []string{"Canary", "ref-", "AGE-SECRET-KEY", "EBML", "matroska", "V_VP8"} {
			if strings.Contains(path[len(data):], secret) || bytes.Contains(text, []byte(secret)) {
				t.Errorf("%q is in %s", secret, path)
			}
		}
		return err
	})
	if err != nil || files < 4 { // a manifest, a key and two parts
		t.Errorf("%d files, %v", files, err)
	}
}
