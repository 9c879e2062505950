package jetstream

import "time"

// retryInterval is how often a failed engine is started again, at most. Between two starts on a full
// disk, what is there can be read.
const retryInterval = 3 * time.Second

// suspect has the engine looked at. It never waits.
func (s *Store) suspect() {
	select {
	case s.broken <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// runRepair starts the engine again whenever it has failed, until Close.
func (s *Store) runRepair() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.broken:
		}
		s.options.Log.Error("the store has failed: starting it again", "dir", s.options.Dir)
		s.swap(nil)
		for again := false; !again; {
			again = s.restart()
			select {
			case <-s.stop:
				return
			case <-time.After(retryInterval):
			}
		}
	}
}

// restart tells whether the engine runs again.
func (s *Store) restart() bool {
	e, err := start(s.options, s.suspect)
	if err != nil {
		s.options.Log.Error("the store cannot be started", "error", err)
	}
	select { // what was logged on the way has been seen
	case <-s.broken:
	default:
	}
	if err != nil {
		return false
	}
	s.swap(e)
	s.options.Log.Info("the store is available again", "dir", s.options.Dir)
	return true
}

// swap puts another engine, or none, in the place of the present one and closes that.
func (s *Store) swap(e *engine) {
	s.mu.Lock()
	old := s.engine
	s.engine = e
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
}
