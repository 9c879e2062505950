// Package client is the scheduling API for Go programs: it opens consultations, hands out links,
// changes and cancels them, and reads the audit log.
//
//	c, err := client.New("https://video.hospital.example", key, client.Options{})
//	opened, err := c.Create(ctx, client.NewConsultation{…})
//
// Requests that may be repeated without harm are, a few times, when the server or the network asks
// for it. Errors of the server are a *Problem with a stable Code.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultTimeout  = 10 * time.Second
	defaultAttempts = 4
	// firstPause doubles with every attempt. Schedulers that were refused together come back apart:
	// half of each pause is random.
	firstPause = 250 * time.Millisecond
	// longestPause is the longest that a server may ask to wait by Retry-After. For more, the caller
	// is told at once and decides.
	longestPause = 30 * time.Second
	// maxAnswerBytes is far above the largest answer, a page of 1,000 audit records.
	maxAnswerBytes = 8 << 20
)

// ErrBaseURL tells that New was given no URL that an API key may be sent to: http is for servers on
// the same machine only.
var ErrBaseURL = errors.New("not an https:// URL of a server")

// Options are what may be left out.
type Options struct {
	// HTTP makes the requests; by default a client that follows no redirects: the API has none.
	HTTP *http.Client
	// Timeout bounds each attempt, 10 s by default. The context bounds all of them together.
	Timeout time.Duration
	// Attempts is how often a request that may be repeated is made at most, 4 by default.
	Attempts int
}

// Client makes requests for one API key. It is immutable and safe for concurrent use.
type Client struct {
	base     *url.URL
	key      string
	http     *http.Client
	timeout  time.Duration
	attempts int
}

// New returns a client of the server at baseURL, such as https://video.hospital.example. It makes no
// request.
func New(baseURL, apiKey string, o Options) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("client: %w", ErrBaseURL)
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !isLoopback(base.Hostname())) {
		return nil, fmt.Errorf("client: %w", ErrBaseURL)
	}
	c := &Client{base: base, key: apiKey, http: o.HTTP, timeout: o.Timeout, attempts: o.Attempts}
	if c.http == nil {
		c.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.attempts <= 0 {
		c.attempts = defaultAttempts
	}
	return c, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}

// request is one call of the API.
type request struct {
	method string
	path   []string // segments after /v1
	query  url.Values
	body   any // nil for none
	// repeatable is what may be made again when nobody knows whether it has had its effect.
	repeatable bool
}

// do makes the request, as often as it takes, and decodes the answer into out, which may be nil.
func (c *Client) do(ctx context.Context, r request, out any) error {
	if slices.ContainsFunc(r.path, notSegment) {
		return fmt.Errorf("client: %s: no such id: %w", r, ErrNotFound)
	}
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("client: %s: %w", r, err)
		}
	}
	for attempt := 1; ; attempt++ {
		again, err := c.once(ctx, r, body, out)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("client: %s: %w", r, err)
		pause := max(again, backoff(attempt))
		end, bounded := ctx.Deadline()
		tooLate := ctx.Err() != nil || bounded && time.Until(end) < pause
		if !r.repeatable || again == never || attempt == c.attempts || tooLate || pause > longestPause {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		}
	}
}

// notSegment finds what would make another path of a path: "..", for one, would cancel a whole
// consultation instead of revoking a link.
func notSegment(s string) bool {
	return s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

// never is the pause before something that would go wrong again.
const never time.Duration = -1

// once makes one attempt. After a failure it returns how long the server asks to wait before the
// next, 0 when it says nothing, or never.
func (c *Client) once(ctx context.Context, r request, body []byte, out any) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := c.base.JoinPath(append([]string{"v1"}, r.path...)...)
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(body))
	if err != nil {
		return never, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return never, withoutURL(err)
	case err != nil:
		return 0, withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return retryAfter(resp), problemOf(resp, answer)
	}
	if out == nil {
		return 0, nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return never, fmt.Errorf("decode the answer: %w", err)
	}
	return 0, nil
}

// withoutURL leaves out the address that net/http repeats: an external id may be in it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// retryAfter is how long an answer asks to wait (RFC 9110 section 10.2.3), or never.
func retryAfter(resp *http.Response) time.Duration {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return never
	}
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// backoff is the pause after an attempt about which the server has said nothing.
func backoff(attempt int) time.Duration {
	whole := firstPause << (attempt - 1)
	return whole/2 + rand.N(whole/2)
}

// String names the request without ids: it goes into errors, which go into logs.
func (r request) String() string {
	names := make([]string, len(r.path))
	for i, segment := range r.path {
		if names[i] = segment; i%2 == 1 {
			names[i] = "{id}"
		}
	}
	return r.method + " /v1/" + strings.Join(names, "/")
}
