package browser_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// isolatedEnv is what a test in the client's namespace has to know. The server refuses variables that begin
// like its own.
const isolatedEnv = "ISOLATED_FROM_BEDSIDE"

// isolated is a server's network namespace and a client's with one wire between them, and a firewall at
// the server's end of it.
type isolated struct {
	ServerSpace, ClientSpace string
	Server, Client           string // addresses
	Port                     int
}

// isolate makes the namespaces for one test, and runs another test of this package in the client's.
func isolate(t *testing.T, test string) {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "certutil"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: apt-get install iproute2 nftables libnss3-tools", tool)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root")
	}
	w := takeIsolated(t)
	for _, space := range []string{w.ServerSpace, w.ClientSpace} {
		// The kernel's own neighbour discovery is not what is counted.
		tool(t, "", "ip", "netns", "exec", space, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
		tool(t, "", "ip", "-n", space, "link", "set", "lo", "up")
	}
	tool(t, "", "ip", "-n", w.ServerSpace, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", w.ClientSpace)
	for space, addresses := range map[string][2]string{w.ServerSpace: {w.Server, w.Client}, w.ClientSpace: {w.Client, w.Server}} {
		tool(t, "", "ip", "-n", space, "addr", "add", addresses[0]+"/24", "dev", "wire")
		tool(t, "", "ip", "-n", space, "link", "set", "wire", "up")
		tool(t, "", "ip", "-n", space, "route", "add", "default", "via", addresses[1])
	}
	what, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inside := exec.Command("ip", "netns", "exec", w.ClientSpace, self, "-test.run=^"+test+"$", "-test.v")
	inside.Env = append(os.Environ(), isolatedEnv+"="+string(what))
	out, err := inside.CombinedOutput()
	t.Logf("in the client's namespace:\n%s", out) // at once: .ci/summary.awk finds a test's own words by their indent
	if err != nil {
		t.Error("in the client's namespace: ", err)
	}
}

// takeIsolated makes the two namespaces, with a number that no other run of these tests has, or had when it was killed.
func takeIsolated(t *testing.T) isolated {
	t.Helper()
	const numbers = 250
	for try := range numbers {
		n := 1 + (os.Getpid()+try)%numbers
		w := isolated{
			ServerSpace: fmt.Sprintf("bedside-server-%d", n), ClientSpace: fmt.Sprintf("bedside-client-%d", n),
			Server: fmt.Sprintf("10.89.%d.1", n), Client: fmt.Sprintf("10.89.%d.2", n), Port: 8443,
		}
		if takeNamespace(t, w.ServerSpace) && takeNamespace(t, w.ClientSpace) {
			return w
		}
	}
	t.Fatalf("%d numbers of namespaces are taken", numbers)
	return isolated{}
}

// takeNamespace makes a network namespace for one test, unless there is one of that name.
func takeNamespace(t *testing.T, name string) bool {
	t.Helper()
	switch out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); {
	case err == nil:
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name).Run() })
		return true
	case !strings.Contains(string(out), "File exists"):
		t.Fatalf("ip netns add %s: %v\n%s", name, err, out)
	}
	return false
}

// isolatedHere is what isolate handed over, if it did.
func isolatedHere(t *testing.T) (w isolated, inside bool) {
	t.Helper()
	text := os.Getenv(isolatedEnv)
	if text == "" {
		return w, false
	}
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		t.Fatal(err)
	}
	return w, true
}

// tool runs a command that has to succeed, and returns what it printed.
func tool(t *testing.T, input, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Stdin = strings.NewReader(input)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// firewall lets nothing but the server's port through, by UDP only if it may, and counts what the server
// sends to anybody but the client.
func (w isolated) firewall(t *testing.T, udp bool) {
	t.Helper()
	byUDP := ""
	if udp {
		byUDP = fmt.Sprintf("udp dport %d accept", w.Port)
	}
	tool(t, fmt.Sprintf(`
table inet bedside
delete table inet bedside
table inet bedside {
	counter blocked { }
	counter unexpected { }
	chain in {
		type filter hook input priority 0; policy drop;
		iifname "lo" accept
		tcp dport %[1]d accept
		%[2]s
		counter name blocked drop
	}
	chain out {
		type filter hook output priority 0; policy drop;
		oifname "lo" accept
		ip daddr %[3]s tcp sport %[1]d accept
		ip daddr %[3]s udp sport %[1]d accept
		counter name unexpected drop
	}
}`, w.Port, byUDP, w.Client), "ip", "netns", "exec", w.ServerSpace, "nft", "-f", "-")
}

// counted is how many packets a counter of the firewall has seen since the rules were made.
func (w isolated) counted(t *testing.T, name string) int {
	t.Helper()
	out := tool(t, "", "ip", "netns", "exec", w.ServerSpace, "nft", "list", "counter", "inet", "bedside", name)
	m := regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no counter in %s", out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// authority is a hospital's own certificate authority.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Hospital CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// certify writes cert.pem and key.pem for an address into a directory.
func (a authority) certify(t *testing.T, dir, address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Bedside"}, IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "cert.pem"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(dir, "key.pem"), "PRIVATE KEY", secret)
}

// trust puts the authority into a browser's database of those it trusts.
func (a authority) trust(t *testing.T, database string) {
	t.Helper()
	if err := os.MkdirAll(database, 0o700); err != nil {
		t.Fatal(err)
	}
	tool(t, "", "certutil", "-d", "sql:"+database, "-N", "--empty-password")
	tool(t, "", "certutil", "-d", "sql:"+database, "-A", "-t", "C,,", "-n", "hospital", "-i", a.file)
}
