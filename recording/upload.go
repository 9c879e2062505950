package recording

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

// Remote is a place elsewhere where finished recordings go, such as a bucket.
type Remote interface {
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Get also tells the size; fs.ErrNotExist if there is none of that name.
	Get(ctx context.Context, name string) (io.ReadSeekCloser, int64, error)
	Delete(ctx context.Context, name string) error // of what may not be there
}

// The names there. Keys lie apart from media, so that a store's rules can keep copies of the one longer
// than of the other: without its key a recording is noise.
func remoteKey(id string) string              { return "keys/" + keyName(id) }
func remoteFormerKey(id string, n int) string { return "keys/" + formerKeyName(id, n) }
func remoteManifest(id string) string         { return "media/" + id + "/" + manifestName(id) }
func remotePart(id string, n int) string      { return "media/" + id + "/" + partName(id, n) }

// storedName is a file that tells that everything is at the Remote as it is here.
func storedName(id string) string { return id + ".stored" }

// Periods of uploading. After an error it is tried again after twice as long, up to retryMost: what was
// out for an hour is noticed within half a minute.
const (
	uploadEvery = 30 * time.Second
	retryLeast  = time.Second
	retryMost   = 30 * time.Second
	// uploadTimeout bounds what is done for one recording at a time: a part of 4 GB at 2 Mbit/s.
	uploadTimeout = 6 * time.Hour
)

// runUpload brings what is finished to the Remote, and what was erased away from it.
func (s *Store) runUpload(ctx context.Context) {
	defer close(s.uploaded)
	wait := retryLeast
	failing := false
	for {
		err := s.upload(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				s.o.Log.Error("recordings are not uploaded; they stay here until they are", "err", err)
			}
			failing = true
			s.o.Metrics.uploading.Set(1)
		default:
			if failing {
				s.o.Log.Info("recordings are uploaded again")
			}
			failing = false
			s.o.Metrics.uploading.Set(0)
		}
		pause := uploadEvery
		if failing {
			pause, wait = wait, min(2*wait, retryMost)
		} else {
			wait = retryLeast
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.wake:
			timer.Stop()
		}
	}
}

// upload settles every recording that is not; one that fails does not keep the others.
func (s *Store) upload(ctx context.Context) error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	var failed error
	for _, e := range entries {
		if validID(e.Name()) && ctx.Err() == nil {
			failed = errors.Join(failed, s.with(e.Name(), func(d disk) error { return s.settle(ctx, d, e.Name()) }))
		}
	}
	return failed
}

// settle makes the Remote agree with what is here.
func (s *Store) settle(ctx context.Context, d disk, id string) error {
	if _, err := d.root.Stat(storedName(id)); err == nil {
		return nil
	}
	raw, err := d.read(manifestName(id), maxEncoded)
	if err != nil {
		return err
	}
	m, err := ParseManifest(raw)
	if err != nil || m.State == Open {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	var keys [sha256.Size]byte
	if m.State == Erased {
		err = s.eraseRemote(ctx, d, &m)
	} else {
		keys, err = s.store(ctx, d, &m)
	}
	if err == nil {
		err = s.put(ctx, remoteManifest(id), raw)
	}
	if err != nil {
		return fmt.Errorf("recording %s: %w", id, err)
	}
	return s.settled(d, &m, keys)
}

// store uploads keys and parts, and returns which keys it has uploaded. Whatever is not exactly there is not
// counted as there.
func (s *Store) store(ctx context.Context, d disk, m *Manifest) (keys [sha256.Size]byte, err error) {
	if keys, err = d.keySet(m.ID); err != nil {
		return keys, err
	}
	key, err := d.read(keyName(m.ID), maxKeyFile)
	if err != nil {
		return keys, err
	}
	if err := s.put(ctx, remoteKey(m.ID), key); err != nil {
		return keys, err
	}
	if err := s.storeFormer(ctx, d, m.ID); err != nil {
		return keys, err
	}
	for _, p := range m.Parts {
		if p.SHA256 == "" {
			continue // announced, and never begun
		}
		if err := s.storePart(ctx, d, m.ID, p); err != nil {
			return keys, err
		}
	}
	return keys, nil
}

func (s *Store) storePart(ctx context.Context, d disk, id string, p Part) error {
	name := remotePart(id, p.N)
	if s.same(ctx, name, p.SHA256, p.Size) == nil {
		return nil // of an earlier try
	}
	f, err := d.root.Open(partName(id, p.N))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := s.o.Remote.Put(ctx, name, f, p.Size); err != nil {
		return err
	}
	return s.same(ctx, name, p.SHA256, p.Size)
}

func (s *Store) put(ctx context.Context, name string, b []byte) error {
	if err := s.o.Remote.Put(ctx, name, bytes.NewReader(b), int64(len(b))); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	return s.same(ctx, name, hex.EncodeToString(sum[:]), int64(len(b)))
}

// errDiffers tells that what was stored is not what comes back.
var errDiffers = errors.New("what comes back is not what was stored")

// same reads an object back and compares. The store's own word for it would be cheaper, and is what is to
// be checked.
func (s *Store) same(ctx context.Context, name, sum string, size int64) error {
	r, n, err := s.o.Remote.Get(ctx, name)
	if err != nil {
		return err
	}
	h := sha256.New()
	if n == size {
		_, err = io.Copy(h, io.LimitReader(r, size+1))
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if n != size || hex.EncodeToString(h.Sum(nil)) != sum {
		return fmt.Errorf("%s: %w", name, errDiffers)
	}
	return nil
}

// storeFormer makes the Remote have the former keys that there are, and none of those that were destroyed.
func (s *Store) storeFormer(ctx context.Context, d disk, id string) error {
	last, err := d.formerKeys(id)
	for n := 1; n <= last && err == nil; n++ {
		var b []byte
		switch b, err = d.formerKey(id, n); {
		case errors.Is(err, fs.ErrNotExist):
			err = s.o.Remote.Delete(ctx, remoteFormerKey(id, n))
		case err == nil:
			err = s.put(ctx, remoteFormerKey(id, n), b)
		}
	}
	return err
}

func (s *Store) eraseRemote(ctx context.Context, d disk, m *Manifest) error {
	// The keys first: without them the rest is noise.
	if err := s.o.Remote.Delete(ctx, remoteKey(m.ID)); err != nil {
		return err
	}
	if err := s.storeFormer(ctx, d, m.ID); err != nil {
		return err
	}
	for _, p := range m.Parts {
		if err := s.o.Remote.Delete(ctx, remotePart(m.ID, p.N)); err != nil {
			return err
		}
	}
	return nil
}

// settled notes that everything is stored, unless it was changed meanwhile, and frees the disk.
func (s *Store) settled(d disk, was *Manifest, keys [sha256.Size]byte) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	m, err := s.Manifest(was.ID)
	if err != nil {
		return err
	}
	if m.State != was.State {
		return nil // the next round
	}
	if m.State == Erased {
		return d.replace(storedName(m.ID), []byte("erased\n"))
	}
	if now, err := d.keySet(m.ID); err != nil || now != keys {
		return err
	}
	if err := d.replace(storedName(m.ID), []byte("stored\n")); err != nil {
		return err
	}
	for _, p := range m.Parts {
		if err := d.remove(partName(m.ID, p.N)); err != nil {
			return err
		}
	}
	s.o.Log.Info("recording uploaded", "recording", m.ID)
	return d.sync()
}

// unsettle makes the uploader look at a recording again. The caller holds changing.
func (s *Store) unsettle(d disk, id string) error {
	if s.o.Remote == nil {
		return nil
	}
	return errors.Join(d.remove(storedName(id)), d.sync())
}

// wakeUp makes the uploader look now.
func (s *Store) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default: // it is to look already
	}
}

// remotePartOf opens a part that is no longer here. Whoever reads it closes it, and so ends the connection.
func (s *Store) remotePartOf(id string, n int) (io.ReadSeekCloser, int64, error) {
	if s.o.Remote == nil {
		return nil, 0, ErrNotFound
	}
	r, size, err := s.o.Remote.Get(context.Background(), remotePart(id, n))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	}
	return r, size, err
}
