// Package bucket keeps recordings in a bucket of any store that speaks S3. Everything in it is sealed
// already; the store is trusted with nothing but to give back what it was given, and even that is checked
// by whoever uploads.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Options of a Bucket. They come from the server's configuration only: who could name an endpoint in a
// request could make the server talk to anything in the hospital's network.
type Options struct {
	Endpoint  string // host[:port]
	Name      string // of the bucket, which must exist
	Region    string // "" asks the store
	Prefix    string // of every object's name
	AccessKey string
	SecretKey string
	Insecure  bool // plain HTTP
	// Transport is http.DefaultTransport's like if nil; tests put faults into theirs.
	Transport http.RoundTripper
}

// partSize of multipart uploads: what is sent again after an error at most.
const partSize = 16 << 20

// answerTimeout is how long the store may take to begin an answer.
const answerTimeout = 30 * time.Second

// Bucket is one bucket, or what is under a prefix in it. Its methods may be called from any goroutine.
type Bucket struct {
	client *minio.Client
	o      Options
}

// New makes a Bucket. It does not talk to the store.
func New(o Options) (*Bucket, error) {
	if o.Transport == nil {
		t, err := minio.DefaultTransport(!o.Insecure)
		if err != nil {
			return nil, fmt.Errorf("bucket: %w", err)
		}
		t.ResponseHeaderTimeout = answerTimeout
		o.Transport = t
	}
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""), Secure: !o.Insecure, Region: o.Region, Transport: o.Transport,
		// Whoever calls tries again, and longer.
		MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	return &Bucket{client, o}, nil
}

// Put stores size bytes of r, which are read from its beginning, under a name. It does not check that they
// can be read again.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	_, err := b.client.PutObject(ctx, b.o.Name, b.o.Prefix+name, r, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize,
		// The store refuses what was changed on the way. Not by a trailing SHA-256 or CRC-32C: in that
		// minio-go 7.4.1 and versitygw 1.8.0 do not agree (2026-11-22), and not every store knows it.
		SendContentMd5: true,
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}

// Get opens an object and tells its size; fs.ErrNotExist if there is none.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadSeekCloser, int64, error) {
	o, err := b.client.GetObject(ctx, b.o.Name, b.o.Prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, fmt.Errorf("get %s: %w", name, err)
	}
	info, err := o.Stat()
	if err != nil {
		if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
			err = fs.ErrNotExist
		}
		return nil, 0, errors.Join(fmt.Errorf("get %s: %w", name, err), o.Close())
	}
	return o, info.Size, nil
}

// Delete removes an object, which may not be there.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	if err := b.client.RemoveObject(ctx, b.o.Name, b.o.Prefix+name, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
