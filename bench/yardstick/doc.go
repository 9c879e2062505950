// Package yardstick is what the servers have in common that Bedside is measured against: they are
// asked for media by WHIP and WHEP, one connection each way.
//
//	POST /whip/{room}/{id}           publish as id; the msid of the offer names the track
//	POST /whep/{room}/{id}?tracks=N  watch everybody else of the room on one connection, once there
//	                                 are N tracks of theirs, or 30 s later
//	DELETE on the Location of either ends it
//
// There is no authorization: these servers are for a machine of one's own, while it measures.
package yardstick
