package signaling_test

import (
	"encoding/json"

	"github.com/bedside-video/bedside/signaling/audit"
)

// auditText is the whole audit log as text.
func (w *world) auditText() string {
	w.Helper()
	var text []byte
	for after := uint64(0); ; {
		page, err := w.audit.Read(w.Context(), audit.Query{After: after})
		if err != nil {
			w.Fatal(err)
		}
		for _, r := range page.Records {
			line, err := json.Marshal(r)
			if err != nil {
				w.Fatal(err)
			}
			text = append(append(text, line...), '\n')
		}
		if after = page.Next; after >= page.Size {
			return string(text)
		}
	}
}

// reset forgets what has been logged.
func (b *safeBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}
