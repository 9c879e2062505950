package bucket_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bedside-video/bedside/recording/bucket"
)

// gateway is an S3 server of others, which make soak builds.
const gateway = "../../.tools/versitygw"

// serve starts the gateway over a directory and returns its address.
func serve(t *testing.T) (addr, dir string) {
	t.Helper()
	if _, err := os.Stat(gateway); err != nil {
		t.Skip("SKIPPED for want of .tools/versitygw, which make soak builds: no S3 server to talk to")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "recordings"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, gateway, "--port", addr, "--quiet", "posix", dir)
	c.Env = append(os.Environ(), "ROOT_ACCESS_KEY=user", "ROOT_SECRET_KEY=secretsecret")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
			return addr, dir
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not answer")
		}
		<-time.After(50 * time.Millisecond)
	}
}

func open(t *testing.T, addr string, transport http.RoundTripper) *bucket.Bucket {
	t.Helper()
	b, err := bucket.New(bucket.Options{Endpoint: addr, Name: "recordings", Region: "us-east-1", Prefix: "b/", AccessKey: "user", SecretKey: "secretsecret",
		Insecure: true, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) {
	addr, _ := serve(t)
	b := open(t, addr, nil)
	ctx := t.Context()
	// The largest is a multipart upload.
	for _, size := range []int{1, 70_000, 40 << 20} {
		content := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
		name := fmt.Sprintf("media/R/%d", size)
		if err := b.Put(ctx, name, bytes.NewReader(content), int64(size)); err != nil {
			t.Fatal(err)
		}
		r, n, err := b.Get(ctx, name)
		if err != nil || n != int64(size) {
			t.Fatalf("Get: %d, %v", n, err)
		}
		if _, err := r.Seek(int64(size/2), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		h, want := sha256.New(), sha256.Sum256(content[size/2:])
		if _, err := io.Copy(h, r); err != nil || !bytes.Equal(h.Sum(nil), want[:]) {
			t.Errorf("%d bytes come back changed: %v", size, err)
		}
		if err := errors.Join(r.Close(), b.Delete(ctx, name), b.Delete(ctx, name)); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if _, _, err := b.Get(ctx, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Get of what was deleted: %v", err)
		}
	}
}

// fault is a network, or a store, that does something to one request in three.
type fault struct {
	kind  string
	on    atomic.Bool
	calls atomic.Int32
}

func (f *fault) RoundTrip(r *http.Request) (*http.Response, error) {
	if !f.on.Load() {
		return http.DefaultTransport.RoundTrip(r)
	}
	f.calls.Add(1)
	switch f.kind {
	case "down":
		return nil, errors.New("connection refused")
	case "500":
		return &http.Response{StatusCode: http.StatusInternalServerError, Body: io.NopCloser(strings.NewReader("")), Header: http.Header{}, Request: r}, nil
	case "changed on the way":
		if r.Body != nil && r.Method == http.MethodPut {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			b[len(b)/2] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestFaults: whatever happens, Put does not say that it is stored when it is not, and works again after.
func TestFaults(t *testing.T) {
	addr, _ := serve(t)
	content := bytes.Repeat([]byte("sealed"), 20_000)
	for _, kind := range []string{"down", "500", "changed on the way"} {
		t.Run(kind, func(t *testing.T) {
			f := &fault{kind: kind}
			b := open(t, addr, f)
			f.on.Store(true)
			if err := b.Put(t.Context(), "x", bytes.NewReader(content), int64(len(content))); err == nil {
				t.Error("Put says that it is stored")
			}
			if f.calls.Load() == 0 {
				t.Error("nothing was asked")
			}
			f.on.Store(false)
			if err := b.Put(t.Context(), "x", bytes.NewReader(content), int64(len(content))); err != nil {
				t.Error(err)
			}
		})
	}
}
