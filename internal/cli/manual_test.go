package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/banger-vm/banger/internal/cli/app"
	"github.com/banger-vm/banger/internal/cli/man"
)

// manual writes all pages and returns their directory.
func manual(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "man1")
	footer := man.Footer{Version: "v1-2", Date: time.Date(2026, 11, 28, 23, 0, 0, 0, time.UTC)}
	if err := man.Write(newRoot(&app.App{}), footer, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// leaves are the commands that hold no others and are not hidden.
func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	if cmd.Hidden || cmd.Name() == "help" {
		return nil
	}
	for _, c := range cmd.Commands() {
		all = append(all, leaves(c)...)
	}
	if len(all) == 0 || strings.Contains(cmd.Use, " ") { // forward does something by itself
		all = append(all, cmd)
	}
	return all
}

// Every command has a page that names each of its flags; those below vm refer to
// their short forms.
func TestManualIsWhole(t *testing.T) {
	dir := manual(t)
	seen := []string{"banger.1"}
	for _, cmd := range leaves(newRoot(&app.App{})) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		seen = append(seen, name)
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if to, ok := bytes.CutPrefix(page, []byte(".so man1/")); ok {
			if want := strings.Replace(name, "banger-vm-", "banger-", 1); strings.TrimSpace(string(to)) != want {
				t.Errorf("%s refers to %s", name, to)
			}
			continue
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !bytes.Contains(page, []byte(`\fB\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)+`\fR`)) {
				t.Errorf("%s does not tell of --%s", name, f.Name)
			}
		})
		if i := bytes.IndexFunc(page, func(r rune) bool { return r > '~' }); i >= 0 {
			t.Errorf("%s is not ASCII: %.20q", name, page[i:])
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		group := strings.TrimSuffix(f.Name(), ".1")
		if !slices.Contains(seen, f.Name()) && !slices.ContainsFunc(seen, func(s string) bool { return strings.HasPrefix(s, group+"-") }) {
			t.Errorf("%s is of no command", f.Name())
		}
	}
	overview, err := os.ReadFile(filepath.Join(dir, "banger.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`.TH "BANGER" "1" "2026-11-28" "banger v1\-2" "banger"`, `.SH "EXIT STATUS"`, `.SH "ENVIRONMENT"`, `.SH "FILES"`, "BANGER_SOCKET", "config.toml", ".BR banger\\-run (1)"} {
		if !bytes.Contains(overview, []byte(want)) {
			t.Errorf("banger.1 lacks %s", want)
		}
	}
}

// What reads manual pages has nothing to say against them.
func TestManualIsClean(t *testing.T) {
	for _, c := range []struct {
		program string
		args    []string
	}{
		{"mandoc", []string{"-Tlint", "-Wwarning"}},
		{"groff", []string{"-man", "-Tutf8", "-ww", "-z"}},
		{"man", []string{"--warnings", "--local-file"}},
	} {
		t.Run(c.program, func(t *testing.T) {
			if _, err := exec.LookPath(c.program); err != nil {
				t.Skipf("%s is not installed", c.program)
			}
			pages, err := filepath.Glob(filepath.Join(manual(t), "*"))
			if err != nil || len(pages) < 30 {
				t.Fatalf("%d pages, %v", len(pages), err)
			}
			var whole []string // the others are a word for another page
			for _, page := range pages {
				if text, err := os.ReadFile(page); err == nil && !bytes.HasPrefix(text, []byte(".so ")) {
					whole = append(whole, page)
				}
			}
			if c.program == "man" { // it runs the others, slowly
				whole = whole[:2]
			}
			cmd := exec.Command(c.program, append(c.args, whole...)...)
			var complaints bytes.Buffer
			cmd.Env = append(os.Environ(), "MANPAGER=cat", "PAGER=cat", "MANWIDTH=80", "LC_ALL=C.UTF-8")
			cmd.Stderr = &complaints
			out, err := cmd.Output()
			if c.program == "mandoc" {
				complaints.Write(out)
			}
			if err != nil || complaints.Len() > 0 {
				t.Errorf("%v: %s", err, complaints.String())
			}
		})
	}
}

// A page as a reader sees it.
func TestManualPage(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("groff is not installed")
	}
	cmd := exec.Command("groff", "-man", "-Tascii", "-P-cbou", filepath.Join(manual(t), "banger-image-rm.1"))
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/banger-image-rm.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(out) != string(want) {
		t.Errorf("it is\n%s", out)
	}
}
