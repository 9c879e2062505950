package codec

// Kind is audio or video.
type Kind uint8

// The kinds.
const (
	Audio Kind = iota + 1
	Video
)

func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	}
	return "unknown"
}

// Source says what a published track shows or carries.
type Source string

// The sources. Camera, Screen and Exam are video, the others audio.
const (
	Camera       Source = "camera"
	Mic          Source = "mic"
	Screen       Source = "screen"
	Exam         Source = "exam"
	Auscultation Source = "auscultation"
)

// Kind of the tracks of a source; 0 for an unknown source.
func (s Source) Kind() Kind {
	switch s {
	case Camera, Screen, Exam:
		return Video
	case Mic, Auscultation:
		return Audio
	}
	return 0
}
