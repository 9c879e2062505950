package config

import (
	"path/filepath"
	"regexp"
	"time"
)

// Recording is about what is recorded, of people who have agreed, and who can open it: the hospital alone.
type Recording struct {
	// Enabled: without it there is no route and no button, and nothing can be asked for.
	Enabled bool `mapstructure:"enabled" yaml:"enabled"`
	// Dir is where sealed recordings are kept; <data_dir>/recordings when empty.
	Dir string `mapstructure:"dir" yaml:"dir"`
	// Recipients are the hospital's public keys, two at least, all classic or all post-quantum.
	Recipients []string `mapstructure:"recipients" yaml:"recipients"`
	// Notice is the version of the notice that people consent to. With another, everybody is asked again.
	Notice string `mapstructure:"notice" yaml:"notice"`
	// MaxLoss is what a crash may cost of each track. Less of it pads more.
	MaxLoss time.Duration `mapstructure:"max_loss" yaml:"max_loss"`
	// PartTime and PartMB are how long and how large one file of a recording becomes before another follows.
	PartTime time.Duration `mapstructure:"part_time" yaml:"part_time"`
	PartMB   int           `mapstructure:"part_mb" yaml:"part_mb"`
	// MinFreePercent of the disk must be free: below it nothing is recorded.
	MinFreePercent int `mapstructure:"min_free_percent" yaml:"min_free_percent"`
	// Retain is how long a recording is kept before it is erased; 0 is until somebody erases it.
	Retain time.Duration `mapstructure:"retain" yaml:"retain"`
	Bucket Bucket        `mapstructure:"bucket" yaml:"bucket"`
}

// Bucket is where finished recordings go, in a store that speaks S3. Without an endpoint they stay in the
// directory.
type Bucket struct {
	Endpoint  string `mapstructure:"endpoint" yaml:"endpoint"` // host[:port]
	Name      string `mapstructure:"name" yaml:"name"`
	Region    string `mapstructure:"region" yaml:"region"` // asked from the store when empty
	Prefix    string `mapstructure:"prefix" yaml:"prefix"` // of the objects' names
	AccessKey string `mapstructure:"access_key" yaml:"access_key"`
	SecretKey Secret `mapstructure:"secret_key" yaml:"secret_key"`
	// Insecure speaks HTTP without TLS. What goes there is sealed, but who listens can delete it.
	Insecure bool `mapstructure:"insecure" yaml:"insecure"`
}

func (b Bucket) appendProblems(p *problems) {
	if b.Endpoint == "" {
		p.check(b == Bucket{}, "recording.bucket.endpoint", "set, or nothing else of recording.bucket")
		return
	}
	p.check(regexp.MustCompile(`^(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+)(:[0-9]{1,5})?$`).MatchString(b.Endpoint), "recording.bucket.endpoint", "host[:port], without https://")
	p.check(regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(b.Name), "recording.bucket.name", "the name of a bucket that exists")
	p.check(regexp.MustCompile(`^([0-9A-Za-z._-]+/)*$`).MatchString(b.Prefix) && len(b.Prefix) <= 256, "recording.bucket.prefix", "empty, or folders such as bedside/")
	p.check(b.AccessKey != "" && b.SecretKey.Reveal() != "", "recording.bucket.access_key", "set, with recording.bucket.secret_key")
}

func (r Recording) appendProblems(p *problems) {
	const year = 366 * 24 * time.Hour
	p.check(r.Dir == "" || filepath.IsAbs(r.Dir), "recording.dir", "the whole path of a directory of the server's own, or empty")
	p.check(!r.Enabled || len(r.Recipients) >= 2, "recording.recipients",
		"two public keys at least, kept by different people: with all of them lost, so is every recording (bedside keys new-recipient)")
	p.check(regexp.MustCompile(`^[a-z0-9_]{1,32}$`).MatchString(r.Notice), "recording.notice", "1 to 32 lower-case letters, digits or _")
	p.check(r.MaxLoss >= 500*time.Millisecond && r.MaxLoss <= 10*time.Second, "recording.max_loss", "between 500ms and 10s")
	p.check(r.PartTime >= time.Minute && r.PartTime <= 24*time.Hour, "recording.part_time", "between 1m and 24h")
	p.check(r.PartMB >= 16 && r.PartMB <= 100_000, "recording.part_mb", "between 16 and 100000")
	p.check(r.MinFreePercent >= 0 && r.MinFreePercent <= 90, "recording.min_free_percent", "between 0 and 90")
	p.check(r.Retain >= 0 && r.Retain <= 100*year, "recording.retain", "between 0s and 100 years, in hours")
	r.Bucket.appendProblems(p)
}
