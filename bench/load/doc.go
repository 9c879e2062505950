// Package load plays a scenario against a server in the time of the wall and measures what comes of
// it: the machinery behind bedside-bench run and capacity.
//
//	scenario ─► Plan ─► tracks: what each person does, when
//	office: opens the rooms by the API ─► invitations ─► one goroutine a person ─► bench.Client
//	each second: clients, /metrics of the server, the generator itself ─► Sample
//	end of the hold: reports of all clients, server, generator ─► result.Build
//
// The load is open loop: every action has its time from the file alone. Who waits for the server waits
// alone, in a goroutine of their own, no longer than a timeout; an action that comes late is counted,
// and a generator that is too slow for its own plan says so and invalidates the run.
package load
