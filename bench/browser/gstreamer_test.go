package browser_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// debianPython is the one that Debian's bindings of GStreamer are for.
const debianPython = "/usr/bin/python3"

// gstreamer is a GStreamer that publishes by WHIP or watches by WHEP: testdata/webrtcbin.py.
type gstreamer struct {
	t     *testing.T
	token string
	stdin io.Closer
	ended chan struct{}

	mu   sync.Mutex
	told told
}

// told is everything that the client has told, the last word on each.
type told struct {
	Opened   int
	Location string
	ETag     string
	State    string
	Deleted  int
	Error    string
	Heard    int
	Seen     struct {
		Frames, Width, Height int
		Colours               [][3]int
	}
}

// needGStreamer skips the test where GStreamer is not installed.
func needGStreamer(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(debianPython, script(), "check").CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Skipf("GStreamer is not installed (make needs): %s", lines[len(lines)-1])
	}
}

func script() string { return filepath.Join("testdata", "webrtcbin.py") }

// startGStreamer starts the client with a token.
func startGStreamer(t *testing.T, mode, url, codec, token string) *gstreamer {
	t.Helper()
	g := &gstreamer{t: t, token: token, ended: make(chan struct{})}
	process := exec.Command(debianPython, script(), mode, url, codec)
	var log safeBuffer
	process.Stderr = &log
	in, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	g.stdin = in
	if _, err := io.WriteString(in, token+"\n"); err != nil {
		t.Fatal(err)
	}
	runReader := func() {
		defer close(g.ended)
		g.read(out)
		_ = process.Wait()
	}
	go runReader()
	t.Cleanup(func() {
		_ = in.Close()
		_ = process.Process.Kill()
		<-g.ended
		if t.Failed() {
			t.Logf("GStreamer, %s, told %+v and logged:\n%s", mode, g.now(), tail(log.String()))
		}
	})
	return g
}

// read reads what the client tells until it ends.
func (g *gstreamer) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		g.mu.Lock()
		_ = json.Unmarshal(lines.Bytes(), &g.told) // what is not named stays
		g.mu.Unlock()
	}
}

func (g *gstreamer) now() told {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.told
}

// leave has the client delete its resource, and waits until it has ended.
func (g *gstreamer) leave() {
	g.t.Helper()
	_ = g.stdin.Close()
	<-g.ended
	if deleted := g.now().Deleted; deleted != http.StatusOK {
		g.t.Errorf("DELETE of GStreamer: %d", deleted)
	}
}

// resource asks for something about the client's resource.
func (g *gstreamer) resource(method, ifMatch, body string) int {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.now().Location, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	req.Header.Set("Content-Type", "application/trickle-ice-sdpfrag")
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// invite invites one more.
func (c *consultation) invite(body string) invited {
	c.t.Helper()
	answer, status := c.server.request(http.MethodGet, c.server.url+"/v1/consultations?external_id=browser", nil)
	var list struct{ Consultations []struct{ ID string } }
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Consultations) != 1 {
		c.t.Fatalf("find the consultation: %d %s", status, answer)
	}
	answer, status = c.server.request(http.MethodPost, c.server.url+"/v1/consultations/"+list.Consultations[0].ID+"/participants", []byte(body))
	var who invited
	if err := json.Unmarshal(answer, &who); err != nil || status != http.StatusCreated {
		c.t.Fatalf("invite: %d %s", status, answer)
	}
	return who
}

// token exchanges an invitation for a session token, which is good for a minute: it is to be used at once.
func (c *consultation) token(who invited) string {
	c.t.Helper()
	answer, status := c.server.request(http.MethodPost, c.server.url+"/v1/join", []byte(`{"invitation":"`+who.invitation()+`"}`))
	var joining struct{ Token string }
	if err := json.Unmarshal(answer, &joining); err != nil || status != http.StatusOK {
		c.t.Fatalf("exchange the invitation: %d %s", status, answer)
	}
	return joining.Token
}

// TestGStreamer has GStreamer publish by WHIP, and what it sends seen in Chromium; and then watch by WHEP
// what Chromium sends.
func TestGStreamer(t *testing.T) {
	if *updateImages {
		t.Skip("-update-images takes pictures only")
	}
	for _, codec := range []string{"VP8", "H264"} {
		t.Run(codec, func(t *testing.T) {
			needGStreamer(t)
			c := newConsultation(t, codec, func(role string) string { return role }, false)
			camera := c.invite(`{"role":"device","ref":"exam-camera"}`)
			wall := c.invite(`{"role":"device","ref":"wall","display":"Room 7","watch":true}`)
			c.names[camera.ID] = "device"
			doctor := c.arrive(clinician)
			publishes(c, doctor, codec, camera)
			watches(c, doctor, codec, wall)
			if v := c.server.metric("bedside_invariant_violations_total"); v != 0 {
				t.Errorf("%v invariants violated", v)
			}
		})
	}
}

// publishes is the exam camera: nothing of it is shown until it is let in, and nothing after it has left.
func publishes(c *consultation, doctor *tab, codec string, camera invited) {
	c.t.Helper()
	url := c.server.url + "/v1/whip"
	stranger := startGStreamer(c.t, "whip", url, codec, "not-a-token")
	doctor.eventually("refusal of a wrong token", func() bool { return stranger.now().Opened == http.StatusUnauthorized })
	g := startGStreamer(c.t, "whip", url, codec, c.token(camera))
	doctor.eventually("connection of GStreamer", func() bool { return g.now().State == "connected" })
	c.letIn(doctor, camera)
	doctor.seesMore("device", "exam", 50)
	doctor.until("device in the list of who is here", `bedsideTest.all('*').some((e) => e.textContent.startsWith('Devices: '))`)
	if status := g.resource(http.MethodPatch, `"0"`, "a=end-of-candidates\r\n"); status != http.StatusPreconditionFailed {
		c.t.Errorf("PATCH with a stale ETag: %d", status)
	}
	if status := g.resource(http.MethodPatch, "", "a=end-of-candidates\r\n"); status != http.StatusPreconditionRequired {
		c.t.Errorf("PATCH without If-Match: %d", status)
	}
	if status := g.resource(http.MethodPatch, g.now().ETag, "a=end-of-candidates\r\n"); status != http.StatusNoContent {
		c.t.Errorf("PATCH with candidates: %d", status)
	}
	g.leave()
	if status := g.resource(http.MethodDelete, "", ""); status != http.StatusNotFound {
		c.t.Errorf("the second DELETE: %d", status)
	}
	doctor.until("empty stage", `!bedsideTest.one('.tile[data-participant=%q]')`, camera.ID)
	doctor.checkFrames()
}

// watches is the wall display: it sees and hears nothing until it is let in, and the clinician then.
func watches(c *consultation, doctor *tab, codec string, wall invited) {
	c.t.Helper()
	g := startGStreamer(c.t, "whep", c.server.url+"/v1/whep", codec, c.token(wall))
	doctor.eventually("connection of GStreamer", func() bool { return g.now().State == "connected" })
	doctor.until("word of who waits", `bedsideTest.one('[data-action="show-waiting"]') || bedsideTest.one('[data-roster=%q]')`, wall.ID)
	if seen := g.now().Seen; seen.Frames != 0 {
		c.t.Errorf("%d frames before it was let in", seen.Frames)
	}
	c.letIn(doctor, wall)
	doctor.eventually("picture in GStreamer", func() bool { return g.now().Seen.Frames >= 50 })
	// page.js: red, green, blue and yellow say that it is the clinician.
	want := [][3]int{{220, 40, 40}, {40, 170, 60}, {50, 70, 220}, {230, 210, 40}}
	doctor.eventually("the clinician's colours in GStreamer", func() bool {
		got := g.now().Seen.Colours
		for i := range want {
			if len(got) != len(want) || distance(got[i], want[i]) > 70 {
				return false
			}
		}
		return true
	})
	doctor.eventually("sound in GStreamer", func() bool { return g.now().Heard > 1000 })
	doctor.until("word that the device watches", `bedsideTest.all('*').some((e) => e.textContent === "Watching: Room 7 \u2013 watching device")`)
	seen := g.now().Seen
	c.t.Logf("figure: GStreamer has watched %d frames of %s, the last %dx%d", seen.Frames, codec, seen.Width, seen.Height)
	if status := g.resource(http.MethodPatch, `"0"`, "a=end-of-candidates\r\n"); status != http.StatusPreconditionFailed {
		c.t.Errorf("PATCH with a stale ETag: %d", status)
	}
	g.leave()
	if status := g.resource(http.MethodDelete, "", ""); status != http.StatusNotFound {
		c.t.Errorf("the second DELETE: %d", status)
	}
}

// distance between two colours is the largest difference of a channel.
func distance(a, b [3]int) int {
	d := 0
	for i := range a {
		d = max(d, a[i]-b[i], b[i]-a[i])
	}
	return d
}
