package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/bedside-video/bedside/config"
)

// report is what an auditor asks for: what is configured, and what holds because of it.
type report struct {
	Security      []setting `json:"security"`
	Configuration string    `json:"configuration"` // YAML, secrets and hashes as "***"
}

// setting is one answer to one question.
type setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newReport(cfg config.Config) *report {
	r := &report{Configuration: cfg.Redacted()}
	add := func(name, format string, args ...any) {
		r.Security = append(r.Security, setting{name, fmt.Sprintf(format, args...)})
	}
	tls := "none: loopback only, a proxy on this machine must add it"
	if cfg.TLS.CertFile != "" || len(cfg.TLS.ACME.Domains) > 0 {
		tls = "TLS 1.2 or 1.3, forward secrecy and authenticated encryption only; plain HTTP answered on loopback only"
	}
	add("pages and API", "%s", tls)
	add("media", "DTLS 1.2 and SRTP with a key for each connection, AES-128-GCM first; encrypted to the server, which can see it")
	outgoing := "none: no STUN, telemetry, fonts, scripts or updates from elsewhere"
	if a := cfg.TLS.ACME; len(a.Domains) > 0 {
		outgoing = "certificates from " + a.Directory + ", which learns names, mail address and this server's address; nothing else"
	}
	add("outgoing connections", "%s", outgoing)
	add("link", "a secret of 128 bits, in the fragment of the URL, which browsers do not send; revocable")
	add("session token", "EdDSA, valid 60 s, once, never in a URL")
	add("secret of the links", "%s", source(cfg.Signaling.InvitationSecret, cfg.DataDir))
	add("key of the tokens", "%s", source(cfg.Signaling.TokenKey, cfg.DataDir))
	for _, k := range cfg.Signaling.APIKeys {
		add("API key "+k.ID, "tenant %s, scopes %s, from web pages of %s; kept as a SHA-256 hash",
			k.Tenant, strings.Join(k.Scopes, " "), or(strings.Join(k.Origins, " "), "none"))
	}
	if len(cfg.Signaling.APIKeys) == 0 {
		add("API keys", "none: nobody can open a consultation")
	}
	add("pages that may embed", "%s", or(strings.Join(cfg.Signaling.Origins, " "), "none but the server's own"))
	add("window to join", "%v before the start to %v after the end", cfg.Signaling.WindowLead, cfg.Signaling.WindowTrail)
	auditing := "what cannot be recorded is refused"
	if cfg.Audit.OnFailure == config.AuditAllow {
		auditing = "what cannot be recorded happens all the same, and the gap is logged"
	}
	add("audit log", "append-only, hash tree, signed; %s; counts as failed with less than %d %% of the disk free", auditing, cfg.Audit.MinFreePercent)
	add("names and titles", "in the consultation's record and the roster only; deleted 24 h after the end; never in logs, metrics or the audit log")
	add("recording", "not in this version")
	add("metrics", "%s", or(cfg.MetricsListen, "none"))
	return r
}

// source says where a secret comes from.
func source(s config.Secret, dataDir string) string {
	if s.Reveal() != "" {
		return "configured"
	}
	return "made at the first start, kept in " + dataDir + "/keys"
}

func (r *report) print(to io.Writer) {
	_, _ = fmt.Fprintln(to, "Security")
	for _, s := range r.Security {
		_, _ = fmt.Fprintf(to, "  %-22s  %s\n", s.Name, s.Value)
	}
	_, _ = fmt.Fprint(to, "\nEffective configuration\n")
	for line := range strings.Lines(r.Configuration) {
		_, _ = fmt.Fprint(to, "  ", line)
	}
}
