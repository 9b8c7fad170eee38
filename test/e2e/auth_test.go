package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sshKey makes the key id in dir and returns its public line.
func sshKey(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "id")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(line))
}

// A VM has its user's name, keys and credentials before its first command, and
// from its daemon alone after a restart; what is taken away is gone. No file of
// this host but the one for that holds a secret.
func TestAuth(t *testing.T) {
	home, token, password := t.TempDir(), "token-"+rand.Text(), "password-"+rand.Text()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put(".gitconfig", "[user]\n\tname = Ada L\n\temail = ada@example.org\n[commit]\n\tgpgsign = true\n")
	key := sshKey(t, filepath.Join(home, ".ssh"))
	put(".config/gh/hosts.yml", token)
	put(".netrc", password)
	put(".npmrc", "ours")
	e := private(t, "HOME="+home, "XDG_CONFIG_HOME=")
	if err := e.configure("[[auth.credential]]\nhost = \"~/.config/gh/hosts.yml\"\n[[auth.credential]]\nhost = \"~/absent\"\n"); err != nil {
		t.Fatal(err)
	}
	in := func(script string) string {
		t.Helper()
		return e.ok(t, "exec", "auth", "--", "sh", "-ec", script)
	}
	has := "cat .config/gh/hosts.yml; echo; cat .netrc; echo; stat -L -c '%a %U' .netrc; "
	want := token + "\n" + password + "\n600 dev\n"

	r := e.banger(t, "run", "-n", "auth", "--network", "none", "--credential", home+"/.netrc", "debian", "--", "sh", "-ec", has+"git config user.email")
	if r.code != 0 || r.stdout != want+"ada@example.org\n" || !strings.Contains(r.stderr, "~/absent is not given to the VM: it is not there") {
		t.Fatalf("the first command: %s", r)
	}
	t.Run("git", func(t *testing.T) {
		out := in("git init -q repo; cd repo; git commit -q --allow-empty -m one; git log --format='%an <%ae> %G?'")
		if out != "Ada L <ada@example.org> N\n" {
			t.Errorf("%q", out)
		}
	})
	t.Run("where it is", func(t *testing.T) {
		out := in("readlink .netrc; stat -c '%U' .config/gh; stat -f -c %T /run/banger/auth/gitconfig; cat /run/banger/auth/authorized_keys")
		lines := strings.Split(out, "\n")
		if len(lines) != 5 || !strings.HasPrefix(lines[0], "/run/banger/auth/") || lines[1] != "dev" || lines[2] != "tmpfs" || lines[3] != key {
			t.Errorf("%q", out)
		}
		v := e.inspect(t, "auth")
		if v.Auth == nil || v.Auth.Git == nil || len(v.Auth.SSHKeys) != 1 || len(v.Auth.Files) != 2 || v.Auth.Files[1].Path != "~/.netrc" || v.Auth.Files[1].State != "given" {
			t.Errorf("%+v", v.Auth)
		}
	})
	t.Run("the user's key", func(t *testing.T) {
		notOnFake(t, noSystemd)
		await(t, "an SSH server", func() bool { return e.banger(t, "dial", "--wait=60s", "auth", "22").code == 0 })
		dial := "ProxyCommand=" + program("banger") + " dial --wait=60s auth 22"
		out := e.openSSH(t, "", "/usr/bin/ssh", "-F", "/dev/null", "-i", filepath.Join(home, ".ssh/id"), "-o", "IdentitiesOnly=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", dial, "dev@auth", "id -un")
		if out.code != 0 || out.stdout != "dev\n" {
			t.Errorf("%s", out)
		}
	})
	t.Run("the guest's own", func(t *testing.T) {
		in("echo own >.npmrc")
		e.refused(t, 5, []string{"~/.npmrc: there is one of the guest's own, which stays"}, "auth", "push", "auth", home+"/.npmrc")
		e.ok(t, "auth", "rm", "auth", "~/.npmrc")
		if out := in("cat .npmrc"); out != "own\n" {
			t.Errorf("%q", out)
		}
	})
	t.Run("without a client's files", func(t *testing.T) {
		if err := errors.Join(os.RemoveAll(home), os.Mkdir(home, 0o700)); err != nil {
			t.Fatal(err)
		}
		kill9(t, e.daemonPID(t))
		e.ok(t, "restart", "auth")
		if out := in(has + "git config user.name"); out != want+"Ada L\n" {
			t.Errorf("%q", out)
		}
		for _, reduced := range e.inspect(t, "auth").Reduced {
			if strings.Contains(reduced, "auth") {
				t.Errorf("reduced: %s", reduced)
			}
		}
	})
	t.Run("taken away", func(t *testing.T) {
		e.ok(t, "auth", "rm", "auth", ".netrc")
		if out := in("ls -A | grep -c netrc || true; cat .config/gh/hosts.yml; sudo grep -rl " + password + " /run/banger/auth || true"); out != "0\n"+token {
			t.Errorf("%q", out)
		}
		if out := e.ok(t, "auth", "ls", "auth"); strings.Contains(out, "netrc") || !strings.Contains(out, "hosts.yml") {
			t.Errorf("%s", out)
		}
	})
	t.Run("on no disk", func(t *testing.T) {
		marker := "marker-" + rand.Text()
		in("echo " + marker + " >plain; sync")
		dir := e.inspect(t, "auth").Dir
		e.ok(t, "stop", "auth")
		kill9(t, e.daemonPID(t)) // what it had in memory is of no use to anybody
		if in := e.filesWith(t, marker); len(in) == 0 {
			t.Errorf("the guest's own file is nowhere: nothing is found")
		}
		for _, secret := range []string{token, password, base64.StdEncoding.EncodeToString([]byte(password))} {
			if in := e.filesWith(t, secret); len(in) > 0 {
				t.Errorf("%s is in %q", secret, in)
			}
		}
		if in := e.filesWith(t, base64.StdEncoding.EncodeToString([]byte(token))); len(in) != 1 || in[0] != filepath.Join(dir, "auth.json") {
			t.Errorf("the token is in %q", in)
		}
		e.ok(t, "rm", "auth")
		if left, err := os.ReadDir(filepath.Join(e.state(), "auth")); err != nil || len(left) > 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
}

// filesWith lists the files of the state directory that have text in them: logs,
// the database, disks.
func (e *env) filesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(e.state(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.Contains(path, "/images/") || strings.Contains(path, "/kernels/") {
			return err
		}
		has, err := contains(path, []byte(text))
		if has {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// contains looks for text in a file's data, not in its holes.
func contains(path string, text []byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for at := int64(0); ; {
		at, err = f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		end, err := f.Seek(at, unix.SEEK_HOLE)
		if err != nil {
			return false, err
		}
		for at < end {
			n, err := f.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
			if bytes.Contains(buf[:n], text) {
				return true, nil
			}
			if err != nil && !errors.Is(err, io.EOF) || n == 0 {
				return false, err
			}
			if at += int64(n); at < end {
				at -= int64(len(text)) // it may begin in the one and end in the other
			}
		}
	}
}
