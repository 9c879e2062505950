package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"

	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/recording"
	"github.com/bedside-video/bedside/recording/clip"
	"github.com/bedside-video/bedside/sfu/codec"
)

// newPairs makes two pairs of the hospital as it would itself.
func newPairs(t *testing.T) (files, public []string) {
	t.Helper()
	for _, name := range []string{"records.key", "escrow.key"} {
		name = filepath.Join(t.TempDir(), name)
		var out, errs bytes.Buffer
		if code := run(t.Context(), testWorld(&out, &errs), []string{"keys", "new-recipient", "-o", name}); code != command.ExitFine {
			t.Fatalf("new-recipient: %d %s", code, errs.String())
		}
		found := regexp.MustCompile(`- (age1pq1\w+)`).FindStringSubmatch(out.String())
		if found == nil || strings.Contains(out.String(), "SECRET") {
			t.Fatalf("new-recipient printed %q", out.String())
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		files, public = append(files, name), append(public, found[1])
	}
	return files, public
}

// newRecording records two seconds of a voice and a picture.
func newRecording(t *testing.T, dir string, public []string) (id string, key ed25519.PublicKey) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	s, err := recording.New(recording.Options{
		Dir: filepath.Join(dir, recordingsDir), Recipients: public, Node: "n1", Key: private, Clock: time.Now, Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), NewKey: newRecordingKey})
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Start(t.Context(), recording.Start{Tenant: "main", Consultation: "c-1"})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	// Both are there before anything comes, or what comes first is a part by itself.
	mic, camera := x.Tap("p-1", codec.Mic, nil), x.Tap("p-1", codec.Camera, nil)
	say := func(track *recording.Track, c codec.Name) {
		media := clip.New(c, 0, 0)
		for p := media.Next(); p.At < 2*time.Second; p = media.Next() {
			track.RTP(begun.Add(p.At), c, &p.RTP)
		}
	}
	say(mic, codec.Opus)
	say(camera, codec.VP8)
	m, err := x.Stop(t.Context(), "stopped")
	if err != nil || len(m.Parts) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x.ID(), private.Public().(ed25519.PublicKey)
}

func TestRecordingCommands(t *testing.T) {
	files, public := newPairs(t)
	others, otherPublic := newPairs(t)
	dir := t.TempDir()
	id, key := newRecording(t, dir, public)
	film := filepath.Join(t.TempDir(), "film.mkv")
	at := []string{"--data-dir", dir}
	tests := []struct {
		name string
		args []string
		code int
		out  string
		errs string
	}{
		{"list", []string{"list"}, 0, `(?s)^RECORDING .*\n` + id + ` .*1 +0\.\d  complete  c-1\n$`, `^$`},
		{"list of another consultation", []string{"list", "--consultation", "c-2"}, 0, `^RECORDING[^\n]*\n$`, `^$`},
		{"show", []string{"show", id}, 0, `"participant": "p-1"`, `^$`},
		{"show of none", []string{"show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, 1, `^$`, `no such recording`},
		{"show of a path", []string{"show", "../" + id}, 1, `^$`, `no such recording`},
		{"verify", []string{"verify", id, "-i", files[0], "--key", encode(key)}, 0, `nothing is wrong\n1 parts, \d+s, complete\n$`, `^$`},
		{"verify without keys", []string{"verify", id}, 0, `without --identity.*\nwithout --key`, `^$`},
		{"verify with another server's key", []string{"verify", id, "--key", encode(make([]byte, 32))}, 1, `signature does not fit`, `1 things are wrong`},
		{"verify with another hospital's key", []string{"verify", id, "-i", others[0]}, 1, `^$`, `none of these identities opens it`},
		{"verify with nonsense", []string{"verify", id, "--key", "x"}, 2, `^$`, `not an Ed25519 public key`},
		{"open without a key", []string{"open", id, "-o", film}, 2, `^$`, `--identity is needed`},
		{"open with a file that is no key", []string{"open", id, "-o", film, "-i", "main.go"}, 2, `^$`, `main.go is no file of secret keys`},
		{"open", []string{"open", id, "-o", film, "-i", files[1]}, 0, `film.mkv: not encrypted any more`, `^$`},
		{"open over something", []string{"open", id, "-o", film, "-i", files[1]}, 1, `^$`, `file exists`},
		{"rewrap to one", []string{"rewrap", id, "-i", files[0], "--to", otherPublic[0]}, 2, `^$`, `--to: only one recipient`},
		{"rewrap", []string{"rewrap", id, "-i", files[0], "--to", otherPublic[0], "--to", otherPublic[1]}, 0, `sealed to \w{12}, \w{12}; the former keys are kept`, `^$`},
		{"verify with the former key", []string{"verify", id, "-i", files[0]}, 1, `^the key is not opened by these identities; former key 1`, `1 things are wrong`},
		{"open with the former key", []string{"open", id, "-o", film + "3", "-i", files[0]}, 1, `not encrypted any more`, `former key 1(?s:.*)not as it was written`},
		{"rewrap and forget", []string{"rewrap", id, "-i", others[0], "--to", otherPublic[0], "--to", otherPublic[1], "--forget"}, 0, `the former keys are destroyed\n`, `^$`},
		{"verify with the forgotten key", []string{"verify", id, "-i", files[0]}, 1, `^$`, `none of these identities opens it`},
		{"verify with the new one", []string{"verify", id, "-i", others[1]}, 0, `nothing is wrong`, `^$`},
		{"erase in passing", []string{"erase", id}, 2, `^$`, `--yes is needed`},
		{"erase", []string{"erase", id, "--yes", "--reason", "asked for"}, 0, `: erased;`, `^$`},
		{"open what is erased", []string{"open", id, "-o", film + "2", "-i", others[1]}, 1, `^$`, `recording is erased`},
		{"show what is erased", []string{"show", id}, 0, `"state": "erased",\n.*\n.*\n  "reason": "asked for"`, `^$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), testWorld(&out, &errs), append(append([]string{"recording"}, tt.args...), at...))
			if code != tt.code || !regexp.MustCompile(tt.out).MatchString(out.String()) || !regexp.MustCompile(tt.errs).MatchString(errs.String()) {
				t.Errorf("exit code %d, printed %q, %q", code, out.String(), errs.String())
			}
		})
	}
	if b, err := os.ReadFile(film); err != nil || !bytes.HasPrefix(b, []byte{0x1A, 0x45, 0xDF, 0xA3}) || !bytes.Contains(b, []byte("p-1 camera")) {
		t.Errorf("the film: %d bytes, %v", len(b), err)
	}
	if _, err := os.Stat(film + "2"); err == nil {
		t.Error("a film of nothing was left")
	}
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
