// Package scenario reads what a load test shall do: who joins when and with what, over which network,
// and what must hold. The load generator plays a scenario against a server, the simulation plays the
// same file in virtual time. It is pure: bytes in, values out.
//
//	Parse ─► Scenario ─► Expand ─► Plan: the timed actions of every person
//	measurements ─► Evaluate ─► Verdicts
//
// A Plan is open loop: its times follow from the file and its seed alone, so a slow server does not
// slow the load down. The format is described in format.md.
package scenario
