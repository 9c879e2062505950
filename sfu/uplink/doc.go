// Package uplink finds out that what a participant sends fills a thin path, and how much may be sent there. It is pure.
//
// Whose browser estimates its uplink itself, by transport-wide feedback, needs no word of ours: but where packets are
// lost by chance, too, Chromium's estimate does not come down to a path of 60 kbit/s (156, 2026-11-22: 147 kbit/s, for
// a minute). What does not lie there is the voice: it is sent by a clock, or says when it was sent, so that whatever its
// packets take longer than at best they have waited on the way. An Estimator takes the least of each quarter of a second. If that is a
// queue for three quarters of a second and what comes meanwhile is thin, then the path is full and carries what came.
//
// From then on it says a limit: less, until the queue is gone, then nine tenths, then more by steps as long as no queue
// comes of it; past what filled the path at last only after a while, that doubles each time. What the path is tried with is the
// voice itself, at more and more bit/s, and it is given up at the first 45 ms of a queue: a try that fails costs some packets
// of the voice 200 ms (decision "A path is tried with the voice"). When the limit is far above what is thin there is none any more.
//
// A path that has been full since the first packet has no least without a queue. So if three tenths of the voice
// are lost, or half of the pictures, which chance hardly does, it is tried with less: then the least comes down, or it was chance, and there is
// no limit again after a second. Less loss is no sign of anything here.
//
// A queue that stays although less is sent is somebody else's, or the path has become longer: then there is no limit,
// for half a minute at least, and the queue counts as the way itself. Who sends no less is asked for less again and
// again, until what comes tells which it is: a camera sends its least whatever it may send, and then it sends none.
//
// Timestamps are the client's own. Who makes them up gets a limit for their own sending, or none, and nobody else does.
package uplink
