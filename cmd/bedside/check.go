package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bedside-video/bedside/config"
)

// status is how a finding is to be taken.
type status string

// A warning is what an administrator should know of; the server runs. A failure is what it does not
// run with, or not safely.
const (
	statusOK   status = "ok"
	statusWarn status = "warn"
	statusFail status = "FAIL"
)

// finding is what one check has found.
type finding struct {
	Check  string `json:"check"` // stable: "port", "certificate", …
	Status status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to do about it
}

func ok(check, format string, args ...any) finding {
	return finding{Check: check, Status: statusOK, Detail: fmt.Sprintf(format, args...)}
}

// warn and fail take what is wrong and what to do.
func warn(check, detail, fix string) finding {
	return finding{Check: check, Status: statusWarn, Detail: detail, Fix: fix}
}

func fail(check, detail, fix string) finding {
	return finding{Check: check, Status: statusFail, Detail: detail, Fix: fix}
}

// host is the machine and the configuration that are checked.
type host struct {
	world
	cfg        config.Config
	configFile string // "" when the environment is all there is
	proc       string // /proc, a directory of their own in tests
	space      func(dir string) (free, total uint64, known bool)
	uid        int // of this process; the server's is the same, if the check was started rightly
	build      build
}

// result is everything that a check has to say.
type result struct {
	Build    build          `json:"build"`
	Config   string         `json:"config_file,omitempty"`
	Findings []finding      `json:"findings"`
	Firewall []firewallRule `json:"firewall"`
	Report   *report        `json:"report,omitempty"`

	port string // of all that is let through
}

func checkCommand(w world) *cobra.Command {
	var file string
	var asJSON, withReport bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, ports, certificate, clock, disk and permissions; print the firewall rules",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			h := host{world: w, configFile: file, proc: "/proc", space: diskSpace, uid: os.Getuid(), build: thisBuild()}
			var err error
			if h.cfg, err = readConfig(file, os.Environ()); err != nil {
				return err // the configuration is wrong: exit code 2
			}
			r := h.check(c.Context())
			if withReport {
				r.Report = newReport(h.cfg)
			}
			return does(func(context.Context) error { return r.show(w, asJSON) })(c, nil)
		},
	}
	c.Flags().StringVar(&file, "config", "", "the configuration file of the server")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&withReport, "report", false, "print the effective configuration and the security settings, too")
	return c
}

// readConfig reads what a server started with this file and environment would.
func readConfig(file string, environ []string) (config.Config, error) {
	var document []byte
	if file != "" {
		var err error
		if document, err = os.ReadFile(file); err != nil {
			return config.Config{}, fmt.Errorf("read the configuration: %w", err)
		}
	}
	return config.LoadServer(document, environ)
}

// check asks everything there is to ask, in the order in which a server would run into it.
func (h host) check(ctx context.Context) result {
	r := result{Build: h.build, Config: h.configFile, Firewall: firewallRules(h.cfg)}
	_, r.port, _ = net.SplitHostPort(h.cfg.Listen)
	r.Findings = append(r.Findings, ok("configuration", "no errors"))
	for _, check := range []func(context.Context) []finding{
		h.checkFiles, h.checkPorts, h.checkPublicURL, h.checkAddresses, h.checkReach, h.checkCertificate,
		h.checkClock, h.checkData, h.checkLimits, h.checkGSO,
	} {
		r.Findings = append(r.Findings, check(ctx)...)
	}
	return r
}

// show prints the result and returns an error when something failed.
func (r result) show(w world, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(w, r)
	} else {
		err = r.print(w.out)
	}
	failed := 0
	for _, f := range r.Findings {
		if f.Status == statusFail {
			failed++
		}
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d checks failed", failed, len(r.Findings))
	}
	return err
}

func (r result) print(to io.Writer) error {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "bedside %s, configuration: %s\n\n", r.Build.Version, or(r.Config, "the environment and defaults"))
	for _, f := range r.Findings {
		_, _ = fmt.Fprintf(&b, "%-4s  %-13s  %s\n", f.Status, f.Check, f.Detail)
		if f.Fix != "" {
			_, _ = fmt.Fprintf(&b, "      %-13s  -> %s\n", "", f.Fix)
		}
	}
	b.WriteString("\n")
	printFirewall(&b, r.Firewall, r.port)
	if r.Report != nil {
		b.WriteString("\n")
		r.Report.print(&b)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

const (
	// The others of a machine may read nothing that holds a secret, and write nothing that the server
	// believes.
	othersAny   os.FileMode = 0o007
	groupAny    os.FileMode = 0o070
	groupWrite  os.FileMode = 0o020
	othersWrite os.FileMode = 0o002
)

// checkFiles looks at who may read and write what the server trusts.
func (h host) checkFiles(context.Context) []finding {
	var found []finding
	if h.configFile != "" {
		secret := h.cfg.Signaling.InvitationSecret.Reveal() != "" || h.cfg.Signaling.TokenKey.Reveal() != ""
		found = append(found, h.checkFile(h.configFile, secret))
	}
	if h.cfg.TLS.KeyFile != "" {
		found = append(found, h.checkFile(h.cfg.TLS.KeyFile, true), h.checkFile(h.cfg.TLS.CertFile, false))
	}
	keys, _ := filepath.Glob(filepath.Join(h.cfg.DataDir, "keys", "*")) // no keys yet: nothing to check
	for _, k := range keys {
		found = append(found, h.checkOwn(k, 0o600))
	}
	return found
}

// checkFile checks a file that the administrator has put there.
func (h host) checkFile(name string, secret bool) finding {
	const check = "files"
	info, err := os.Stat(name) // what a link leads to: certificates are often links
	if err != nil {
		return fail(check, fmt.Sprintf("%s: %v", name, errors.Unwrap(err)), "let the server's user read it")
	}
	mode := info.Mode().Perm()
	if f, err := os.Open(name); err != nil {
		return fail(check, fmt.Sprintf("%s: %v", name, errors.Unwrap(err)), "let the server's user read it: chgrp bedside "+name+"; chmod 640 "+name)
	} else {
		_ = f.Close()
	}
	if mode&(groupWrite|othersWrite) != 0 {
		return fail(check, fmt.Sprintf("%s may be changed by others (%#o)", name, mode), "chmod go-w "+name)
	}
	if secret && mode&othersAny != 0 {
		return fail(check, fmt.Sprintf("%s holds a secret that everybody on this machine may read (%#o)", name, mode), "chmod o= "+name)
	}
	return ok(check, "%s: %#o", name, mode)
}

// checkOwn checks a file or directory that the server has made for itself alone.
func (h host) checkOwn(name string, want os.FileMode) finding {
	const check = "files"
	info, err := os.Lstat(name)
	if err != nil {
		return fail(check, fmt.Sprintf("%s: %v", name, errors.Unwrap(err)), "let the server's user read it")
	}
	if mode := info.Mode().Perm(); mode&(groupAny|othersAny) != 0 {
		return fail(check, fmt.Sprintf("%s is open to other users (%#o)", name, mode), fmt.Sprintf("chmod %#o %s", want, name))
	}
	if owner, known := ownerOf(info); known && owner != h.uid {
		detail := fmt.Sprintf("%s belongs to user %d, and this check runs as user %d", name, owner, h.uid)
		if h.uid == 0 {
			return warn(check, detail, "run the check as the server's user: runuser -u bedside -- bedside check …")
		}
		return fail(check, detail, fmt.Sprintf("chown %d %s, or run as that user", h.uid, name))
	}
	return ok(check, "%s: %#o, for the server alone", name, info.Mode().Perm())
}

// until says how long it is until t, for people.
func until(now, t time.Time) string {
	d := t.Sub(now)
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d/(24*time.Hour)))
}
