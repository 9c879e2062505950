package signaling_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bedside-video/bedside/config"
	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/signaling"
	"github.com/bedside-video/bedside/signaling/audit"
	"github.com/bedside-video/bedside/signaling/wire"
)

// fakeShelf keeps recordings in memory.
type fakeShelf struct {
	mu    sync.Mutex
	byID  map[string]recording.Manifest
	files map[string][]byte // by id and kind
	opens int
}

func newFakeShelf() *fakeShelf {
	return &fakeShelf{byID: map[string]recording.Manifest{}, files: map[string][]byte{}}
}

// put keeps a recording of one part.
func (s *fakeShelf) put(id, tenant, consultation string, keep time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = recording.Manifest{ID: id, Tenant: tenant, Consultation: consultation, State: recording.Complete, RetainUntil: keep,
		Parts: []recording.Part{{Participant: "p_1", Size: 10, SHA256: "ab"}}}
	for _, kind := range []string{signaling.FileManifest, signaling.FileKey, signaling.FileFormerKey, signaling.FilePart} {
		s.files[id+kind] = []byte(kind + " of " + id)
	}
}

func (s *fakeShelf) List(tenant string) ([]recording.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []recording.Manifest
	for _, m := range s.byID {
		if tenant == "" || m.Tenant == tenant {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b recording.Manifest) int { return strings.Compare(b.ID, a.ID) })
	return all, nil
}

func (s *fakeShelf) Manifest(id string) (recording.Manifest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := s.byID[id]; ok {
		return m, nil
	}
	return recording.Manifest{}, recording.ErrNotFound
}

func (s *fakeShelf) Open(id string, f signaling.RecordingFile) (io.ReadSeekCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens++
	switch {
	case f.Kind == signaling.FileFormerKey && (f.Part != 1 || s.files[id+f.Kind] == nil):
		return nil, recording.ErrNotFound
	case f.Part > 0 && f.Kind == signaling.FilePart:
		return nil, recording.ErrNotFound
	case s.byID[id].State == recording.Erased && f.Kind != signaling.FileManifest:
		return nil, recording.ErrErased
	}
	return closer{bytes.NewReader(s.files[id+f.Kind])}, nil
}

type closer struct{ *bytes.Reader }

func (closer) Close() error { return nil }

func (s *fakeShelf) ChangeKey(id string, c signaling.KeyChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Forget {
		delete(s.files, id+signaling.FileFormerKey)
		return nil
	}
	if !bytes.HasPrefix(c.Wrapped, []byte("age-")) {
		return recording.ErrBadKey
	}
	s.files[id+signaling.FileFormerKey] = s.files[id+signaling.FileKey]
	s.files[id+signaling.FileKey] = c.Wrapped
	return nil
}

func (s *fakeShelf) Erase(id, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.byID[id]
	m.State = recording.Erased
	s.byID[id] = m
	return nil
}

// fetch returns status and body of a request for bytes.
func (w *world) fetch(method, path, key, body string, header ...string) (int, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, publicURL+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func (w *world) wantFetch(status int, body, method, path, key, sent string, header ...string) {
	w.Helper()
	if gotStatus, got := w.fetch(method, path, key, sent, header...); gotStatus != status || !strings.Contains(got, body) {
		w.Errorf("%s %s: %d %q, want %d %q", method, path, gotStatus, got, status, body)
	}
}

func TestRecordingsAreReadByKey(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.shelf.put("R1", "tenant-1", "c_1", time.Time{})
		w.shelf.put("R2", "tenant-1", "c_2", time.Time{})
		w.shelf.put("R3", "tenant-2", "c_3", time.Time{})
		var list signaling.RecordingList
		for path, want := range map[string][]string{"": {"R2", "R1"}, "?consultation=c_1": {"R1"}, "?consultation=c_3": {}} {
			list = signaling.RecordingList{}
			w.call("GET", "/v1/recordings"+path, apiKey, "", &list)
			var got []string
			for _, r := range list.Recordings {
				got = append(got, r.ID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("GET /v1/recordings%s: %q, want %q", path, got, want)
			}
		}
		w.wantFetch(200, `"sha256":"ab"`, "GET", "/v1/recordings/R1", apiKey, "")
		w.wantFetch(200, "manifest of R1", "GET", "/v1/recordings/R1/manifest", apiKey, "")
		w.wantFetch(200, "key of R1", "GET", "/v1/recordings/R1/key", apiKey, "")
		w.wantFetch(200, "part of R1", "GET", "/v1/recordings/R1/parts/0", apiKey, "")
		w.wantFetch(206, "of", "GET", "/v1/recordings/R1/parts/0", apiKey, "", "Range", "bytes=5-6")
		w.wantFetch(416, "", "GET", "/v1/recordings/R1/parts/0", apiKey, "", "Range", "bytes=500-600")
		w.wantFetch(416, "", "GET", "/v1/recordings/R1/parts/0", apiKey, "", "Range", "bytes=x")
		// Each of several ranges might be a request to a store elsewhere.
		w.wantFetch(200, "part of R1", "GET", "/v1/recordings/R1/parts/0", apiKey, "", "Range", "bytes=0-0,3-3")
		for _, path := range []string{"R3", "R3/manifest", "R3/key", "R3/parts/0", "R1/parts/1", "R1/parts/-1", "R1/parts/99999999999999999999", "R1/parts/x",
			"..%2fR1", "R4", "%00", strings.Repeat("x", 300)} {
			w.wantFetch(404, "not_found", "GET", "/v1/recordings/"+path, apiKey, "")
		}
		w.wantFetch(422, "bad_request", "GET", "/v1/recordings/R1/key?token=x", apiKey, "")
		w.wantFetch(422, "bad_request", "GET", "/v1/recordings?limit=x", apiKey, "")
		w.wantFetch(401, "unauthorized", "GET", "/v1/recordings/R1", "nobody's", "")

		w.wantFetch(422, "bad_request", "PUT", "/v1/recordings/R1/key", apiKey, "plaintext")
		w.wantFetch(413, "message_too_large", "PUT", "/v1/recordings/R1/key", apiKey, strings.Repeat("x", 70_000))
		w.wantFetch(204, "", "PUT", "/v1/recordings/R1/key", apiKey, "age-encryption.org/v1")
		w.wantFetch(200, "age-encryption.org/v1", "GET", "/v1/recordings/R1/key", apiKey, "")
		w.wantFetch(200, "key of R1", "GET", "/v1/recordings/R1/keys/1", apiKey, "")
		for _, n := range []string{"0", "2", "-1", "x", "", "65536"} {
			w.wantFetch(404, "not_found", "GET", "/v1/recordings/R1/keys/"+n, apiKey, "")
		}
		w.wantFetch(404, "not_found", "DELETE", "/v1/recordings/R3/keys", apiKey, "")
		w.wantFetch(204, "", "DELETE", "/v1/recordings/R1/keys", apiKey, "")
		w.wantFetch(404, "not_found", "GET", "/v1/recordings/R1/keys/1", apiKey, "")
		w.wantFetch(200, "age-encryption.org/v1", "GET", "/v1/recordings/R1/key", apiKey, "")
		w.wantFetch(404, "not_found", "DELETE", "/v1/recordings/R3", apiKey, "")
		w.wantFetch(204, "", "DELETE", "/v1/recordings/R1", apiKey, "")
		w.wantFetch(204, "", "DELETE", "/v1/recordings/R1", apiKey, "")
		w.wantFetch(410, "recording_erased", "GET", "/v1/recordings/R1/key", apiKey, "")
		w.wantFetch(410, "recording_erased", "GET", "/v1/recordings/R1/parts/0", apiKey, "")
		w.wantFetch(200, `"state":"erased"`, "GET", "/v1/recordings/R1", apiKey, "")

		open := w.shelf.byID["R2"]
		open.State = recording.Open
		w.shelf.byID["R2"] = open
		w.wantFetch(409, "recording_open", "DELETE", "/v1/recordings/R2", apiKey, "")
		w.advance(time.Second) // net/http waits so long after a body that was too large
	})
}

// digest is how the audit log names a key.
func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Every read is in the log before its first byte, and without that there is none.
func TestRecordingsAreNotReadUnaudited(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.shelf.put("R1", "tenant-1", "c_1", time.Time{})
		ref := func(s string) string {
			if s == "" {
				return ""
			}
			return s + " "
		}
		reads := func() (lines []string) {
			page, err := w.audit.Read(t.Context(), audit.Query{})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				lines = append(lines, strings.TrimSpace(string(r.Name)+" "+r.Subject.ID+" "+ref(r.Subject.Ref)+r.Reason+" by "+r.Actor.ID))
			}
			return lines
		}
		w.fetch("GET", "/v1/recordings", apiKey, "")
		w.fetch("GET", "/v1/recordings/R1", apiKey, "")
		w.fetch("GET", "/v1/recordings/R1/parts/0", apiKey, "")
		w.fetch("PUT", "/v1/recordings/R1/key", apiKey, "age-encryption.org/v1")
		w.fetch("DELETE", "/v1/recordings/R1/keys", apiKey, "")
		w.fetch("GET", "/v1/recordings/R1", "nobody's", "")
		want := []string{"recording.read  list by one", "recording.read R1 show by one", "recording.read R1 part by one", "recording.rekeyed R1 " + digest("age-encryption.org/v1") + "  by one",
			"recording.rekeyed R1 former_keys_destroyed by one", "access.denied  unauthorized by"}
		if got := reads(); !slices.Equal(got, want) {
			t.Errorf("the log says %q, want %q", got, want)
		}
		w.audit.Fail(audit.ErrUnavailable)
		for _, path := range []string{"", "/R1", "/R1/manifest", "/R1/key", "/R1/parts/0"} {
			w.wantFetch(503, "audit_unavailable", "GET", "/v1/recordings"+path, apiKey, "")
		}
		w.wantFetch(503, "audit_unavailable", "PUT", "/v1/recordings/R1/key", apiKey, "age-other")
		w.wantFetch(503, "audit_unavailable", "DELETE", "/v1/recordings/R1", apiKey, "")
		w.wantFetch(503, "audit_unavailable", "DELETE", "/v1/recordings/R1/keys", apiKey, "")
		w.audit.Fail(nil)
		w.wantFetch(200, "age-encryption.org/v1", "GET", "/v1/recordings/R1/key", apiKey, "")
	})
}

// A clinician reads the recordings of the consultation that they are in, while they are in it.
func TestRecordingsAreReadByTheClinician(t *testing.T) {
	inWorld(t, withKeys, func(w *world) {
		v := w.open(twoClinicians)
		doctor, patient := v.enter(0), v.enter(1)
		doctor.wantAnswer("done", &wire.Admit{Participant: v.Participants[1].ID}, 9)
		w.shelf.put("R1", "tenant-1", v.ID, time.Time{})
		w.shelf.put("R2", "tenant-1", "c_2", time.Time{})
		w.shelf.put("R3", "tenant-2", v.ID, time.Time{})
		token := func(c *client) string { return c.last("joined").(*wire.Joined).Resume }
		w.wantFetch(200, "part of R1", "GET", "/v1/recordings/R1/parts/0", token(doctor), "")
		var list signaling.RecordingList
		w.call("GET", "/v1/recordings", token(doctor), "", &list)
		if len(list.Recordings) != 1 || list.Recordings[0].ID != "R1" {
			t.Errorf("lists %+v", list)
		}
		for _, id := range []string{"R2", "R3"} {
			w.wantFetch(404, "not_found", "GET", "/v1/recordings/"+id, token(doctor), "")
		}
		w.wantFetch(403, "forbidden", "DELETE", "/v1/recordings/R1", token(doctor), "")
		w.wantFetch(403, "forbidden", "PUT", "/v1/recordings/R1/key", token(doctor), "age-")
		w.wantFetch(403, "forbidden", "DELETE", "/v1/recordings/R1/keys", token(doctor), "")
		w.wantFetch(403, "forbidden", "GET", "/v1/recordings/R1", token(patient), "")
		w.wantFetch(401, "token_invalid", "GET", "/v1/recordings/R1", v.token(0), "") // that opens a session
		old := token(doctor)
		again := v.enter(0) // on another device, where they wait like anybody
		w.wantFetch(403, "forbidden", "GET", "/v1/recordings/R1", old, "")
		second := v.enter(3)
		w.wantFetch(200, "part of R1", "GET", "/v1/recordings/R1/parts/0", token(second), "")
		second.send(&wire.End{}, 0)
		second.wantEnded("ended", 1000)
		for _, c := range []*client{again, second, patient} {
			w.wantFetch(403, "forbidden", "GET", "/v1/recordings/R1/parts/0", token(c), "")
		}
		trail := v.trail(0)
		if !slices.Contains(trail, "clinician recording.read part") || !slices.Contains(trail, "patient access.denied forbidden") {
			t.Errorf("the log says %q", trail)
		}
	})
}

func TestRecordingsArePurged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.shelf.put("R1", "tenant-1", "c_1", time.Now().Add(25*time.Minute))
		w.shelf.put("R2", "tenant-1", "c_1", time.Now().Add(24*time.Hour))
		w.shelf.put("R3", "tenant-1", "c_1", time.Time{})
		w.advance(21 * time.Minute)
		w.wantFetch(200, `"state":"complete"`, "GET", "/v1/recordings/R1", apiKey, "")
		w.audit.Fail(audit.ErrUnavailable)
		w.advance(10 * time.Minute)
		w.audit.Fail(nil)
		w.wantFetch(200, `"state":"complete"`, "GET", "/v1/recordings/R1", apiKey, "")
		w.advance(10 * time.Minute)
		w.wantFetch(200, `"state":"erased"`, "GET", "/v1/recordings/R1", apiKey, "")
		for _, id := range []string{"R2", "R3"} {
			w.wantFetch(200, `"state":"complete"`, "GET", "/v1/recordings/"+id, apiKey, "")
		}
	})
}

// A server without a recorder has none of the routes, and a consultation that could be recorded none either.
func TestNoRecorderNoRoutes(t *testing.T) {
	none := func(_ *config.Signaling, d *signaling.Deps) { d.Recorder, d.Recordings = nil, nil }
	inWorld(t, none, func(w *world) {
		w.shelf.put("R1", "tenant-1", "c_1", time.Time{})
		for _, path := range []string{"", "/R1", "/R1/manifest", "/R1/key", "/R1/keys/1", "/R1/parts/0"} {
			w.wantFetch(404, "", "GET", "/v1/recordings"+path, apiKey, "")
		}
		w.wantFetch(404, "", "DELETE", "/v1/recordings/R1", apiKey, "")
		w.wantFetch(404, "", "PUT", "/v1/recordings/R1/key", apiKey, "age-")
		v := w.open(twoClinicians)
		doctor := v.enter(0)
		if m := doctor.last("joined").(*wire.Joined); m.Policy.Recording != wire.PolicyNever || slices.Contains(m.Policy.Can, "record") {
			t.Errorf("the policy is %+v", m.Policy)
		}
		if w.shelf.opens != 0 {
			t.Errorf("%d files were opened", w.shelf.opens)
		}
	})
}
