// Package capacity measures what a path carries by filling it for a moment, as the check before a visit does: nobody
// is on it whom that could hurt, and the figure is wanted within three seconds. It is pure.
//
// Down we send ourselves: a Ramp doubles what is sent for as long as all of it comes as fast as it was sent. What does
// not has filled the path; then it is kept full, with little more than comes, and what comes is the path's rate.
// Up the client sends, as fast as its own estimate lets it: a Trace notes what came and when, and the path's rate is
// the largest that came for long enough to be no burst.
//
// An estimator of a call (package bwe) asks another question, what may be sent without a queue, and its probes of
// 60 ms are some 15 packets of 250 kbit/s: a tenth more or less. Nor is TCP's throughput an answer: in four seconds it
// gets 0.6 to 0.9 of a path on which 0.1 to 2 % is lost.
package capacity
