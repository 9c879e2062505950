package main

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bedside-video/bedside/bench/yardstick"
	"github.com/bedside-video/bedside/bench/yardstick/floor"
)

// A run against a server that knows WHIP and WHEP alone needs no key, and names the kind of server.
func TestRunWHIP(t *testing.T) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := floor.New(floor.Config{Socket: socket, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	handler := yardstick.NewHandler(server)
	web := httptest.NewServer(handler)
	t.Cleanup(func() {
		web.Close()
		_ = handler.Close()
		_ = server.Close()
	})
	t.Setenv(keyVariable, "")
	scenario, document := file(t, "tiny.yaml", strings.ReplaceAll(tiny, "%s", "loss: 0%")), filepath.Join(t.TempDir(), "result.json")
	_, out, errs := runArgs(t, t.Context(), "run", scenario, "--target", "whip", "--url", web.URL, "--server-pid", strconv.Itoa(os.Getpid()), "--gcm", "--json", document)
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs)
	}
	var got struct {
		Joins, Measurements map[string]any
		Run                 struct{ Target struct{ Kind string } }
		Server              struct{ Source string }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Joins["failed"] != 0.0 || got.Joins["attempts"] != 2.0 || got.Measurements["loss"] != 0.0 || got.Run.Target.Kind != "whip" || got.Server.Source != "proc" {
		t.Errorf("%+v\n%s", got, out)
	}
}
