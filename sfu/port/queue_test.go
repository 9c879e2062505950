package port_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bedside-video/bedside/sfu/port"
)

// openQueue runs a queue towards a connection whose other end the test reads.
func openQueue(t *testing.T, most int) (q *port.Queue, far net.Conn, ended chan error) {
	t.Helper()
	near, far := net.Pipe()
	q, ended = port.NewQueue(near, most), make(chan error, 1)
	go func() {
		ended <- q.Run()
		_ = near.Close()
	}()
	t.Cleanup(func() { q.Close(); _ = near.Close(); _ = far.Close() })
	return q, far, ended
}

func TestQueueKeepsRecordsWholeAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, far, _ := openQueue(t, 10)
		for i, c := range []struct {
			record string
			taken  bool
		}{
			{"abcd", true}, // Run takes it at once, and waits for the reader
			{"efgh", true},
			{"ijklmn", true},
			{"o", false}, // full
		} {
			if got := q.Put([]byte(c.record[:1]), []byte(c.record[1:])); got != c.taken {
				t.Errorf("record %d: taken is %v", i, got)
			}
			synctest.Wait()
		}
		b := make([]byte, 14)
		if _, err := io.ReadFull(far, b); err != nil || string(b) != "abcdefghijklmn" {
			t.Errorf("read %q, %v", b, err)
		}
		synctest.Wait()
		if !q.Put([]byte("0123456789")) || q.Put([]byte("0123456789a")) {
			t.Error("want room for 10 bytes, and never for 11")
		}
	})
}

// A pipe's reader gets what one call of Write has written, at most.
func TestQueueWritesSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		q := port.NewQueue(near, 100).Separately()
		for _, record := range []string{"a", "bc", "def"} {
			q.Put([]byte(record))
		}
		ended := make(chan error, 1)
		go func() { ended <- q.Run() }()
		b := make([]byte, 10)
		for _, want := range []string{"a", "bc", "def"} {
			if n, err := far.Read(b); err != nil || string(b[:n]) != want {
				t.Errorf("read %q, %v; want %q", b[:n], err, want)
			}
		}
		q.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestQueueGivesUpOnWhoReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _, ended := openQueue(t, 10)
		start := time.Now()
		q.Put([]byte("a"))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("ended by %v after %v", err, time.Since(start))
		}
		if q.Put([]byte("b")) {
			t.Error("takes more although nobody writes it")
		}
	})
}

func TestQueueClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, _, ended := openQueue(t, 10)
		synctest.Wait()
		q.Close()
		q.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if q.Put([]byte("b")) {
			t.Error("takes more after Close")
		}
	})
}
