package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// What callers branch on; returned errors wrap them.
var (
	// ErrUnavailable means that the log cannot take a record now: the disk is full, nearly full, broken
	// or does not answer, or the log is closed. What would have been recorded must not happen
	// (audit.on_failure: refuse). Append works again as soon as the cause is gone.
	ErrUnavailable = errors.New("audit log unavailable")
	// ErrTampered means that the log is not what was written.
	ErrTampered = errors.New("audit log altered")
	// ErrLocked means that another process has the log open for writing.
	ErrLocked = errors.New("audit log is in use by another process")
)

// Record is an event in its place.
type Record struct {
	Index uint64 `json:"index"` // from 0
	Node  string `json:"node"`  // which server wrote it
	Event
}

// Query asks for records in the order of their indexes.
type Query struct {
	After        uint64 // how many records the reader has seen: 0 at first, then Page.Next
	Limit        int    // the most records to return: 1 to MaxPage, which 0 stands for
	Tenant       string // only this tenant's, if not empty
	Consultation string // only this consultation's, if not empty
}

// MaxPage bounds the records of a Page.
const MaxPage = 1000

// Page is an answer. There is more as long as Next < Size, even if the page holds no record: reading
// also ends after a bounded number of records that were not asked for.
type Page struct {
	Records []Record
	Next    uint64 // what to ask for next, as Query.After
	Size    uint64 // how many records the log has
}

func (q Query) limit() int {
	if q.Limit <= 0 || q.Limit > MaxPage {
		return MaxPage
	}
	return q.Limit
}

func (q Query) wants(r *Record) bool {
	return (q.Tenant == "" || q.Tenant == r.Tenant) && (q.Consultation == "" || q.Consultation == r.Consultation)
}

// encode returns the one line, without its end, that stands for the record.
func (r *Record) encode() []byte {
	line, err := json.Marshal(r)
	if err != nil {
		panic("audit: internal error: a checked event does not encode: " + err.Error())
	}
	return line
}

// parseRecord accepts exactly what encode returns for a record that Append takes.
func parseRecord(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("not a record: %w", err)
	}
	if !isID(r.Node) {
		return r, errors.New("not a record: node")
	}
	e, err := r.checked()
	if err != nil {
		return r, fmt.Errorf("not a record: %w", err)
	}
	r.Event = e
	if !bytes.Equal(r.encode(), line) {
		return r, errors.New("not a record in its canonical form")
	}
	return r, nil
}
