package bootstrap

import (
	"bufio"
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// source is a Debian repository.
type source struct {
	uri        string
	suite      string
	components []string
}

// line is the source in apt's one-line form. Only Debian's own keys are
// accepted: who merely calls itself Debian does not get into the image.
func (s source) line(keyring string) string {
	return fmt.Sprintf("deb [signed-by=%s] %s %s %s", keyring, s.uri, s.suite, strings.Join(s.components, " "))
}

// public is the source without a user name and password in its address.
func (s source) public() source {
	if u, err := url.Parse(s.uri); err == nil && u.User != nil {
		u.User = nil
		s.uri = u.String()
	}
	return s
}

// hostSuite returns the host's code name.
func hostSuite(osRelease string) (string, error) {
	f, err := os.Open(osRelease)
	if err != nil {
		return "", fault.New(fault.Precondition, "Run banger on Debian.", "this host cannot be identified: %w", err)
	}
	defer f.Close()
	fields := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), "="); ok {
			fields[key] = strings.Trim(value, `"'`)
		}
	}
	if fields["ID"] != "debian" || fields["VERSION_CODENAME"] == "" {
		return "", fault.New(fault.Precondition, "Run banger on Debian.",
			"the image is made of the host's Debian packages, but this host is %s", orUnknown(fields["PRETTY_NAME"]))
	}
	return fields["VERSION_CODENAME"], nil
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// indexFormat is a line per package index that apt knows.
const indexFormat = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)|$(ARCHITECTURE)"

// findSources asks apt for its Debian repositories of the suite.
func (b *Builder) findSources(ctx context.Context, suite string) ([]source, error) {
	if _, err := os.Stat(b.cfg.Keyring); err != nil {
		return nil, fault.New(fault.Precondition, "Install it with: sudo apt-get install debian-archive-keyring", "the keys of Debian's archive are missing: %w", err)
	}
	res, err := b.run.Run(ctx, hostexec.Cmd{
		Name: "apt-get", Args: []string{"indextargets", "--format", indexFormat, "Created-By: Packages"},
	})
	if err != nil {
		return nil, aptError(err)
	}
	sources := parseSources(string(res.Stdout), suite)
	if !slices.ContainsFunc(sources, func(s source) bool { return s.suite == suite && slices.Contains(s.components, "main") }) {
		return nil, fault.New(fault.Precondition, "Check /etc/apt/sources.list(.d), then sudo apt-get update.",
			"apt knows no Debian repository for %s, which the image is made of", suite)
	}
	return sources, nil
}

// parseSources takes the suite's repositories, its updates and its security
// fixes out of apt's list; other origins and suites are not Debian's release.
func parseSources(list, suite string) []source {
	var sources []source
	for line := range strings.Lines(list) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 5 || f[0] != "Debian" || f[4] != "amd64" {
			continue
		}
		// The code name, not what sources.list says: "stable" will be another
		// release one day.
		codename, component, uri := f[1], f[2], f[3]
		if codename != suite && codename != suite+"-updates" && codename != suite+"-security" {
			continue
		}
		if u, err := url.Parse(uri); err != nil || u.Scheme != "http" && u.Scheme != "https" || component == "" || strings.ContainsAny(uri+component, " []") {
			continue // a guest has neither our disks nor our CDs
		}
		at := slices.IndexFunc(sources, func(s source) bool { return s.uri == uri && s.suite == codename })
		if at < 0 {
			sources = append(sources, source{uri: uri, suite: codename})
			at = len(sources) - 1
		}
		if !slices.Contains(sources[at].components, component) {
			sources[at].components = append(sources[at].components, component)
		}
	}
	return sources
}
