package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// renewBefore is when a certificate that still holds is worth a warning: Let's Encrypt renews 30 days
// before the end, so that with 21 left it has failed for a week.
const renewBefore = 21 * 24 * time.Hour

// checkCertificate looks at the configured certificate as a browser would.
func (h host) checkCertificate(context.Context) []finding {
	if h.cfg.TLS.CertFile == "" {
		return nil // checkPublicURL has said so
	}
	u, err := url.Parse(h.cfg.PublicURL)
	if err != nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(h.cfg.TLS.CertFile, h.cfg.TLS.KeyFile)
	if err != nil {
		// crypto/tls says which of the files, and whether key and certificate belong together.
		return []finding{fail("certificate", err.Error(), "give tls.cert_file (with the chain) and its own tls.key_file, both PEM")}
	}
	return judgeCertificate(pair, u.Hostname(), h.clock())
}

func judgeCertificate(pair tls.Certificate, name string, now time.Time) []finding {
	const check = "certificate"
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return []finding{fail(check, err.Error(), "give a certificate in PEM")}
	}
	found := []finding{judgeDates(leaf, now)}
	if err := leaf.VerifyHostname(name); err != nil {
		found = append(found, fail(check, fmt.Sprintf("is for %s, not for %s of public_url", or(names(leaf), "no name"), name),
			"get a certificate for "+name+", or correct public_url"))
	} else {
		found = append(found, ok(check, "covers %s", name))
	}
	return append(found, judgeChain(pair, leaf))
}

func judgeDates(leaf *x509.Certificate, now time.Time) finding {
	const check, day = "certificate", "2006-01-02"
	switch left := leaf.NotAfter.Sub(now); {
	case now.Before(leaf.NotBefore):
		return fail(check, "is not valid before "+leaf.NotBefore.UTC().Format(time.RFC3339), "set the clock, or wait")
	case left <= 0:
		return fail(check, "ended on "+leaf.NotAfter.UTC().Format(day)+": browsers refuse the page", "renew it now")
	case left < renewBefore:
		return warn(check, fmt.Sprintf("ends in %s, on %s", until(now, leaf.NotAfter), leaf.NotAfter.UTC().Format(day)), "renew it; the server takes the new files while it runs")
	}
	return ok(check, "ends in %s, on %s", until(now, leaf.NotAfter), leaf.NotAfter.UTC().Format(day))
}

// judgeChain finds the mistake that works on the administrator's machine and fails on phones: the
// intermediate certificates are missing from the file.
func judgeChain(pair tls.Certificate, leaf *x509.Certificate) finding {
	const check = "certificate"
	issued := leaf
	for i, der := range pair.Certificate[1:] {
		next, err := x509.ParseCertificate(der)
		if err != nil {
			return fail(check, fmt.Sprintf("number %d of the chain: %v", i+2, err), "give the chain as the authority gave it")
		}
		if err := issued.CheckSignatureFrom(next); err != nil {
			return fail(check, fmt.Sprintf("number %d of the chain has not signed number %d", i+2, i+1),
				"order tls.cert_file: the server's certificate first, then each that signed the one before")
		}
		issued = next
	}
	switch {
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return warn(check, "is signed by itself: browsers warn, and phones may refuse camera and microphone",
			"use one of an authority that the browsers trust; a hospital's own will do where it is installed")
	case len(pair.Certificate) == 1:
		return warn(check, "comes without a chain: right only if "+leaf.Issuer.String()+" is known to every browser itself",
			"put the intermediate certificates behind it in tls.cert_file (fullchain.pem)")
	}
	return ok(check, "comes with a chain of %d, in order", len(pair.Certificate))
}

func names(leaf *x509.Certificate) string {
	list := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	return strings.Join(list, ", ")
}
