package signaling

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/bedside-video/bedside/sfu/quality"
	"github.com/bedside-video/bedside/signaling/store"
)

const (
	// reportInterval is how often the history of a live consultation is kept: what a crash may lose.
	reportInterval = 5 * time.Minute
	// maxReportBytes bounds a history that is read, which has 8192 slices of some 200 bytes.
	maxReportBytes = 8 << 20
)

// reportKeeper writes down the history of one consultation, while it is live and at its end. The room
// never waits for it but at its own end.
type reportKeeper struct {
	records records
	id      string
	log     *slog.Logger
	due     time.Time // the room alone; zero: before the first measuring
	writing sync.WaitGroup
	turn    chan struct{} // capacity 1: who writes

	revision uint64 // of what the store has; who writes alone
}

func newReportKeeper(r records, id string, log *slog.Logger) *reportKeeper {
	return &reportKeeper{records: r, id: id, log: log, turn: make(chan struct{}, 1)}
}

// keep writes the history if that is due and nobody writes.
func (k *reportKeeper) keep(now time.Time, line *quality.Timeline) {
	if k.due.IsZero() {
		k.due = now.Add(reportInterval)
	}
	if now.Before(k.due) {
		return
	}
	k.due = now.Add(reportInterval)
	select {
	case k.turn <- struct{}{}:
	default: // a store that takes five minutes gets the next one
		return
	}
	copied := line.Clone()
	runWrite := func() {
		defer func() { <-k.turn }()
		k.write(&copied)
	}
	k.writing.Go(runWrite)
}

// close writes the history for the last time.
func (k *reportKeeper) close(line *quality.Timeline) {
	k.writing.Wait()
	if !k.due.IsZero() && len(line.Tracks) > 0 {
		k.write(line)
	}
}

func (k *reportKeeper) write(line *quality.Timeline) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	revision, err := k.records.keepReport(ctx, k.id, line, k.revision)
	if k.revision = revision; err != nil {
		k.log.Error("report not kept", "error", err)
	}
}

// report returns the history of a consultation as it was last written down, an empty one if it never
// was.
func (r records) report(ctx context.Context, id string) (quality.Timeline, error) {
	var line quality.Timeline
	e, err := r.store.Get(ctx, bucketReports, id)
	if errors.Is(err, store.ErrNotFound) {
		return line, nil
	}
	if err != nil {
		return line, err
	}
	z, err := gzip.NewReader(bytes.NewReader(e.Value))
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxReportBytes)).Decode(&line)
	}
	if err != nil {
		return quality.Timeline{}, fmt.Errorf("signaling: report of %s: %w", id, err)
	}
	return line, nil
}

// keepReport replaces what report returns; about the revision see put.
func (r records) keepReport(ctx context.Context, id string, line *quality.Timeline, revision uint64) (uint64, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	err := json.NewEncoder(z).Encode(line)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return revision, fmt.Errorf("signaling: report of %s: %w", id, err)
	}
	return r.put(ctx, bucketReports, id, b.Bytes(), revision)
}
