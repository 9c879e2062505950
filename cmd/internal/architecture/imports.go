package architecture

import (
	"slices"
	"strings"
)

// A layer says what one package may import. Paths of ours are given from the module's root; a
// trailing /... stands for the package and all below it.
type layer struct {
	pkg  string
	pure bool     // decides without doing: see purity
	ours []string // packages of this module
	libs []string // for pure packages only: modules beside the standard library
	why  string
}

// layers is the module's shape. A package that is not here is a finding: say where it belongs.
func layers() []layer {
	rtp := []string{"github.com/pion/rtp", "github.com/pion/rtcp"}
	return []layer{
		{pkg: "cmd/bedside", ours: []string{"cmd/internal/command", "config", "signaling/...", "sfu/...", "turn/...", "recording/..."},
			why: "the command wires the server's parts and nothing else"},
		{pkg: "cmd/bedside/servetest", why: "a process is seen from outside"},
		{pkg: "cmd/bedside-bench", ours: []string{"cmd/internal/command", "bench", "bench/load", "bench/scenario", "bench/linkem", "bench/linkem/link", "bench/result", "bench/report", "bench/compare"},
			why: "the load generator's command is thin over bench"},
		{pkg: "config", why: "configuration is a leaf, so that every package can take its part by value"},
		{pkg: "cmd/internal/architecture", why: "the rules know packages by name only"},
		{pkg: "cmd/internal/command", why: "how a command begins and ends, whatever it does"},
		{pkg: "signaling", ours: []string{"config", "signaling/wire", "signaling/whip", "signaling/consult", "signaling/fhir", "signaling/store",
			"signaling/audit", "signaling/webhook", "sfu", "sfu/codec", "sfu/quality", "turn", "recording"},
			why: "signaling knows the media plane by its types; the page is wired in by the command"},
		{pkg: "signaling/client", ours: []string{"signaling/wire"}, why: "schedulers link the client without the server"},
		{pkg: "signaling/wire", pure: true, why: "clients and virtual clients share the protocol without the server"},
		{pkg: "signaling/consult", pure: true, ours: []string{"signaling/wire"}, why: "the clinical rules are decided without I/O"},
		{pkg: "signaling/whip", pure: true, why: "reading is a function of the text"},
		{pkg: "signaling/fhir", pure: true, ours: []string{"signaling/consult", "signaling/wire"}, why: "FHIR is a translation"},
		{pkg: "signaling/store", ours: []string{"config"}, why: "a store keeps bytes and knows nothing of what they mean"},
		{pkg: "signaling/store/jetstream", ours: []string{"signaling/store"}, why: "a store keeps bytes and knows nothing of what they mean"},
		{pkg: "signaling/store/storetest", ours: []string{"signaling/store"}, why: "the conformance suite tests any Store"},
		{pkg: "signaling/audit", ours: []string{"config"}, why: "the audit log depends on nothing that it audits"},
		{pkg: "signaling/webhook", ours: []string{"config"}, why: "delivery knows nothing of what it delivers"},
		{pkg: "signaling/web", why: "the pages talk to the server over HTTP, like anybody's"},

		{pkg: "sfu", ours: []string{"config", "sfu/codec", "sfu/forward", "sfu/slots", "sfu/layers", "sfu/bwe", "sfu/capacity", "sfu/pace",
			"sfu/opus", "sfu/quality", "sfu/redundancy", "sfu/transport", "sfu/twcc", "sfu/uplink", "sfu/port"}, why: "the media plane knows nothing of consultations"},
		{pkg: "sfu/codec", pure: true, libs: rtp, why: "parsing is a function of the packet"},
		{pkg: "sfu/forward", pure: true, ours: []string{"sfu/codec"}, libs: rtp, why: "renumbering is a function of the packets"},
		{pkg: "sfu/slots", pure: true, ours: []string{"sfu/codec"}, libs: rtp, why: "seating is a function of who is there"},
		{pkg: "sfu/layers", pure: true, ours: []string{"sfu/codec"}, libs: rtp, why: "allocation must be steppable"},
		{pkg: "sfu/bwe", pure: true, ours: []string{"sfu/codec", "sfu/twcc"}, libs: rtp, why: "estimation must be steppable"},
		{pkg: "sfu/capacity", pure: true, ours: []string{"sfu/bwe"}, libs: rtp, why: "how a path is filled and judged must be steppable"},
		{pkg: "sfu/pace", pure: true, ours: []string{"sfu/codec"}, libs: rtp, why: "the release schedule must be steppable"},
		{pkg: "sfu/redundancy", pure: true, ours: []string{"sfu/codec", "sfu/opus", "sfu/twcc"}, libs: rtp, why: "protection is a function of the loss measured"},
		{pkg: "sfu/opus", pure: true, ours: []string{"sfu/codec"}, libs: rtp, why: "a packet is bytes"},
		{pkg: "sfu/quality", pure: true, ours: []string{"sfu/codec"}, libs: rtp, why: "scores are functions of statistics"},
		{pkg: "sfu/uplink", pure: true, why: "what a path carries is a function of what came over it"},
		{pkg: "sfu/twcc", pure: true, why: "feedback is bytes"},
		{pkg: "sfu/transport", ours: []string{"config", "sfu/bwe", "sfu/codec", "sfu/pace", "sfu/port", "sfu/twcc"}, why: "one participant's connection knows no rooms"},
		{pkg: "sfu/port", ours: []string{"config", "sfu/port/plan"}, why: "the port knows datagrams, not what they carry"},
		{pkg: "sfu/port/plan", pure: true, why: "which datagrams go together is a function of their sizes and destinations"},
		{pkg: "turn", ours: []string{"config", "sfu/port", "turn/policy"}, why: "the relay knows nothing of calls"},
		{pkg: "turn/policy", pure: true, why: "who may relay what to whom is a function of what was granted"},
		{pkg: "recording", ours: []string{"config", "recording/seal", "recording/mkv", "sfu", "sfu/codec"}, why: "the recorder is a subscriber; the media plane never imports it"},
		{pkg: "recording/seal", pure: true, libs: []string{"filippo.io/age", "golang.org/x/crypto/chacha20poly1305"}, why: "sealing is bytes to bytes"},
		{pkg: "recording/mkv", pure: true, ours: []string{"sfu/codec"}, why: "writing a file is frames to bytes"},
		{pkg: "recording/bucket", why: "a bucket keeps bytes and knows nothing of what they mean"},
		{pkg: "recording/clip", ours: []string{"sfu/codec"}, why: "test media is packets and nothing else"},
		{pkg: "docs/examples/schedule", ours: []string{"signaling/client", "signaling/wire"}, why: "an example is what anybody could write"},

		{pkg: "bench", ours: []string{"signaling/wire", "sfu/codec", "bench/lean", "bench/scenario", "bench/linkem/...", "bench/hist", "bench/result"},
			why: "virtual clients see the server as browsers do"},
		{pkg: "bench/load", ours: []string{"bench", "bench/hist", "bench/lean", "bench/result", "bench/scenario", "bench/linkem/...", "signaling/client", "signaling/wire"},
			why: "a load generator is a black box, as those are whom it plays"},
		{pkg: "bench/hist", pure: true, why: "counting is arithmetic"},
		{pkg: "bench/result", pure: true, ours: []string{"signaling/wire", "bench/hist", "bench/scenario"},
			why: "what a run comes to is a function of what was seen"},
		{pkg: "bench/lean", ours: []string{"bench/batch"}, why: "a connection does not know what its packets mean"},
		{pkg: "bench/batch", why: "a socket knows datagrams only"},
		{pkg: "bench/report", pure: true, ours: []string{"bench/result", "bench/scenario"}, why: "a page is a function of the result"},
		{pkg: "bench/compare", pure: true, ours: []string{"bench/result", "bench/scenario"}, why: "comparing is arithmetic"},
		{pkg: "bench/scenario", pure: true, ours: []string{"signaling/wire", "bench/linkem/link"}, libs: []string{"go.yaml.in/yaml/v3"},
			why: "a scenario is data, in the words of the protocol"},
		{pkg: "bench/linkem", ours: []string{"bench/linkem/link", "bench/hist"}, why: "a link is emulated without knowing what crosses it"},
		{pkg: "bench/linkem/link", pure: true, why: "what befalls a packet is a function of the seed and the time"},
		{pkg: "bench/sim", ours: []string{"..."}, why: "the simulation holds everything, and only tests hold it"},
		{pkg: "bench/yardstick", ours: []string{"bench", "bench/yardstick/...", "signaling/wire"},
			why: "what is measured against is measured by the same clients, and shares nothing with the server"},
		{pkg: "bench/yardstick/plainpion", ours: []string{"bench/yardstick"}, why: "the yardstick is pion and nothing of ours"},
		{pkg: "bench/yardstick/floor", ours: []string{"bench/yardstick"}, why: "the floor shares nothing with the server"},
		{pkg: "bench/yardstick/shapes", why: "the loads are files"},
		{pkg: "bench/yardstick/rounds", ours: []string{"bench/result", "bench/scenario", "bench/yardstick/shapes"},
			why: "the comparison runs programs and reads what they write"},
		{pkg: "bench/yardstick/serve", ours: []string{"bench/yardstick/..."}, why: "the command starts one of them"},
		{pkg: "bench/browser", ours: []string{"signaling/wire", "bench", "bench/browser/bidi"}, why: "browsers see the server from outside"},
		{pkg: "bench/browser/bidi", why: "a browser is driven without knowing what for"},
	}
}

// shell lists the packages that may import what is a matter of one place.
func shell() []struct {
	lib   string
	users []string
	why   string
} {
	return []struct {
		lib   string
		users []string
		why   string
	}{
		{"github.com/pion/webrtc", []string{"sfu/transport", "bench", "bench/sim", "bench/yardstick/plainpion"},
			"the server is no PeerConnection; clients are, and the tests of its transport have one to talk to"},
		{"unsafe", []string{"sfu/port", "recording"}, "only system calls need it"},
		{"golang.org/x/sys", []string{"sfu/port", "bench/linkem", "bench/batch", "bench/load", "recording"},
			"only sockets, devices, disks and the CPUs of processes know the kernel: the port's, the recorder's, the load generator's, the tunnel's"},
		{"github.com/minio/minio-go", []string{"recording/bucket"}, "a bucket is asked through its interface"},
		{"github.com/nats-io", []string{"signaling/store/jetstream"}, "a store is asked through its interface"},
		{"github.com/spf13/viper", []string{"config"}, "configuration is loaded in one place"},
		{"github.com/spf13/cobra", []string{"cmd/bedside", "cmd/bedside-bench", "cmd/internal/command"}, "flags are the commands' affair"},
	}
}

// imports checks who imports whom.
func imports(f *file) []Finding {
	all := layers()
	i := slices.IndexFunc(all, func(l layer) bool { return l.pkg == f.pkg })
	if i < 0 {
		return []Finding{f.find(f.ast.Package, "layer", "package %s has no place: give it one in cmd/internal/architecture/imports.go", f.pkg)}
	}
	var found []Finding
	for _, spec := range f.ast.Imports {
		p := strings.Trim(spec.Path.Value, `"`)
		if own, ok := strings.CutPrefix(p, module); ok {
			if !slices.ContainsFunc(all[i].ours, func(allowed string) bool { return covers(allowed, own) }) {
				found = append(found, f.find(spec.Pos(), "import", "%s must not import %s: %s", f.pkg, own, all[i].why))
			}
			continue
		}
		if all[i].pure && !pureImport(p, all[i].libs) {
			found = append(found, f.find(spec.Pos(), "import", "%s is pure and must not import %s: %s", f.pkg, p, all[i].why))
		}
		for _, s := range shell() {
			if covers(s.lib+"/...", p) && !slices.Contains(s.users, f.pkg) {
				found = append(found, f.find(spec.Pos(), "import", "%s must not import %s: %s", f.pkg, p, s.why))
			}
		}
	}
	return found
}

// covers tells whether an entry of a layer allows the import of pkg.
func covers(allowed, pkg string) bool {
	tree, isTree := strings.CutSuffix(allowed, "...")
	tree = strings.TrimSuffix(tree, "/")
	return pkg == tree || isTree && (tree == "" || strings.HasPrefix(pkg, tree+"/"))
}

// pureImport tells whether a pure package may import a path that is not ours: the standard library
// without what acts or waits, and the libraries its layer names.
func pureImport(p string, libs []string) bool {
	if first, _, _ := strings.Cut(p, "/"); strings.Contains(first, ".") {
		return slices.ContainsFunc(libs, func(lib string) bool { return covers(lib+"/...", p) })
	}
	if p == "net/netip" || p == "net/url" {
		return true
	}
	for _, acts := range []string{
		"context", "crypto/rand", "database", "io/ioutil", "log", "math/rand", "net", "os",
		"plugin", "runtime", "sync", "syscall", "testing", "unsafe",
	} {
		if covers(acts+"/...", p) {
			return false
		}
	}
	return true
}
