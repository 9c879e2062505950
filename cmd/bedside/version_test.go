package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/bedside-video/bedside/cmd/internal/command"
)

func TestBuild(t *testing.T) {
	host := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	settings := func(pairs ...string) (list []debug.BuildSetting) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	tests := []struct {
		name    string
		release string
		info    debug.BuildInfo
		want    string
	}{
		{"nothing known", "", debug.BuildInfo{}, "bedside unknown " + host + "\nrevision unknown\nstatic (CGO_ENABLED=0)\n"},
		{
			"unpacked archive", "v1.2.4", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}},
			"bedside v1.2.4 " + host + "\nrevision unknown\nstatic (CGO_ENABLED=0)\n",
		},
		{
			"release", "",
			debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: settings(
				"CGO_ENABLED", "0", "vcs", "git", "vcs.revision", "82333be", "vcs.time", "2026-11-22T07:30:00Z", "vcs.modified", "false")},
			"bedside v1.2.3 " + host + "\nrevision 82333be of 2026-11-22T07:30:00Z\nstatic (CGO_ENABLED=0)\n",
		},
		{
			"somebody's checkout", "",
			debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: settings(
				"CGO_ENABLED", "1", "vcs.revision", "82333be", "vcs.time", "soon", "vcs.modified", "true")},
			"bedside (devel) " + host + "\nrevision 82333be, with changes that are in no commit\n" +
				"linked with C (CGO_ENABLED=1): needs this system's libc\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newBuild(&tt.info, tt.release).String(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestVersionJSON(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), testWorld(&out, &errs), []string{"version", "--json"}); code != command.ExitFine {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	var got build
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if want := thisBuild(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
