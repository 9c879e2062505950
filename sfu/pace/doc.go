// Package pace decides when what is sent to one participant leaves. It is pure: who owns a Pacer says what time it
// is, and asks again while something waits.
//
//	sound, probes ─► Spend ──────────────────────────────────────────► leaves
//	repairs ───────► Pass ─ fits ────────────────────────────────────► leaves
//	pictures ──────►  └─── does not ─► Put ─► repairs  ─┐
//	                                          pictures ─┴─ Next ─────► leaves
//
// Where the path is known to be narrow, what is sent in one burst (a key frame, a frame of a large picture, repairs)
// stands in front of the sound in the network's queue, or overflows it. So it waits here instead, where sound
// goes past it, and leaves at little more than what the path is estimated to carry. Nothing is saved up: after a
// silence a burst is no longer than ever. What fits goes through without a copy or a timer.
package pace
