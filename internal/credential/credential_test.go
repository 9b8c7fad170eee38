package credential

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0EzFVqUsMqLfnGhO7hyjwDuJH0g8yT5o2HIcWHSZlu me@host"

func TestCleanPath(t *testing.T) {
	for p, want := range map[string]string{
		"~/.netrc": "~/.netrc", ".netrc": "~/.netrc", "~//a/./b/": "~/a/b", "/etc/npmrc": "/etc/npmrc", "/etc//a/b": "/etc/a/b",
		"a..b": "~/a..b", "~/é": "~/é",
	} {
		if got, err := CleanPath(p); got != want || err != nil {
			t.Errorf("%q: %q, %v", p, got, err)
		}
	}
	for _, p := range []string{
		"", ".", "~", "~/", "/", "/etc", "/etc/", "/etc/.", "/etcetera", "/root/.netrc", "/home/dev/x", "~root/x",
		"../x", "~/../x", "~/a/../../x", "/etc/../root/x", "a\nb", "a\x00b", "\xff", "~/" + strings.Repeat("a", MaxPath),
	} {
		if got, err := CleanPath(p); err == nil {
			t.Errorf("%q was taken as %q", p, got)
		}
	}
}

// What is taken is its own one form, and leads nowhere else.
func FuzzCleanPath(f *testing.F) {
	for _, p := range []string{"~/.netrc", "/etc/x", "../x", "a//b", "\xff"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		got, err := CleanPath(p)
		if err != nil {
			return
		}
		again, err := CleanPath(got)
		if again != got || err != nil {
			t.Errorf("%q became %q and then %q, %v", p, got, again, err)
		}
		rest := strings.TrimPrefix(strings.TrimPrefix(got, Home), Etc)
		for _, part := range strings.Split(rest, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\x00\n") {
				t.Errorf("%q became %q", p, got)
			}
		}
	})
}

func TestCheckKey(t *testing.T) {
	if err := CheckKey(key); err != nil {
		t.Error(err)
	}
	for _, line := range []string{
		"", "ssh-ed25519", "ssh-ed25519 x", "ssh-rsa " + strings.Fields(key)[1], "command=\"x\" " + key, key + "\nssh-rsa x",
		"ssh-ed25519-cert-v01@openssh.com " + strings.Fields(key)[1], "-----BEGIN OPENSSH PRIVATE KEY-----", key + strings.Repeat("x", MaxKey),
		"ssh-x " + base64.StdEncoding.EncodeToString([]byte{0xff, 0xff, 0xff, 0xff, 1}),
	} {
		if CheckKey(line) == nil {
			t.Errorf("%.60q was taken", line)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add(key)
	f.Add("ssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, line string) {
		if CheckKey(line) == nil && (strings.ContainsAny(line, "\n\r\x00") || !strings.Contains(line, " ")) {
			t.Errorf("%q was taken", line)
		}
	})
}

func TestCheck(t *testing.T) {
	file := func(path string, size int) File { return File{Path: path, Mode: 0o600, Data: make(Secret, size)} }
	good := Set{Git: &Git{"A B", "a@b"}, Keys: []string{key}, Files: []File{file("~/a", MaxFile), file("/etc/b", MaxFile)}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if b, err := json.Marshal(good); err != nil || len(b) > 1<<20-64<<10 {
		t.Errorf("it is %d bytes of JSON, %v", len(b), err)
	}
	many := Set{}
	for i := range MaxFiles + 1 {
		many.Files = append(many.Files, file(fmt.Sprintf("~/%d", i), 1))
	}
	for name, s := range map[string]Set{
		"a line break":   {Git: &Git{Name: "a\n[core]"}},
		"a long address": {Git: &Git{Email: strings.Repeat("a", MaxWord+1)}},
		"no key":         {Keys: []string{"x"}},
		"many keys":      {Keys: make([]string, MaxKeys+1)},
		"a large file":   {Files: []File{file("~/a", MaxFile+1)}},
		"too much":       {Files: []File{file("~/a", MaxFile), file("~/b", MaxFile), file("~/c", 1)}},
		"two":            {Files: []File{file("~/a", 1), file("~/a", 1)}},
		"an odd path":    {Files: []File{file("~/a/../b", 1)}},
		"another form":   {Files: []File{file("a", 1)}},
		"no mode":        {Files: []File{{Path: "~/a"}}},
		"setuid":         {Files: []File{{Path: "~/a", Mode: 0o4755}}},
		"many files":     many,
	} {
		if s.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// No way to print a file shows what is in it.
func TestSecretsAreNotPrinted(t *testing.T) {
	s := Set{Files: []File{{Path: "~/a", Mode: 0o600, Data: Secret("hunter2")}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, s); strings.Contains(got, "hunter2") || strings.Contains(got, "68756e74") || strings.Contains(got, "104") {
			t.Errorf("%s: %s", verb, got)
		}
	}
}

func TestSource(t *testing.T) {
	f, err := Source{Host: "~/.config/gh/hosts.yml"}.Target()
	if err != nil || f.Path != "~/.config/gh/hosts.yml" || f.Mode != DefaultMode {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = Source{Host: "/run/secrets/x", Guest: "y", Mode: 0o640}.Target()
	if err != nil || f.Path != "~/y" || f.Mode != 0o640 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, s := range []Source{{}, {Host: "x"}, {Host: "/run/x"}, {Host: "~/../x"}, {Host: "~/x", Guest: "/usr/x"}} {
		if (Settings{Files: []Source{s}}).Check() == nil {
			t.Errorf("%+v was taken", s)
		}
	}
	var m Mode
	for _, text := range []string{"", "0", "8", "-1", "01000", "rw"} {
		if m.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
