// Package recording writes what participants send to sealed files. The recorder is one more
// subscriber: it takes packets through Tracks (sfu.Tap), may lose them and never makes anybody wait.
//
//	packet path ─► Track.RTP ─► inbox (bounded; full: lost and counted)
//	Session.run, each 50 ms ─► mkv.Order ─► mkv.Frames ─► part: mkv.Writer ─► seal.Writer ─► file
//	                        ─► what was taken 0.85 s ago is padded out and synced
//	Session.runWatch ─► tells of a disk that stands still or fills up
//
// A Store is a directory with a directory for each recording; seal/format.md says what is in there.
// All that is secret in it is sealed to the hospital's recipients. The Store cannot read it.
//
// Locks: Session.mu and inbox.mu are leaves. Files are written by Session.run alone.
package recording
