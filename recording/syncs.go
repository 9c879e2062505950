package recording

import "os"

// syncs makes the parts of a recording durable, all of them when one is due: together they cost the disk's journal
// one commit, and who waits for them is woken once.
type syncs struct {
	due   bool
	parts []*part // here, as files, lest they be allocated
	files []*os.File
}

// now syncs if something is due.
func (s *syncs) now(people []*person, sync func([]*os.File) error) error {
	if !s.due {
		return nil
	}
	s.due = false
	s.parts, s.files = s.parts[:0], s.files[:0]
	for _, p := range people {
		if p.part != nil && p.part.sealed.Unsynced() {
			s.parts, s.files = append(s.parts, p.part), append(s.files, p.part.file)
		}
	}
	if err := sync(s.files); err != nil {
		return err
	}
	for _, p := range s.parts {
		p.sealed.Synced()
	}
	return nil
}
