package servetest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On a full disk nobody new is admitted and nothing is opened, and the people who are in a
// consultation do not notice.
func TestDiskFull(t *testing.T) {
	h := newHome(t)
	h.configure(t, "")
	disk := h.data()
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=32m,mode=0700"); err != nil {
		t.Skipf("SKIPPED: a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	p := h.start(t, "BEDSIDE_AUDIT_MIN_FREE_PERCENT=2") // as it is by default
	m := p.meet(t, "before")
	carer, err := p.enter(t.Context(), m.with("carer").invitation())
	if err != nil {
		t.Fatal(err)
	}
	defer carer.close()
	admit := func() error {
		_, err := m.clinician.ask(map[string]any{"type": "admit", "participant": m.with("carer").ID})
		return err
	}

	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	if err := admit(); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "audit_unavailable") {
		t.Errorf("admit on a full disk: %v, want audit_unavailable", err)
	}
	status, text, err := p.request(t.Context(), http.MethodPost, "/v1/consultations", newConsultation("during"))
	var problem struct {
		Code string `json:"code"`
	}
	if err := errors.Join(err, json.Unmarshal(text, &problem)); err != nil || status != http.StatusServiceUnavailable || problem.Code != "audit_unavailable" {
		t.Errorf("open on a full disk: %d %s %v", status, text, err)
	}
	if _, err := m.clinician.ask(map[string]any{"type": "message", "kind": "chat", "body": "still here"}); err != nil {
		t.Errorf("the clinician cannot write: %v", err)
	}
	if _, err := m.patient.until(func(m message) bool { return m.Type == "message" }); err != nil {
		t.Errorf("the patient does not read: %v", err)
	}

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	end := time.After(startTimeout)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for err := admit(); err != nil; err = admit() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("admit when there is room again: %v", err)
		}
	}
	p.fetch(t, http.MethodPost, "/v1/consultations", newConsultation("after"), nil, http.StatusCreated)
	p.stop(t)
	h.audit(t)
}
