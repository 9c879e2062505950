package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/bedside-video/bedside/cmd/internal/command"
	"github.com/bedside-video/bedside/recording/seal"
)

// roleVariable makes the test binary something else: the command itself, or a process that has a key made.
const roleVariable = "BEDSIDE_TEST_ROLE"

// The roles of a process that makes a key and waits.
const (
	roleServer = "server" // as a server does
	roleKeeper = "keeper" // that keeps the secret: what must be found
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "recording" && os.Args[2] == recordingKeyName {
		main()
	}
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(holdKey(role))
	}
	os.Exit(m.Run())
}

// holdKey has a key made for the recipients in its first line, prints it and lives on.
func holdKey(role string) int {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadString('\n')
	if err != nil {
		return command.ExitFailed
	}
	to, err := seal.ParseRecipients(strings.Fields(line))
	if err != nil {
		return command.ExitFailed
	}
	var kept *age.HybridIdentity
	var k seal.Key
	if role == roleServer {
		k, err = newRecordingKey(context.Background(), to)
	} else if kept, err = age.GenerateHybridIdentity(); err == nil {
		k = seal.Key{Public: kept.Recipient().String(), Wrapped: []byte(kept.String())}
	}
	if err != nil || json.NewEncoder(os.Stdout).Encode(k) != nil {
		return command.ExitFailed
	}
	_, _ = io.Copy(io.Discard, in) // until the parent has looked
	_ = kept.String
	return command.ExitFine
}

// TestSecretWasNeverHere looks through all memory of a process that had a key made as a server does, for
// the secret half. That it can be found is shown by one that keeps it.
func TestSecretWasNeverHere(t *testing.T) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	second, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	recipients := id.Recipient().String() + " " + second.Recipient().String()
	for role, want := range map[string]bool{roleServer: false, roleKeeper: true} {
		t.Run(role, func(t *testing.T) {
			c := exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), roleVariable+"="+role)
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = in.Close(); _ = c.Wait() }()
			if _, err := fmt.Fprintln(in, recipients); err != nil {
				t.Fatal(err)
			}
			var k seal.Key
			if err := json.NewDecoder(out).Decode(&k); err != nil {
				t.Fatal(err)
			}
			secret := string(k.Wrapped)
			if role == roleServer {
				opened, err := seal.Unwrap(k.Wrapped, id)
				if err != nil {
					t.Fatal(err)
				}
				secret = opened.String()
			}
			size, found := search(t, c.Process.Pid, []byte(secret[20:60]), seed(t, secret))
			if found != want || size < 1<<20 {
				t.Errorf("found %t in %d bytes of memory", found, size)
			}
		})
	}
}

// seed is the secret key behind its text (BIP 173: five bits a character, six characters of checksum).
func seed(t *testing.T, text string) []byte {
	t.Helper()
	const alphabet = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
	_, data, ok := strings.Cut(text, "-PQ-1")
	if !ok {
		t.Fatal("no secret key")
	}
	var b []byte
	var bits, n uint
	for _, c := range data[:len(data)-6] {
		bits, n = bits<<5|uint(strings.IndexRune(alphabet, c)), n+5
		if n >= 8 {
			n -= 8
			b = append(b, byte(bits>>n))
		}
	}
	if len(b) != 32 {
		t.Fatalf("a seed of %d bytes", len(b))
	}
	return b
}

// search looks for needles in everything that a process can read of itself.
func search(t *testing.T, pid int, needles ...[]byte) (size int, found bool) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skipf("SKIPPED: this user may not read another process's memory: %v", err)
	}
	defer func() { _ = mem.Close() }()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' || to-from > 1<<30 {
			continue
		}
		b := make([]byte, to-from)
		n, _ := mem.ReadAt(b, from) // [vvar] cannot be read
		size += n
		found = found || slices.ContainsFunc(needles, func(x []byte) bool { return bytes.Contains(b[:n], x) })
	}
	return size, found
}
