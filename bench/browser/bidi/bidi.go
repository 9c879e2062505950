// Package bidi drives stock Firefox over WebDriver BiDi, which the browser serves itself: no
// geckodriver, no Node. It holds what the tests of a call need and no more.
//
// https://www.w3.org/TR/webdriver-bidi/ names the commands.
package bidi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNotListening tells that Firefox ended before it could be driven.
var ErrNotListening = errors.New("firefox ended before it listened")

// closeTimeout is how long a browser may take to end before it is killed.
const closeTimeout = 5 * time.Second

// Options say which browser to start.
type Options struct {
	// Path is that of the executable.
	Path string
	// Profile is an empty directory of the caller's.
	Profile string
	// Prefs are added to those that an unattended call needs.
	Prefs map[string]any
	// Log is called, in order, for everything that pages write to their consoles and for every
	// error they do not catch. It must not wait for the browser. It may be nil.
	Log func(Entry)
}

// Entry is one line of a page's console.
type Entry struct {
	Tab   string // the id of the tab
	Level string // debug, info, warn, error
	Text  string
}

// prefs are what an unattended call needs: a camera (a flat, slowly changing colour at 30 frames a
// second), a microphone (a tone), no questions, and no requests of the browser's own.
func prefs() map[string]any {
	return map[string]any{
		"media.navigator.streams.fake":                  true,
		"media.navigator.permission.disabled":           true,
		"media.autoplay.default":                        0, // allowed
		"media.volume_scale":                            "0.0",
		"media.gmp-manager.url":                         "data:,",
		"app.update.enabled":                            false,
		"browser.shell.checkDefaultBrowser":             false,
		"network.captive-portal-service.enabled":        false,
		"network.connectivity-service.enabled":          false,
		"services.settings.server":                      "data:,",
		"toolkit.telemetry.enabled":                     false,
		"datareporting.policy.dataSubmissionEnabled":    false,
		"browser.safebrowsing.downloads.remote.enabled": false,
		// Pages of a test are never in the foreground.
		"dom.min_background_timeout_value":           4,
		"dom.timeout.enable_budget_timer_throttling": false,
	}
}

// Browser is one headless Firefox with one BiDi session. Its methods may be called at the same time.
type Browser struct {
	process *exec.Cmd
	conn    *conn
	drained chan struct{} // closed when nothing more comes from its standard error
}

// Start starts a browser, which lives until Close. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Browser, error) {
	if err := writePrefs(o); err != nil {
		return nil, err
	}
	b := &Browser{
		process: exec.Command(o.Path, "--headless", "--no-remote", "--profile", o.Profile, "--remote-debugging-port", "0"),
		drained: make(chan struct{}),
	}
	errs, err := b.process.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("bidi: %w", err)
	}
	if err := b.process.Start(); err != nil {
		return nil, fmt.Errorf("bidi: start firefox: %w", err)
	}
	listening := make(chan string, 1)
	go b.runDrain(errs, listening)
	if err := b.connect(ctx, listening, o.Log); err != nil {
		b.kill()
		return nil, err
	}
	return b, nil
}

func writePrefs(o Options) error {
	all := prefs()
	maps.Copy(all, o.Prefs)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value, err := json.Marshal(all[name])
		if err != nil {
			return fmt.Errorf("bidi: preference %s: %w", name, err)
		}
		fmt.Fprintf(&text, "user_pref(%q, %s);\n", name, value)
	}
	if err := os.WriteFile(filepath.Join(o.Profile, "user.js"), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("bidi: write the profile: %w", err)
	}
	return nil
}

// runDrain finds the address that Firefox prints and reads on, so that it can write on. listening is
// closed without a value if there is none.
func (b *Browser) runDrain(errs io.Reader, listening chan<- string) {
	defer close(b.drained)
	lines := bufio.NewScanner(errs)
	for lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "WebDriver BiDi listening on "); ok {
			listening <- address
			break
		}
	}
	close(listening)
	_, _ = io.Copy(io.Discard, errs)
}

func (b *Browser) connect(ctx context.Context, listening <-chan string, log func(Entry)) error {
	var address string
	select {
	case address = <-listening:
	case <-ctx.Done():
		return fmt.Errorf("bidi: wait for firefox: %w", ctx.Err())
	}
	if address == "" {
		return fmt.Errorf("bidi: %w", ErrNotListening)
	}
	var err error
	if b.conn, err = dial(ctx, address+"/session", log); err != nil {
		return err
	}
	type capabilities struct {
		AcceptInsecureCerts bool `json:"acceptInsecureCerts"` // a person would click through the warning
	}
	var always struct {
		Capabilities struct {
			AlwaysMatch capabilities `json:"alwaysMatch"`
		} `json:"capabilities"`
	}
	always.Capabilities.AlwaysMatch.AcceptInsecureCerts = true
	if err := b.conn.call(ctx, "session.new", always, nil); err != nil {
		return err
	}
	return b.conn.call(ctx, "session.subscribe", map[string]any{"events": []string{"log.entryAdded"}}, nil)
}

// Close ends the browser and waits until it has gone.
func (b *Browser) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = b.conn.call(ctx, "browser.close", struct{}{}, nil) // it may be gone before it answers
	select {
	case <-b.drained:
	case <-ctx.Done():
	}
	b.kill()
}

// kill ends what is left.
func (b *Browser) kill() {
	if b.conn != nil {
		b.conn.close()
	}
	_ = b.process.Process.Kill()
	<-b.drained // Wait would close the pipe under it
	_ = b.process.Wait()
}
