package browser_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// film is what a recording was opened as, as ffmpeg reads it.
type film struct {
	t            *testing.T
	ffmpeg, file string
	Streams      []filmStream
	Format       struct {
		Duration float64 `json:"duration,string"`
	}
}

type filmStream struct {
	Index         int
	Type          string `json:"codec_type"`
	Width, Height int
	Tags          struct{ Title string }
}

func newFilm(t *testing.T, ffmpeg, file string) *film {
	t.Helper()
	f := &film{t: t, ffmpeg: ffmpeg, file: file}
	f.probe(f, "-show_entries", "format=duration:stream=index,codec_type,width,height:stream_tags=title")
	return f
}

func (f *film) probe(into any, args ...string) {
	f.t.Helper()
	args = append([]string{"-v", "error", "-of", "json"}, args...)
	out, err := exec.Command("ffprobe", append(args, f.file)...).Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		f.t.Fatalf("ffprobe %q: %v: %s", args, err, out)
	}
}

// track is the stream of a person and source.
func (f *film) track(participant, source string) filmStream {
	f.t.Helper()
	for _, s := range f.Streams {
		if s.Tags.Title == participant+" "+source {
			return s
		}
	}
	f.t.Fatalf("%s has no %s in %+v", participant, source, f.Streams)
	return filmStream{}
}

// number is how ffmpeg's -map calls it.
func (s filmStream) number() string { return "0:" + strconv.Itoa(s.Index) }

// wantBoth fails unless a participant has one picture and one voice.
func (f *film) wantBoth(participant string) {
	f.t.Helper()
	var found []string
	for _, s := range f.Streams {
		if strings.HasPrefix(s.Tags.Title, participant+" ") {
			found = append(found, s.Type)
		}
	}
	if slices.Sort(found); !slices.Equal(found, []string{"audio", "video"}) {
		f.t.Errorf("%s has the tracks %q in %+v", participant, found, f.Streams)
	}
}

// A film has all that was recorded of somebody. What is not there at the beginning of a picture is the way to
// the encoder, its answer, and up to half a second in which it gives none because it has just made a key frame.
const (
	slack      = 100 * time.Millisecond
	firstFrame = 600 * time.Millisecond
	inStep     = 40 * time.Millisecond // nobody sees less
)

// wantAll fails unless voice and picture of a participant go on from the film's beginning to its end. Where a busy
// machine makes so few pictures that two are far apart, the first may come so much later and the last be so old.
func (f *film) wantAll(name, participant string) {
	f.t.Helper()
	whole := seconds(f.Format.Duration)
	for _, s := range []filmStream{f.track(participant, "mic"), f.track(participant, "camera")} {
		frames := f.frames(s)
		begins, ends := seconds(frames[0].At), seconds(frames[len(frames)-1].At)
		var hole time.Duration
		var sizes []string
		for i, x := range frames {
			if size := fmt.Sprintf("%dx%d from %.2f s", x.Width, x.Height, x.At); i == 0 || x.Height != frames[i-1].Height {
				sizes = append(sizes, size)
			}
			if i > 0 {
				hole = max(hole, seconds(x.At-frames[i-1].At))
			}
		}
		f.t.Logf("figure: %s's %s from %v to %v, %d frames, at most %v apart; %s",
			name, s.Type, begins.Round(time.Millisecond), ends.Round(time.Millisecond), len(frames), hole.Round(time.Millisecond), sizes)
		allowed := slack
		if s.Type == "video" {
			allowed = firstFrame
		}
		if late := min(2*hole, time.Second); begins > max(allowed, late) || whole-ends > max(slack, late) {
			f.t.Errorf("%s's %s goes from %v to %v of %v", name, s.Type, begins, ends, whole)
		}
	}
}

// frameTime is one decoded frame.
type frameTime struct {
	At            float64 `json:"pts_time,string"`
	Samples       int     `json:"nb_samples"`
	Width, Height int
}

// frames are the decoded frames of a track.
func (f *film) frames(s filmStream) []frameTime {
	f.t.Helper()
	var probed struct{ Frames []frameTime }
	f.probe(&probed, "-select_streams", strconv.Itoa(s.Index), "-show_entries", "frame=pts_time,nb_samples,width,height")
	if len(probed.Frames) < 50 {
		f.t.Fatalf("track %d has %d frames", s.Index, len(probed.Frames))
	}
	return probed.Frames
}

// seconds is a span of a film's time.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

var brightness = regexp.MustCompile(`pts_time:(\S+)\s+lavfi\.signalstats\.YAVG=(\S+)`)

// flashes are the times at which the flash of page.js begins in a picture.
func (f *film) flashes(s filmStream) (onsets []float64) {
	f.t.Helper()
	// The flash is at 260, 20 of 640, 360 and has 120 to 60; its middle is looked at, whatever the picture's size.
	out := decode(f.t, f.ffmpeg, "-copyts", "-i", f.file, "-map", s.number(),
		"-vf", "scale=640:360,crop=60:30:290:35,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", "-f", "null", "-")
	was := true // one that goes on at the beginning does not count
	for _, m := range brightness.FindAllStringSubmatch(string(out), -1) {
		at, err1 := strconv.ParseFloat(m[1], 64)
		light, err2 := strconv.ParseFloat(m[2], 64)
		if err1 != nil || err2 != nil {
			f.t.Fatalf("%q: %v, %v", m[0], err1, err2)
		}
		if is := light > 128; is != was {
			if was = is; is {
				onsets = append(onsets, at)
			}
		}
	}
	return onsets
}

// bursts are the times at which the second tone of page.js begins in a voice.
func (f *film) bursts(s filmStream) (onsets []float64) {
	f.t.Helper()
	const rate, hertz, window, hop = 48000, 3000, 240, 48 // 5 ms, 1 ms
	pcm := decode(f.t, f.ffmpeg, "-i", f.file, "-map", s.number(), "-ac", "1", "-ar", strconv.Itoa(rate), "-f", "f32le", "-")
	samples := make([]float64, len(pcm)/4)
	for i := range samples {
		samples[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(pcm[4*i:])))
	}
	// A decoder gives samples; where they belong is said by the frames that they came in.
	var times []float64
	for _, x := range f.frames(s) {
		for i := range x.Samples {
			times = append(times, x.At+float64(i)/rate)
		}
	}
	if len(times) != len(samples) {
		f.t.Fatalf("track %d: %d samples, and times of %d", s.Index, len(samples), len(times))
	}
	var levels []float64
	loudest := 0.0
	for at := 0; at+window <= len(samples); at += hop {
		levels = append(levels, power(samples[at:at+window], hertz/float64(rate)))
		loudest = max(loudest, levels[len(levels)-1])
	}
	heard := 0 // when it was heard last; one that goes on at the beginning does not count
	for i, l := range levels {
		if l < loudest/16 {
			continue
		}
		if i-heard > 300 {
			onsets = append(onsets, times[i*hop+window])
		}
		heard = i
	}
	return onsets
}

// power of a frequency, in cycles a sample (Goertzel).
func power(samples []float64, frequency float64) float64 {
	k := 2 * math.Cos(2*math.Pi*frequency)
	var a, b float64
	for _, x := range samples {
		a, b = x+k*a-b, a
	}
	return a*a + b*b - k*a*b
}

// clap is one flash and tone of a person.
type clap struct {
	at          float64       // of the film
	flash, tone time.Duration // by how much the film has them later than when they left the page
}

// apart is by how much the tone comes after the flash in the film, but for what is the sender's doing: a
// picture that is dated before it was painted. Chromium's clock of pictures is moved for good by some that it
// had no time for (rtc::TimestampAligner), and the server dates nothing earlier than its sender does. That it
// dates a packet of sound by its end, 20 ms late, is not taken out.
func (c clap) apart() time.Duration { return c.tone - max(c.flash, 0) }

// claps compares a film with when flashes and tones left the page, in ms since 1970.
func (f *film) claps(participant string, zero time.Time, left, sung []float64) (claps []clap) {
	f.t.Helper()
	nearest := func(to float64, of []float64) (found float64, ok bool) {
		for _, x := range of {
			if math.Abs(x-to) < 0.4 && (!ok || math.Abs(x-to) < math.Abs(found-to)) {
				found, ok = x, true
			}
		}
		return found, ok
	}
	inFilm := func(ms []float64) (at []float64) {
		for _, x := range ms {
			at = append(at, x/1000-float64(zero.UnixMicro())/1e6)
		}
		return at
	}
	left, sung = inFilm(left), inFilm(sung)
	tones := f.bursts(f.track(participant, "mic"))
	for _, flash := range f.flashes(f.track(participant, "camera")) {
		tone, ok1 := nearest(flash, tones)
		shown, ok2 := nearest(flash, left)
		heard, ok3 := nearest(tone, sung)
		if ok1 && ok2 && ok3 {
			claps = append(claps, clap{flash, seconds(flash - shown), seconds(tone - heard)})
		}
	}
	return claps
}

// wantInStep fails unless the flashes and tones of a page are as far from each other in the film as they were
// when they left it: in the middle of all, and each of them in the long runs. On a busy machine a browser gives some
// of its tones late to its encoder, which only it can know (beside 20 other processes 3 of 12, by 0.1 s).
func (f *film) wantInStep(p *tab, participant string, zero time.Time) {
	f.t.Helper()
	page := ask[struct{ Flashes, Tones []float64 }](p, "({ Flashes: bedsideTest.flashes, Tones: bedsideTest.tones })")
	claps := f.claps(participant, zero, page.Flashes, page.Tones)
	if len(claps) < int(f.Format.Duration)/2 {
		f.t.Fatalf("%s: %d claps in %v s", p.name, len(claps), f.Format.Duration)
	}
	var apart []time.Duration
	for _, c := range claps {
		apart = append(apart, c.apart())
		f.t.Logf("%s at %.3f s: the flash %v later than it left the page, the tone %v", p.name, c.at, c.flash.Round(time.Millisecond), c.tone.Round(time.Millisecond))
	}
	slices.Sort(apart)
	least, middle, most := apart[0], apart[len(apart)/2], apart[len(apart)-1]
	f.t.Logf("figure: %s: %d flashes with a tone, the tone from %v to %v after the flash", p.name, len(claps), least.Round(time.Millisecond), most.Round(time.Millisecond))
	if middle.Abs() > inStep || os.Getenv("SOAK") != "" && max(most, -least) > inStep {
		f.t.Errorf("%s: lips and voice are from %v to %v apart, %v in the middle", p.name, least, most, middle)
	}
}
