package linkem

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/bedside-video/bedside/bench/linkem/link"
)

// Place is where an open Tunnel is, as Control says it first.
type Place struct {
	Namespace string     `json:"namespace"`
	Server    netip.Addr `json:"server"`
	Client    netip.Addr `json:"client"`
}

// Account is what Control answers to a command. Late is since the last account.
type Account struct {
	Error string `json:"error,omitempty"`
	Report
	Late Lateness `json:"late"`
}

// Control lets another process change a tunnel, so that this one need do nothing else. It writes the tunnel's
// Place, and for every line that it reads an Account, each as a line of JSON. It ends with its input.
//
//	both rate=384kbit,delay=25ms      the link in both directions; nothing behind the word is a perfect one
//	up loss=2%                        that from the client
//	down                              that to the client
//	report                            changes nothing
func Control(t *Tunnel, in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	if err := say.Encode(Place{t.Namespace, t.Server, t.Client}); err != nil {
		return fmt.Errorf("linkem: control: %w", err)
	}
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return lines.Err()
		}
		a := Account{}
		if err := t.command(lines.Text()); err != nil {
			a.Error = err.Error()
		}
		a.Report, a.Late = t.Report(), t.Late()
		if err := say.Encode(a); err != nil {
			return fmt.Errorf("linkem: control: %w", err)
		}
	}
}

// command carries out one line.
func (t *Tunnel) command(line string) error {
	word, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	if word == "report" && text == "" {
		return nil
	}
	shape, err := link.Parse(text)
	if err != nil {
		return err
	}
	switch word {
	case "both":
		return errors.Join(t.up.set(shape), t.down.set(shape))
	case "up":
		return t.up.set(shape)
	case "down":
		return t.down.set(shape)
	}
	return fmt.Errorf("linkem: control: %q: want both, up, down or report", line)
}
