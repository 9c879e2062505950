// Package audit keeps the audit log: an append-only Merkle log on disk in which nobody can change,
// remove, reorder or add a record unnoticed who does not hold the signing key.
//
// The layout is C2SP tlog-tiles, so that other programs can check it (Tessera's fsck does in our long
// runs): bundles of 256 records, tiles of 256 hashes, and a checkpoint, which is a signed note of the
// tree's size and root. All of that is written once a second. What a caller waits for is shorter:
//
//	Append ─► queue ─► writer: journal, one fsync ─► Append returns
//	                      └─ each second ─► job: tiles, checkpoint ─► journal without full tiles
//
// The journal is one file that holds every record that is not in a full tile. A write brings the
// records of all calls that wait, up to 256, and one signed line that commits to the tree so far.
// Three properties come from that. The calls of one write, and the events of one call, are recorded
// together or not at all. A journal that ends without such a line ends in a write that did not finish,
// of which nobody was told; any other deviation is a change. And the time before the first checkpoint
// is as well protected as the time after it.
//
// A file is never changed in place: it is written beside, synced and renamed. After a failed sync the
// kernel may take pages for written that are not, so that neither the file nor a second sync can be
// trusted; then the journal is written anew from memory before anything else is recorded, and so it
// is when a log is opened. A checkpoint that fails is repeated, from memory or after a crash from the
// journal.
//
// What this cannot show by itself is that all files were replaced by an older copy, or that the last
// second before a crash was cut off: a checkpoint that was copied to another machine does, up to that
// checkpoint. The whole history can only be rewritten with the key.
//
// format.md describes the files.
package audit
