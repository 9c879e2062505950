// Package config is the server's configuration: one struct per package that takes one, loaded from
// a YAML file and from the environment, validated as a whole. It imports nothing of ours, so that
// every package can take its part by value.
package config

import "time"

// Config is the configuration of one server. The zero value is not valid; start from Default.
type Config struct {
	Listen        string `mapstructure:"listen" yaml:"listen"`
	PublicURL     string `mapstructure:"public_url" yaml:"public_url"`
	MetricsListen string `mapstructure:"metrics_listen" yaml:"metrics_listen"`
	// DataDir is where a server keeps what must survive it, readable by its user alone: state, the
	// audit log and the keys that it makes. A demo keeps nothing.
	DataDir string `mapstructure:"data_dir" yaml:"data_dir"`
	// DrainTimeout is how long the people who are connected have to hear that the server stops.
	DrainTimeout time.Duration `mapstructure:"drain_timeout" yaml:"drain_timeout"`
	TLS          TLS           `mapstructure:"tls" yaml:"tls"`
	// ProxyProtocol names the networks of proxies before the TCP half of the port, whose connections begin
	// with a header of the PROXY protocol, version 1 or 2. They must pass TLS through.
	ProxyProtocol []string  `mapstructure:"proxy_protocol" yaml:"proxy_protocol"`
	Log           Log       `mapstructure:"log" yaml:"log"`
	Media         Media     `mapstructure:"media" yaml:"media"`
	TURN          TURN      `mapstructure:"turn" yaml:"turn"`
	SFU           SFU       `mapstructure:"sfu" yaml:"sfu"`
	Signaling     Signaling `mapstructure:"signaling" yaml:"signaling"`
	Audit         Audit     `mapstructure:"audit" yaml:"audit"`
	Recording     Recording `mapstructure:"recording" yaml:"recording"`
}

// Audit is about the log of who did what.
type Audit struct {
	// OnFailure says what happens to what is to be recorded when it cannot be: AuditRefuse or
	// AuditAllow.
	OnFailure string `mapstructure:"on_failure" yaml:"on_failure"`
	// MinFreePercent of the disk must be free: below it only what takes access away is recorded, and
	// nothing else counts as recorded. Alarms come long before, at 10 %.
	MinFreePercent int `mapstructure:"min_free_percent" yaml:"min_free_percent"`
}

// The values of Audit.OnFailure: nobody is admitted and nothing is granted that nobody could be held
// to afterwards; or care comes first, and the gap is logged.
const (
	AuditRefuse = "refuse"
	AuditAllow  = "allow"
)

// TLS names the files of the server's certificate. Both are empty (plain HTTP, on loopback only,
// unless ACME makes certificates) or both are set.
type TLS struct {
	CertFile string `mapstructure:"cert_file" yaml:"cert_file"`
	KeyFile  string `mapstructure:"key_file" yaml:"key_file"`
	// ACME has an authority make the certificate instead; the port must be 443 outside.
	ACME ACME `mapstructure:"acme" yaml:"acme"`
}

// ACME is about an authority that makes certificates by itself (RFC 8555). Only where Domains are set does
// a server ever connect to anything outside.
type ACME struct {
	Domains   []string `mapstructure:"domains" yaml:"domains"`     // of this server; none: files
	Email     string   `mapstructure:"email" yaml:"email"`         // where the authority warns; may be empty
	Directory string   `mapstructure:"directory" yaml:"directory"` // of the authority
}

// Log says what is logged and how.
type Log struct {
	Level  string `mapstructure:"level" yaml:"level"`   // debug, info, warn or error
	Format string `mapstructure:"format" yaml:"format"` // text or json
}

// Media is about the addresses at which media is received.
type Media struct {
	// Advertise are the IP addresses that clients are told to send media to, each with a port of its own
	// where a router or a redirect makes the port another than that of Listen. When empty they are found
	// among the machine's interfaces.
	Advertise []string `mapstructure:"advertise" yaml:"advertise"`
	// GSO says whether the kernel may cut one message into the datagrams of a burst: GSOAuto or GSOOff.
	GSO string `mapstructure:"gso" yaml:"gso"`
	// Readers is how many sockets share the port's UDP address, each read by itself; 0 means one for
	// each processor, 8 at most. Only Linux has more than one.
	Readers int `mapstructure:"readers" yaml:"readers"`
}

// The values of Media.GSO: where the kernel does it rightly, or never, for networks whose drivers do not.
const (
	GSOAuto = "auto"
	GSOOff  = "off"
)

// SFU bounds what one participant may make the media plane keep.
type SFU struct {
	// SSRCLimit is how many streams (SSRCs) one participant may send: 6 tracks of three encodings
	// at most, most of which nobody uses at once. One more ends the session with "ssrc_limit".
	SSRCLimit int `mapstructure:"ssrc_limit" yaml:"ssrc_limit"`
}

// Signaling is about the API, the sessions and who may use them.
type Signaling struct {
	APIKeys []APIKey `mapstructure:"api_keys" yaml:"api_keys"`
	// InvitationSecret and TokenKey are 32 random bytes each, in base64. When they are empty, a
	// server makes them at its first start and keeps them in its data directory, and a demo makes
	// new ones at every start: the invitations and tokens given out before are then worthless.
	InvitationSecret Secret `mapstructure:"invitation_secret" yaml:"invitation_secret"`
	TokenKey         Secret `mapstructure:"token_key" yaml:"token_key"` // seed of an Ed25519 key
	// Origins are the web origins (scheme://host[:port]) whose pages may open a session beside the
	// server's own.
	Origins []string `mapstructure:"origins" yaml:"origins"`
	// WindowLead and WindowTrail widen the time in which a consultation may be joined, before its
	// start and after its end.
	WindowLead  time.Duration `mapstructure:"window_lead" yaml:"window_lead"`
	WindowTrail time.Duration `mapstructure:"window_trail" yaml:"window_trail"`
	Limits      Limits        `mapstructure:"limits" yaml:"limits"`
}

// Limits bound what strangers and tenants can make the server keep or do.
type Limits struct {
	Consultations    int `mapstructure:"consultations" yaml:"consultations"`           // kept at once, of all tenants
	Sessions         int `mapstructure:"sessions" yaml:"sessions"`                     // WebSockets at once
	Participants     int `mapstructure:"participants" yaml:"participants"`             // the most that max_participants may ask for
	SessionsPerIP    int `mapstructure:"sessions_per_ip" yaml:"sessions_per_ip"`       // a hospital may share one address
	ConnectionsPerIP int `mapstructure:"connections_per_ip" yaml:"connections_per_ip"` // TCP at once, per address but loopback
	JoinsPerSecond   int `mapstructure:"joins_per_second" yaml:"joins_per_second"`     // POST /v1/join, per address
	MessagesPerSec   int `mapstructure:"messages_per_sec" yaml:"messages_per_sec"`     // per session, long run
	MessagesInBurst  int `mapstructure:"messages_in_burst" yaml:"messages_in_burst"`   // per session
}

// APIKey lets one system of one tenant use the API.
type APIKey struct {
	ID      string   `mapstructure:"id" yaml:"id"`           // shown in logs
	Hash    string   `mapstructure:"hash" yaml:"hash"`       // SHA-256 of the key, in hexadecimal
	Tenant  string   `mapstructure:"tenant" yaml:"tenant"`   // what belongs to another tenant does not exist for this key
	Scopes  []string `mapstructure:"scopes" yaml:"scopes"`   // of Scopes()
	Origins []string `mapstructure:"origins" yaml:"origins"` // browser origins that may use the key; none if empty
}

// The scopes of an API key.
const (
	ScopeConsultations = "consultations"
	ScopeRecordings    = "recordings"
	ScopeAudit         = "audit"
	ScopeAdmin         = "admin"
)

// Scopes returns every scope an API key can have.
func Scopes() []string {
	return []string{ScopeConsultations, ScopeRecordings, ScopeAudit, ScopeAdmin}
}

// Default returns the configuration that holds where nothing else is said.
func Default() Config {
	return Config{
		Listen:        ":8443",
		PublicURL:     "http://localhost:8443",
		MetricsListen: "127.0.0.1:9443",
		DataDir:       "/var/lib/bedside",
		DrainTimeout:  3 * time.Second,
		Audit:         Audit{OnFailure: AuditRefuse, MinFreePercent: 2},
		Recording:     Recording{Notice: "v1", MaxLoss: time.Second, PartTime: time.Hour, PartMB: 1000, MinFreePercent: 5, Retain: 30 * 24 * time.Hour},
		Log:           Log{Level: "info", Format: "text"},
		TLS:           TLS{ACME: ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory"}},
		Media:         Media{GSO: GSOAuto},
		TURN:          TURN{Relay: RelayOn, Kbits: 20_000, Allocations: 2000, AllocationsPerIP: 400, Connections: 4000},
		SFU:           SFU{SSRCLimit: 16},
		Signaling: Signaling{
			WindowLead:  30 * time.Minute,
			WindowTrail: 60 * time.Minute,
			Limits: Limits{
				Participants:     20,
				Consultations:    2000,
				Sessions:         4000,
				SessionsPerIP:    100,
				ConnectionsPerIP: 400,
				JoinsPerSecond:   10,
				MessagesPerSec:   20,
				MessagesInBurst:  60,
			},
		},
	}
}
