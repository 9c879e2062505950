package browser_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSchedule runs the scheduling programs of docs/examples against the command: both do the same.
func TestSchedule(t *testing.T) {
	s := startServer(t)
	binary := filepath.Join(t.TempDir(), "schedule")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/bedside-video/bedside/docs/examples/schedule").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	programs := []struct {
		name    string
		command []string
	}{{"sh", []string{"sh", filepath.Join("..", "..", "docs", "examples", "schedule.sh")}}, {"go", []string{binary}}}
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if _, err := exec.LookPath("curl"); err != nil && p.name == "sh" {
				t.Skip("curl is not installed: apt-get install curl")
			}
			s.t = t
			schedule(t, s, func(key string, args ...string) (out, errs string, code int) {
				return runProgram(t, []string{"VIDEO_URL=" + s.url, "VIDEO_KEY=" + key}, append(p.command, args...))
			}, p.name)
		})
	}
}

func runProgram(t *testing.T, env, command []string) (out, errs string, code int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), command[0], command[1:]...)
	c.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	var failed *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

func schedule(t *testing.T, s *server, run func(key string, args ...string) (out, errs string, code int), externalID string) {
	start := time.Now().Add(10 * time.Minute).UTC().Format(time.RFC3339)
	const name = `Zoë "Z" \ O'Brien, MD`
	open := []string{"open", externalID, start, "clinician:practitioner-42:" + name, "patient:patient-7:Sam: Novak"}
	out, errs, code := run(s.key, open...)
	line := regexp.MustCompile(`(?m)^(clinician|patient) (p_\S{22}) ` + regexp.QuoteMeta(s.url) + `/j/#(\S{22})$`)
	links := line.FindAllStringSubmatch(out, -1)
	if code != 0 || errs != "" || len(links) != 2 || strings.Count(out, "\n") != 2 || links[0][1] != "clinician" || links[1][1] != "patient" {
		t.Fatalf("open: exit code %d, printed\n%s%s\nwant the links of a clinician and a patient", code, out, errs)
	}
	for i, want := range []string{name, "Sam: Novak"} {
		if status, got := s.join(links[i][3]); status != http.StatusOK || got.Role != links[i][1] || got.Display != want {
			t.Errorf("join by %s: %d %+v, want %s, %s", links[i][0], status, got, links[i][1], want)
		}
	}
	if again, _, _ := run(s.key, open...); again != out {
		t.Errorf("opened again: %s, want the same links %s", again, out)
	}
	wants := func(what, key string, args []string, wantCode int, wantErrs string) {
		t.Helper()
		out, errs, code := run(key, args...)
		if code != wantCode || out != "" || !strings.Contains(errs, wantErrs) || wantErrs == "" && errs != "" {
			t.Errorf("%s: exit code %d, printed %q, %q; want %d and %q", what, code, out, errs, wantCode, wantErrs)
		}
	}
	wants("another body", s.key, append(open, "carer:carer-1:Jo"), 1, "external_id_conflict: the external_id is that of a consultation with another body")
	wants("a role that is none", s.key, []string{"open", externalID + "x", start, "doctor:d:D"}, 1, "bad_request")
	wants("a wrong key", "bedside_wrong", open, 1, "unauthorized: the API key is not one of this server's")
	wants("an unknown id", s.key, []string{"cancel", "nothing"}, 1, "no")
	wants("nothing", s.key, nil, 1, "open")
	wants("revoke", s.key, []string{"revoke", externalID, links[1][2]}, 0, "")
	if status, got := s.join(links[1][3]); status != http.StatusGone || got.Code != "invitation_revoked" {
		t.Errorf("join by a revoked link: %d %+v", status, got)
	}
	wants("cancel", s.key, []string{"cancel", externalID}, 0, "")
	if status, got := s.join(links[0][3]); status != http.StatusGone || got.Code != "consultation_ended" {
		t.Errorf("join after cancelling: %d %+v", status, got)
	}
}

// joining is what is looked at of the answer to POST /v1/join.
type joining struct{ Role, Display, Code string }

func (s *server) join(invitation string) (int, joining) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"invitation": invitation})
	if err != nil {
		s.t.Fatal(err)
	}
	answer, status := s.request(http.MethodPost, s.url+"/v1/join", body)
	var got joining
	if err := json.Unmarshal(answer, &got); err != nil {
		s.t.Fatal(err)
	}
	return status, got
}
