package scenario

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	maxDuration = 24 * time.Hour
	maxBitrate  = 100_000_000_000
	maxRate     = 1000 // joins or rooms a second
	maxPixels   = 8192 // either way
)

// number reads a plain decimal: strconv alone would take inf, 0x1p3 and 1_0 as well.
func number(s string) (float64, error) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, errors.New("not a number")
	}
	return strconv.ParseFloat(s, 64)
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s is not a duration: write a number with its unit, such as 250ms, 5s or 1m30s", quote(s))
	case d < 0 || d > maxDuration:
		return 0, fmt.Errorf("%s is out of range: a duration is 0s to 24h", quote(s))
	}
	return d, nil
}

func parseBitrate(s string) (int, error) {
	for _, unit := range []struct {
		suffix string
		factor float64
	}{{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}} {
		if text, ok := strings.CutSuffix(s, unit.suffix); ok {
			v, err := number(text)
			if err != nil {
				break
			}
			if v = math.Round(v * unit.factor); v < 1 || v > maxBitrate {
				return 0, fmt.Errorf("%s is out of range: a rate is above 0 and at most 100gbit", quote(s))
			}
			return int(v), nil
		}
	}
	return 0, fmt.Errorf("%s is not a rate: write a number with its unit, such as 300kbit or 1.5mbit", quote(s))
}

// parsePercent returns a share, 0 to 1.
func parsePercent(s string) (float64, error) {
	text, ok := strings.CutSuffix(s, "%")
	v, err := number(text)
	switch {
	case !ok || err != nil:
		return 0, fmt.Errorf("%s is not a percentage: write a number with %%, such as 2%% or 0.1%%", quote(s))
	case v > 100:
		return 0, fmt.Errorf("%s is out of range: a percentage is 0%% to 100%%", quote(s))
	}
	return v / 100, nil
}

// parseFrequency returns how often a second.
func parseFrequency(s string) (float64, error) {
	text, unit, _ := strings.Cut(s, "/")
	v, err := number(text)
	seconds := map[string]float64{"s": 1, "min": 60, "h": 3600}[unit]
	switch {
	case err != nil || seconds == 0:
		return 0, fmt.Errorf("%s is not a frequency: write how many in which time, such as 50/s, 3/min or 10/h", quote(s))
	case v == 0 || v/seconds > maxRate:
		return 0, fmt.Errorf("%s is out of range: a frequency is above 0 and at most %d/s", quote(s), maxRate)
	}
	return v / seconds, nil
}

func parseSize(s string) (width, height int, err error) {
	w, h, _ := strings.Cut(s, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	if errW != nil || errH != nil || width < 1 || height < 1 || width > maxPixels || height > maxPixels {
		return 0, 0, fmt.Errorf("%s is not a size: write width x height in pixels, such as 1280x720, at most %d either way", quote(s), maxPixels)
	}
	return width, height, nil
}

// quote writes what a file holds, cut, as a file may hold anything.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
