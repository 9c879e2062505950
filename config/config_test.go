package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bedside-video/bedside/config"
)

func TestDefaultIsValid(t *testing.T) {
	if err := config.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Redacted() != config.Default().Redacted() {
		t.Errorf("an empty document yields\n%s\nwant the default\n%s", got.Redacted(), config.Default().Redacted())
	}
}

func TestExampleLoadsAndNamesEveryKey(t *testing.T) {
	document, err := os.ReadFile("bedside.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(document, nil)
	if err != nil {
		t.Fatal(err)
	}
	var inFile, inConfig map[string]any
	if err := yaml.Unmarshal(document, &inFile); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(cfg.Redacted()), &inConfig); err != nil {
		t.Fatal(err)
	}
	if got, want := paths("", inFile), paths("", inConfig); !slices.Equal(got, want) {
		t.Errorf("the example has the keys\n%v\nwant\n%v", got, want)
	}
}

// paths lists the keys of a YAML document, sorted.
func paths(prefix string, node any) []string {
	var list []string
	switch n := node.(type) {
	case map[string]any:
		for k, child := range n {
			list = append(list, prefix+k)
			list = append(list, paths(prefix+k+".", child)...)
		}
	case []any:
		if len(n) > 0 {
			list = paths(prefix, n[0])
		}
	}
	slices.Sort(list)
	return list
}

func TestEnvironmentReachesEveryKey(t *testing.T) {
	const keys = `[{id: k, tenant: t, scopes: [audit], hash: 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d}]`
	secret := strings.Repeat("A", 43) + "="
	values := map[string]string{
		"BEDSIDE_LISTEN":                              ":1",
		"BEDSIDE_PUBLIC_URL":                          "https://a.example",
		"BEDSIDE_METRICS_LISTEN":                      ":2",
		"BEDSIDE_DATA_DIR":                            "/d",
		"BEDSIDE_DRAIN_TIMEOUT":                       "5s",
		"BEDSIDE_AUDIT_ON_FAILURE":                    "allow",
		"BEDSIDE_AUDIT_MIN_FREE_PERCENT":              "18",
		"BEDSIDE_RECORDING_ENABLED":                   "true",
		"BEDSIDE_RECORDING_DIR":                       "/r",
		"BEDSIDE_RECORDING_RECIPIENTS":                "age1a,age1b",
		"BEDSIDE_RECORDING_NOTICE":                    "v2",
		"BEDSIDE_RECORDING_MAX_LOSS":                  "2s",
		"BEDSIDE_RECORDING_PART_TIME":                 "2h",
		"BEDSIDE_RECORDING_PART_MB":                   "29",
		"BEDSIDE_RECORDING_MIN_FREE_PERCENT":          "23",
		"BEDSIDE_RECORDING_RETAIN":                    "24h",
		"BEDSIDE_PROXY_PROTOCOL":                      "10.0.0.4/32,2001:db8::/64",
		"BEDSIDE_RECORDING_BUCKET_ENDPOINT":           "s3.example:9000",
		"BEDSIDE_RECORDING_BUCKET_NAME":               "recordings",
		"BEDSIDE_RECORDING_BUCKET_REGION":             "r1",
		"BEDSIDE_RECORDING_BUCKET_PREFIX":             "b/",
		"BEDSIDE_RECORDING_BUCKET_ACCESS_KEY":         "ak",
		"BEDSIDE_RECORDING_BUCKET_SECRET_KEY":         secret,
		"BEDSIDE_RECORDING_BUCKET_INSECURE":           "true",
		"BEDSIDE_TLS_CERT_FILE":                       "c",
		"BEDSIDE_TLS_ACME_DOMAINS":                    "v.hospital.example",
		"BEDSIDE_TLS_ACME_EMAIL":                      "it@hospital.example",
		"BEDSIDE_TLS_ACME_DIRECTORY":                  "https://ca.example/dir",
		"BEDSIDE_TLS_KEY_FILE":                        "k",
		"BEDSIDE_LOG_LEVEL":                           "warn",
		"BEDSIDE_LOG_FORMAT":                          "json",
		"BEDSIDE_MEDIA_ADVERTISE":                     "192.0.2.1,2001:db8::1",
		"BEDSIDE_MEDIA_GSO":                           "off",
		"BEDSIDE_MEDIA_READERS":                       "3",
		"BEDSIDE_SFU_SSRC_LIMIT":                      "17",
		"BEDSIDE_TURN_RELAY":                          "off",
		"BEDSIDE_TURN_HOST":                           "a.example",
		"BEDSIDE_TURN_URLS":                           "turn:b.example,turns:b.example:443?transport=tcp",
		"BEDSIDE_TURN_SECRET":                         secret,
		"BEDSIDE_TURN_PREVIOUS_SECRET":                secret,
		"BEDSIDE_TURN_PEERS":                          "192.0.2.1:443,[2001:db8::1]:443",
		"BEDSIDE_TURN_KBITS":                          "64",
		"BEDSIDE_TURN_ALLOCATIONS":                    "20",
		"BEDSIDE_TURN_ALLOCATIONS_PER_IP":             "21",
		"BEDSIDE_TURN_CONNECTIONS":                    "22",
		"BEDSIDE_SIGNALING_API_KEYS":                  keys,
		"BEDSIDE_SIGNALING_INVITATION_SECRET":         secret,
		"BEDSIDE_SIGNALING_TOKEN_KEY":                 secret,
		"BEDSIDE_SIGNALING_ORIGINS":                   "https://b.example",
		"BEDSIDE_SIGNALING_WINDOW_LEAD":               "1m",
		"BEDSIDE_SIGNALING_WINDOW_TRAIL":              "2m",
		"BEDSIDE_SIGNALING_LIMITS_CONSULTATIONS":      "11",
		"BEDSIDE_SIGNALING_LIMITS_SESSIONS":           "12",
		"BEDSIDE_SIGNALING_LIMITS_PARTICIPANTS":       "21",
		"BEDSIDE_SIGNALING_LIMITS_SESSIONS_PER_IP":    "13",
		"BEDSIDE_SIGNALING_LIMITS_CONNECTIONS_PER_IP": "19",
		"BEDSIDE_SIGNALING_LIMITS_JOINS_PER_SECOND":   "14",
		"BEDSIDE_SIGNALING_LIMITS_MESSAGES_PER_SEC":   "15",
		"BEDSIDE_SIGNALING_LIMITS_MESSAGES_IN_BURST":  "16",
	}
	var environ []string
	for _, name := range config.Environment() {
		if values[name] == "" {
			t.Errorf("%s has no value in this test", name)
		}
		environ = append(environ, name+"="+values[name])
	}
	got, err := config.Load([]byte("listen: ':9'"), environ)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Listen: ":1", PublicURL: "https://a.example", MetricsListen: ":2",
		DataDir: "/d", DrainTimeout: 5 * time.Second, Audit: config.Audit{OnFailure: config.AuditAllow, MinFreePercent: 18},
		ProxyProtocol: []string{"10.0.0.4/32", "2001:db8::/64"},
		TLS:           config.TLS{CertFile: "c", KeyFile: "k", ACME: config.ACME{Domains: []string{"v.hospital.example"}, Email: "it@hospital.example", Directory: "https://ca.example/dir"}},
		Log:           config.Log{Level: "warn", Format: "json"},
		Media:         config.Media{Advertise: []string{"192.0.2.1", "2001:db8::1"}, GSO: config.GSOOff, Readers: 3},
		TURN: config.TURN{Relay: config.RelayOff, Host: "a.example", URLs: []string{"turn:b.example", "turns:b.example:443?transport=tcp"},
			Secret: config.NewSecret(secret), PreviousSecret: config.NewSecret(secret), Peers: []string{"192.0.2.1:443", "[2001:db8::1]:443"},
			Kbits: 64, Allocations: 20, AllocationsPerIP: 21, Connections: 22},
		SFU: config.SFU{SSRCLimit: 17},
		Recording: config.Recording{Enabled: true, Dir: "/r", Recipients: []string{"age1a", "age1b"}, Notice: "v2", MaxLoss: 2 * time.Second, PartTime: 2 * time.Hour, PartMB: 29,
			MinFreePercent: 23, Retain: 24 * time.Hour, Bucket: config.Bucket{Endpoint: "s3.example:9000", Name: "recordings", Region: "r1",
				Prefix: "b/", AccessKey: "ak", SecretKey: config.NewSecret(secret), Insecure: true}},
		Signaling: config.Signaling{
			APIKeys: []config.APIKey{{ID: "k", Tenant: "t", Scopes: []string{"audit"},
				Hash: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"}},
			InvitationSecret: config.NewSecret(secret), TokenKey: config.NewSecret(secret),
			Origins: []string{"https://b.example"}, WindowLead: time.Minute, WindowTrail: 2 * time.Minute,
			Limits: config.Limits{Consultations: 11, Sessions: 12, Participants: 21, SessionsPerIP: 13, ConnectionsPerIP: 19, JoinsPerSecond: 14, MessagesPerSec: 15, MessagesInBurst: 16},
		},
	}
	if got.Redacted() != want.Redacted() {
		t.Errorf("got\n%s\nwant\n%s", got.Redacted(), want.Redacted())
	}
	if got.Signaling.APIKeys[0].Hash != want.Signaling.APIKeys[0].Hash || got.Signaling.TokenKey.Reveal() != secret {
		t.Error("a hidden value did not arrive")
	}
}

func TestEveryErrorAtOnce(t *testing.T) {
	const document = `
listen: 8443
public_url: https://video.example/path
metrics_lisen: ":9"
proxy_protocol: [10.0.0.4, 10.0.0.4/24, 0.0.0.0/0, 10.0.0.0/24]
data_dir: ""
drain_timeout: 1h
audit: {on_failure: ask, min_free_percent: 100}
tls: {cert_file: a, acme: {domains: [localhost, 192.0.2.1, Video.example], directory: "http://a"}}
log: {level: chatty, format: xml}
media: {advertise: [10.0.0.1, "10.0.0.1:0", 0.0.0.0], gso: on, readers: 9}
sfu: {ssrc_limit: many}
turn: {relay: maybe, host: "a:1", urls: ["stun:a", "turn:a"], secret: "", peers: [0.0.0.0:1, 192.0.2.1], kbits: 1}
signaling:
  window_lead: 30
  window_trail: soon
  token_key: abc
  origins: [hospital.example]
  limits: {sessions: 0}
  api_keys:
    - {id: "a b", tenant: t, hash: 00, scopes: [], color: red}
    - {id: k, tenant: t, hash: 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d, scopes: [all]}
    - {id: k, tenant: t, hash: 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d, scopes: [audit]}
`
	_, err := config.LoadServer([]byte(document), []string{"BEDSIDE_SFU_SRC_LIMIT=9", "HOME=/", "BEDSIDE_SIGNALING_API_KEYS="})
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	want := []string{
		"BEDSIDE_SFU_SRC_LIMIT: unknown variable; did you mean BEDSIDE_SFU_SSRC_LIMIT?",
		"audit.min_free_percent: must be between 0 and 90",
		"audit.on_failure: must be refuse or allow",
		"data_dir: must be the whole path of a directory of the server's own, such as /var/lib/bedside",
		"drain_timeout: must be between 0s and 1m",
		`listen: must be [host]:port, such as ":8443"`,
		"log.format: must be text or json",
		"log.level: must be debug, info, warn or error",
		`media.advertise[1]: must be an IP address that clients can reach, with a port if it is another than that of listen: "203.0.113.7:443"`,
		`media.advertise[2]: must be an IP address that clients can reach, with a port if it is another than that of listen: "203.0.113.7:443"`,
		"media.gso: must be auto or off",
		"media.readers: must be between 0 and 8",
		"metrics_lisen: unknown key; did you mean metrics_listen?",
		"proxy_protocol[0]: must be the network of your proxies, such as 10.0.0.4/32: whoever is in it can say to be anybody",
		"proxy_protocol[1]: must be the network of your proxies, such as 10.0.0.4/32: whoever is in it can say to be anybody",
		"proxy_protocol[2]: must be the network of your proxies, such as 10.0.0.4/32: whoever is in it can say to be anybody",
		"public_url: must be http(s)://host[:port] without a path, as browsers reach this server",
		"sfu.ssrc_limit: must be a whole number",
		"signaling.api_keys[0].color: unknown key",
		"signaling.api_keys[0].hash: must be the SHA-256 of the key: 64 hexadecimal digits (bedside keys new-api-key)",
		"signaling.api_keys[0].id: must be 1 to 64 letters, digits, - or _",
		"signaling.api_keys[0].scopes: must be at least one of consultations, recordings, audit, admin",
		"signaling.api_keys[1].scopes[0]: must be one of consultations, recordings, audit, admin",
		"signaling.api_keys[2].id: must be different from the ids of the other keys",
		"signaling.limits.sessions: must be between 1 and 1000000",
		"signaling.origins[0]: must be an origin, such as https://portal.hospital.example",
		"signaling.token_key: must be 32 random bytes in base64 (openssl rand -base64 32)",
		"signaling.window_lead: must be a duration with its unit, such as 90s, 30m or 1h30m",
		"signaling.window_trail: must be a duration with its unit, such as 90s, 30m or 1h30m",
		"tls.acme.directory: must be the https address of an ACME directory",
		"tls.acme.domains: must be empty where tls.cert_file is set",
		"tls.acme.domains[0]: must be a public host name in small letters, such as video.hospital.example",
		"tls.acme.domains[1]: must be a public host name in small letters, such as video.hospital.example",
		"tls.acme.domains[2]: must be a public host name in small letters, such as video.hospital.example",
		"tls.key_file: must be set exactly when tls.cert_file is",
		"turn.host: must be a host name or IP address without a port, or empty",
		"turn.kbits: must be between 64 and 1000000",
		"turn.peers[0]: must be IP:port of a media server",
		"turn.peers[1]: must be IP:port of a media server",
		"turn.relay: must be on or off",
		"turn.secret: must be set if turn.urls is: the relays have to know it",
		"turn.urls[0]: must be turn: or turns:host[:port][?transport=udp|tcp] (RFC 7065)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestServer(t *testing.T) {
	const certificate = "tls: {cert_file: c, key_file: k}\n"
	tests := []struct {
		name, document string
		want           string // the key of the only error
	}{
		{"certificate", certificate + "public_url: https://video.example", ""},
		{"no certificate, every address", "listen: ':8443'", "tls.cert_file"},
		{"no certificate, one address", "listen: '192.0.2.1:8443'", "tls.cert_file"},
		{"no certificate, a name", "listen: 'video.example:8443'", "tls.cert_file"},
		{"no certificate, loopback", "listen: '127.0.0.1:8443'", ""},
		{"no certificate, loopback in IPv6", "listen: '[::1]:8443'", ""},
		{"behind a proxy", "listen: 'localhost:8443'\npublic_url: https://video.example", ""},
		{"plain HTTP for everybody", certificate + "public_url: http://video.example", "public_url"},
		{"plain HTTP for this machine", certificate + "public_url: http://127.0.0.1:8443", ""},
		{"plain HTTP for this machine in IPv6", certificate + "public_url: 'http://[::1]'", ""},
		{"nowhere to keep anything", certificate + "public_url: https://video.example\ndata_dir: ''", "data_dir"},
		{"somewhere", certificate + "public_url: https://video.example\ndata_dir: data", "data_dir"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := config.LoadServer([]byte(tt.document), nil)
			got := ""
			if err != nil {
				got, _, _ = strings.Cut(err.Error(), ":")
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("more than one error: %v", err)
				}
			} else if err := cfg.ValidateServer(); err != nil {
				t.Errorf("loaded, but not valid: %v", err)
			}
			if got != tt.want {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	const canary = "canary-7c1f"
	type wrapper struct{ inner config.Secret }
	s := config.NewSecret(canary)
	cfg := config.Default()
	cfg.Signaling.TokenKey, cfg.Signaling.InvitationSecret = s, s
	jsonText, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	yamlText, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "config", cfg)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "config", cfg)
	outputs := map[string]string{
		"json": string(jsonText), "yaml": string(yamlText), "slog": log.String(), "redacted": cfg.Redacted(),
		"error": fmt.Errorf("secret %v %q", s, s).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
		outputs[verb] = fmt.Sprintf(verb, s) + fmt.Sprintf(verb, &s) + fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, wrapper{s})
	}
	for name, out := range outputs {
		if strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	if got, want := fmt.Sprint(s), "***"; got != want {
		t.Errorf("Sprint is %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(config.Secret{}), ""; got != want {
		t.Errorf("Sprint of the empty secret is %q, want %q", got, want)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("listen: ':1'", "BEDSIDE_LISTEN=:2")
	f.Add("signaling: {api_keys: [{id: 1}]}", "BEDSIDE_SIGNALING_API_KEYS=[{id: [}]")
	f.Add("sfu: 3", "BEDSIDE_SFU_SSRC_LIMIT=x")
	f.Fuzz(func(t *testing.T, document, variable string) {
		cfg, err := config.Load([]byte(document), []string{variable})
		if err == nil && cfg.Validate() != nil {
			t.Errorf("loaded, but not valid: %v", cfg.Validate())
		}
	})
}
