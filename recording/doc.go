// Package recording writes what participants send to sealed files. The recorder is one more
// subscriber: it takes packets through Tracks (sfu.Tap), may lose them and never makes anybody wait.
//
//	packet path ─► Track.RTP ─► mkv.Order ─► mkv.Frames ─► person: mkv.Writer ─► draft (bounded; full: lost and counted)
//	            ─► looks: the first packet after 50 ms wakes Session.run, a timer where none comes
//	Session.run ─► what is in the drafts ─► part: seal.Writer ─► file
//	            ─► what was taken 0.75 s ago is padded out, and all parts are synced at once
//	stall       ─► a timer for each look tells of a disk that stands still
//
// A Store is a directory with a directory for each recording; seal/format.md says what is in there.
// All that is secret in it is sealed to the hospital's recipients. The Store cannot read it.
//
// A picture is copied once on its way from the socket to the chunk that is sealed, while its packets are at hand; its
// space goes round. A frame takes a lock, a packet takes none.
//
// Locks: Session.mu, then person.mu. Files are written by Session.run alone.
package recording
