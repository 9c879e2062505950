package recording

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// complete makes a manifest final: measures what was cut, adds up, signs and saves it.
func (s *Store) complete(d disk, m *Manifest, state State, reason string, now time.Time) error {
	m.State, m.Reason, m.Ended, m.Bytes = state, reason, now.UTC(), 0
	for i := range m.Parts {
		p := &m.Parts[i]
		if p.SHA256 == "" {
			var err error
			p.Cut = true
			p.Size, p.SHA256, err = measure(d, partName(m.ID, p.N))
			if errors.Is(err, fs.ErrNotExist) {
				p.Size, p.SHA256 = 0, "" // it was announced and never begun
			} else if err != nil {
				return fmt.Errorf("finish recording %s: %w", m.ID, err)
			}
		}
		m.Bytes += p.Size
	}
	if err := m.sign(s.o.Key); err != nil {
		return err
	}
	b, err := m.encode()
	if err != nil {
		return err
	}
	if err := d.replace(manifestName(m.ID), b); err != nil {
		return fmt.Errorf("finish recording %s: %w", m.ID, err)
	}
	return nil
}

// recover finishes what a crash has left open, and erasures that it has interrupted.
func (s *Store) recover() error {
	all, err := s.List("", "")
	if err != nil {
		return err
	}
	for _, m := range all {
		switch m.State {
		case Open:
			s.o.Log.Warn("recording was interrupted", "recording", m.ID, "consultation", m.Consultation)
			err = s.with(m.ID, func(d disk) error {
				// A file of which the header is not whole, even, is left as it is and measured.
				return s.complete(d, &m, Recovered, "interrupted", s.o.Clock())
			})
		case Erased:
			err = s.with(m.ID, func(d disk) error { return s.shred(d, m.ID) })
		}
		if err != nil {
			// One that cannot be finished must not keep the others from being made.
			s.o.Log.Error("recording not recovered", "recording", m.ID, "err", err)
		}
	}
	return nil
}

// Erase destroys a recording's key, then its media, and leaves a tombstone: who it was about, when, and
// that it is gone. Copies of the media elsewhere are noise from then on.
func (s *Store) Erase(id, reason string) error {
	s.mu.Lock()
	_, open := s.sessions[id]
	s.mu.Unlock()
	if open {
		return ErrOpen
	}
	m, err := s.Manifest(id)
	if err != nil {
		return err
	}
	if m.State == Erased {
		return ErrErased
	}
	return s.with(id, func(d disk) error {
		s.changing.Lock()
		defer s.changing.Unlock()
		defer s.wakeUp()
		// That it is stored elsewhere as it is here is not true any more. Then the tombstone: what a crash
		// leaves behind it is finished by recover.
		if err := s.unsettle(d, id); err != nil {
			return fmt.Errorf("erase recording %s: %w", id, err)
		}
		m.State, m.Reason, m.Ended = Erased, reason, s.o.Clock().UTC()
		m.Key.Public, m.Gaps, m.MoreGaps, m.Bytes = "", nil, 0, 0
		if err := m.sign(s.o.Key); err != nil {
			return err
		}
		b, err := m.encode()
		if err != nil {
			return err
		}
		if err := d.replace(manifestName(id), b); err != nil {
			return fmt.Errorf("erase recording %s: %w", id, err)
		}
		if err := s.shred(d, id); err != nil {
			return fmt.Errorf("erase recording %s: %w", id, err)
		}
		s.o.Log.Info("recording erased", "recording", id)
		return nil
	})
}

// shred removes the key, makes that durable, and then the parts.
func (s *Store) shred(d disk, id string) error {
	for _, name := range []string{keyName(id), keyName(id) + ".new"} {
		if err := d.remove(name); err != nil {
			return err
		}
	}
	if err := s.shredFormer(d, id); err != nil {
		return err
	}
	if err := d.sync(); err != nil {
		return err
	}
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if isPart(e.Name()) {
			err = errors.Join(err, d.remove(e.Name()))
		}
	}
	return errors.Join(err, d.sync())
}

// shredFormer destroys the former keys; where there is a Remote, what tells it how many there were stays.
func (s *Store) shredFormer(d disk, id string) error {
	if s.o.Remote != nil {
		return d.forgetKeys(id)
	}
	n, err := d.formerKeys(id)
	for ; n > 0 && err == nil; n-- {
		err = d.remove(formerKeyName(id, n))
	}
	return errors.Join(err, d.remove(formerKeyName(id, n+1)+".new"))
}
