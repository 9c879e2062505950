package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bedside-video/bedside/signaling/wire"
)

var update = flag.Bool("update", false, "write the golden files and the examples of protocol.md anew")

const (
	doctor  = "p_4fYp0n0m8dQvE0bqGxk3Vw"
	patient = "p_M3t7b1v9Yw0rQk5sC2nLdA"

	colleague = "p_Zb8e2k6uHs1pTq4xF9wJrg"
)

// facts and people are the story that the examples tell.
func facts(present bool) wire.Facts {
	return wire.Facts{ClinicianPresent: present, Start: "2026-11-22T09:00:00Z", End: "2026-11-22T09:20:00Z", Closes: "2026-11-22T10:20:00Z"}
}

func relays(username, credential string) []wire.ICEServer {
	return []wire.ICEServer{{
		URLs: []string{
			"turn:video.hospital.example:443?transport=tcp", "turns:video.hospital.example:443?transport=tcp",
		},
		Username: username, Credential: credential,
	}}
}

func people() []wire.Participant {
	return []wire.Participant{
		{ID: doctor, Role: wire.RoleClinician, Display: "Dr Ada Marsh", State: wire.StateAdmitted, Connected: true},
		{ID: patient, Role: wire.RolePatient, Display: "Ben Okri", State: wire.StateAdmitted, Connected: true, Muted: []wire.Source{wire.SourceScreen}},
	}
}

var clientGolden = []struct {
	name string
	id   uint64
	m    wire.ClientMessage
}{
	{"join", 1, &wire.Join{Token: "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl", Client: "bedside.js 1.0"}},
	{"join_resume", 1, &wire.Join{Resume: "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl", Client: "bedside.js 1.0"}},
	{"offer", 2, &wire.Offer{SDP: "v=0\r\n…", Tracks: []wire.Track{{Mid: "0", Source: wire.SourceMic}, {Mid: "1", Source: wire.SourceCamera}}}},
	{"mute", 3, &wire.Mute{Mid: "0", Muted: true}},
	{"layout", 4, &wire.Layout{Tiles: []wire.Tile{{Participant: doctor, Source: wire.SourceCamera, Width: 1280, Height: 720, Pinned: true}}}},
	{"stats", 0, &wire.Stats{Samples: 240000, Concealed: 1920, Freezes: 1, Frozen: 340}},
	{"admit", 5, &wire.Admit{Participant: patient}},
	{"refuse", 6, &wire.Refuse{Participant: patient}},
	{"remove", 7, &wire.Remove{Participant: patient}},
	{"hold", 8, &wire.Hold{Participant: patient}},
	{"unhold", 9, &wire.Unhold{Participant: patient}},
	{"message", 10, &wire.Say{To: doctor, Kind: "chat", Body: "Can you hear me?"}},
	{"record", 0, &wire.Record{Action: wire.RecordRequest}},
	{"consent", 13, &wire.Consent{Recording: wire.ConsentGranted, Notice: "2026_11"}},
	{"end", 11, &wire.End{}},
	{"leave", 0, &wire.Leave{}},
	{"leave_to", 12, &wire.Leave{To: colleague}},
}

var serverGolden = []struct {
	name string
	re   uint64
	m    wire.ServerMessage
}{
	{"joined", 1, &wire.Joined{
		Self: patient, Role: wire.RolePatient, Display: "Ben Okri", State: wire.StateWaiting,
		Roster: []wire.Participant{{ID: patient, Role: wire.RolePatient, Display: "Ben Okri", State: wire.StateWaiting, Connected: true, Waiting: 1795337930123}},
		Slots:  wire.SlotCount{Audio: 7, Video: 8}, ICEServers: relays("1795338530:mfzwizltoqxgs3tl", "8yhXcQ0Qq1rZ0wT0Y0kq9z2mJpE="),
		Policy: wire.Policy{Recording: "never", Profile: "general", VideoCodec: "VP8", MaxParticipants: 8,
			Publish: []wire.Source{wire.SourceCamera, wire.SourceMic, wire.SourceScreen, wire.SourceExam, wire.SourceAuscultation},
			Can:     []string{"subscribe", "message", "vitals", "leave"}},
		Facts: facts(false), Resume: "eyJhbGciOiJFZERTQSJ9.e30.cmVzdW1l",
	}},
	{"state", 0, &wire.StateChanged{State: wire.StateAdmitted, Facts: facts(true)}},
	{"roster", 0, &wire.Roster{Participants: people(), Facts: facts(true)}},
	{"answer", 2, &wire.Answer{SDP: "v=0\r\n…"}},
	{"slots", 0, &wire.Slots{Epoch: 1, Assignments: []wire.Assignment{
		{Mid: "3", Participant: doctor, Source: wire.SourceCamera, State: wire.SlotLive, RTP: 2861097212},
		{Mid: "4", State: wire.SlotEmpty, RTP: 2861097212}}}},
	{"layers", 0, &wire.Layers{Mid: "1", Active: []string{"q", "h"}, MaxBitrate: map[string]int{"q": 45_000}}},
	{"audio", 0, &wire.Audio{MaxBitrate: 16000, Carry: []int{1, 3}, Delay: 180, Ptime: 60}},
	{"speakers", 0, &wire.Speakers{Levels: []wire.Level{{Participant: doctor, Level: 87}}}},
	{"quality", 0, &wire.Quality{Participant: patient, Uplink: wire.LinkFair, Downlink: wire.LinkGood}},
	{"quality_figures", 0, &wire.Quality{Participant: patient, Uplink: wire.LinkFair, Downlink: wire.LinkGood,
		Figures: &wire.LinkFigures{UplinkLoss: 0.051, RoundTrip: 84}}},
	{"recording", 0, &wire.Recording{State: wire.RecordingRequested, Notice: "2026_11", Missing: []string{patient}}},
	{"message", 0, &wire.Said{From: patient, To: doctor, Kind: "chat", Body: "Can you hear me?"}},
	{"resume", 0, &wire.Resume{Token: "eyJhbGciOiJFZERTQSJ9.e30.cmVzdW1lMg"}},
	{"ice_servers", 0, &wire.ICEServers{ICEServers: relays("1795339010:oj2wczdjonxg23dv", "Yw3kLq0V5mX7nB1sD9fG2hJ4kL8=")}},
	{"restart", 0, &wire.Restart{}},
	{"ended", 0, &wire.Ended{Reason: wire.EndedByClinician}},
	{"error", 5, &wire.Error{Code: wire.CodeForbidden, Detail: "the role may not do this"}},
	{"error_not_yet_open", 1, &wire.Error{Code: wire.CodeNotYetOpen, Detail: "the consultation is not open yet", OpensAt: "2026-11-22T08:30:00Z"}},
	{"done", 5, &wire.Done{}},
}

func TestClientGolden(t *testing.T) {
	for _, tt := range clientGolden {
		t.Run(tt.name, func(t *testing.T) {
			data, err := wire.EncodeClient(tt.m, tt.id)
			if err != nil {
				t.Fatal(err)
			}
			wantGolden(t, "client_"+tt.name, data)
			m, id, err := wire.Decode(data)
			if err != nil || id != tt.id || !reflect.DeepEqual(m, tt.m) {
				t.Errorf("decoded %+v, %d, %v; want %+v, %d", m, id, err, tt.m, tt.id)
			}
		})
	}
}

func TestServerGolden(t *testing.T) {
	for _, tt := range serverGolden {
		t.Run(tt.name, func(t *testing.T) {
			data, err := wire.Encode(tt.m, tt.re)
			if err != nil {
				t.Fatal(err)
			}
			wantGolden(t, "server_"+tt.name, data)
			m, h, err := wire.DecodeServer(data)
			if err != nil || h.Re != tt.re || !reflect.DeepEqual(m, tt.m) {
				t.Errorf("decoded %+v, %+v, %v; want %+v, %d", m, h, err, tt.m, tt.re)
			}
		})
	}
}

func wantGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
}

// example finds the examples of protocol.md: a comment with the golden file's name and a code block.
var example = regexp.MustCompile("(?s)<!-- (\\w+) -->\n```json\n(.*?)\n```\n")

// TestProtocolExamples checks that protocol.md shows every golden file, as it is.
func TestProtocolExamples(t *testing.T) {
	document, err := os.ReadFile("protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		document = example.ReplaceAllFunc(document, func(block []byte) []byte {
			name := string(example.FindSubmatch(block)[1])
			return []byte("<!-- " + name + " -->\n```json\n" + pretty(t, name) + "\n```\n")
		})
		if err := os.WriteFile("protocol.md", document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var shown []string
	for _, found := range example.FindAllSubmatch(document, -1) {
		name := string(found[1])
		shown = append(shown, name)
		if want := pretty(t, name); string(found[2]) != want {
			t.Errorf("the example %s is\n%s\nwant\n%s", name, found[2], want)
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); !slices.Contains(shown, name) {
			t.Errorf("protocol.md does not show %s", name)
		}
	}
}

// pretty returns a golden file, indented when it is long.
func pretty(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.TrimSpace(data)
	const short = 110
	if len(data) <= short {
		return string(data)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestProtocolNamesEverything checks that every code and reason of this package is explained.
func TestProtocolNamesEverything(t *testing.T) {
	source, err := os.ReadFile("wire.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\s(?:Code|Ended)\w+\s*= "(\w+)"`).FindAllSubmatch(source, -1)
	if len(names) < 40 {
		t.Fatalf("only %d codes and reasons found in wire.go", len(names))
	}
	for _, n := range names {
		if !bytes.Contains(document, []byte("| `"+string(n[1])+"` |")) {
			t.Errorf("protocol.md does not explain %s", n[1])
		}
	}
}
