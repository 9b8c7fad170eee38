package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/banger-vm/banger/internal/guest/wire"
)

func valid() wire.Identity {
	return wire.Identity{
		Hostname: "web-1", MachineID: "0123456789abcdef0123456789abcdef", User: "dev",
		Time: time.Now(), Entropy: make([]byte, 64), HostKeys: map[string][]byte{"ssh_host_ed25519_key": []byte("k")},
	}
}

func TestCheck(t *testing.T) {
	if err := Check(valid()); err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func(*wire.Identity){
		"no host name":      func(id *wire.Identity) { id.Hostname = "" },
		"a line break":      func(id *wire.Identity) { id.Hostname = "a\nb" },
		"a path":            func(id *wire.Identity) { id.Hostname = "../x" },
		"a long host name":  func(id *wire.Identity) { id.Hostname = strings.Repeat("a", 64) },
		"a dash at the end": func(id *wire.Identity) { id.Hostname = "a-" },
		"short machine ID":  func(id *wire.Identity) { id.MachineID = "0123" },
		"zero machine ID":   func(id *wire.Identity) { id.MachineID = strings.Repeat("0", 32) },
		"machine ID no hex": func(id *wire.Identity) { id.MachineID = strings.Repeat("x", 32) },
		"little entropy":    func(id *wire.Identity) { id.Entropy = make([]byte, 31) },
		"much entropy":      func(id *wire.Identity) { id.Entropy = make([]byte, 513) },
		"no time":           func(id *wire.Identity) { id.Time = time.Time{} },
		"a user with colon": func(id *wire.Identity) { id.User = "a:b" },
		"a key elsewhere":   func(id *wire.Identity) { id.HostKeys = map[string][]byte{"../../root/.ssh/id": nil} },
		"a key by a name":   func(id *wire.Identity) { id.HostKeys = map[string][]byte{"ssh_host_/../x_key": nil} },
		"a huge key":        func(id *wire.Identity) { id.HostKeys["ssh_host_ed25519_key"] = make([]byte, maxKeySize+1) },
		"many keys": func(id *wire.Identity) {
			for c := range maxKeys + 1 {
				id.HostKeys["ssh_host_"+string(rune('a'+c))+"_key"] = nil
			}
		},
	} {
		id := valid()
		if breakIt(&id); Check(id) == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// tree is an image's root in a directory, beside something that nothing in
// the image may lead to.
func tree(t *testing.T) (root *os.Root, dir, outside string) {
	t.Helper()
	top := t.TempDir()
	dir, outside = filepath.Join(top, "root"), filepath.Join(top, "outside")
	for _, d := range []string{dir + "/etc/ssh", outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir, outside
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func keys(t *testing.T) (private map[string][]byte, public map[string]string) {
	t.Helper()
	private, public = map[string][]byte{}, map[string]string{}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ssh_host_ed25519_key": ed, "ssh_host_ecdsa_key": ec} {
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		pub, err := ssh.NewPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		private[name], public[name] = pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(pub))
	}
	return private, public
}

func TestWriteFiles(t *testing.T) {
	root, dir, _ := tree(t)
	id := valid()
	var public map[string]string
	id.HostKeys, public = keys(t)
	if err := os.WriteFile(dir+"/etc/hosts", []byte("127.0.0.1 localhost # web-1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"web-1", "web-2", "web-2"} {
		id.Hostname = name
		if errs := WriteFiles(root, id); len(errs) != 0 {
			t.Fatal(errs)
		}
	}
	if got := read(t, dir+"/etc/hostname") + read(t, dir+"/etc/machine-id"); got != "web-2\n"+id.MachineID+"\n" {
		t.Errorf("host name and machine ID: %q", got)
	}
	if got := read(t, dir+"/etc/hosts"); got != "127.0.0.1 localhost # web-1\n127.0.1.1\tweb-2 # banger\n" {
		t.Errorf("hosts: %q", got)
	}
	const dropIn = "AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 /etc/ssh/banger_authorized_keys /run/banger/auth/authorized_keys\n"
	if got := read(t, dir+"/etc/ssh/sshd_config.d/10-banger.conf"); got != dropIn {
		t.Errorf("who may log in: %q", got)
	}
	for name, key := range id.HostKeys {
		path := dir + "/etc/ssh/" + name
		if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 || read(t, path) != string(key) {
			t.Errorf("%s: %v, %v", name, st, err)
		}
		if got := read(t, path+".pub"); got != public[name] {
			t.Errorf("%s.pub: %q, want %q", name, got, public[name])
		}
	}
	left, err := filepath.Glob(dir + "/etc/*banger-new*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestAKnownHostNameNeedsNoLine(t *testing.T) {
	root, dir, _ := tree(t)
	const hosts = "127.0.0.1 localhost web-1"
	if err := os.WriteFile(dir+"/etc/hosts", []byte(hosts), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeHosts(root, "web-1"); err != nil || read(t, dir+"/etc/hosts") != hosts {
		t.Errorf("%q, %v", read(t, dir+"/etc/hosts"), err)
	}
}

func TestARootWithNothingInIt(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if errs := WriteFiles(root, valid()); len(errs) != 0 {
		t.Fatal(errs)
	}
	if _, err := root.Stat("etc/ssh"); !os.IsNotExist(err) {
		t.Errorf("/etc/ssh was made: %v", err)
	}
}

func TestLinksInTheImageLeadNowhere(t *testing.T) {
	root, dir, outside := tree(t)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hostname", "machine-id", "hosts", "hostname.banger-new", "ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key.pub.banger-new"} {
		if err := os.Symlink(secret, filepath.Join(dir, "etc", name)); err != nil {
			t.Fatal(err)
		}
	}
	id := valid()
	id.HostKeys, _ = keys(t)
	if errs := WriteFiles(root, id); len(errs) != 1 {
		t.Error("a hosts file outside of the root was read")
	}
	if err := os.Remove(dir + "/etc/hosts"); err != nil {
		t.Fatal(err)
	}
	if errs := WriteFiles(root, id); len(errs) != 0 {
		t.Fatal(errs)
	}
	for _, name := range []string{"hostname", "machine-id", "hosts", "ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key.pub"} {
		if st, err := os.Lstat(filepath.Join(dir, "etc", name)); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if read(t, secret) != "untouched" {
		t.Error("a link in the image was followed out of it")
	}
}

func TestALinkedDirectoryLeadsNowhere(t *testing.T) {
	root, dir, outside := tree(t)
	if err := os.RemoveAll(dir + "/etc"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, dir+"/etc"); err != nil {
		t.Fatal(err)
	}
	if errs := WriteFiles(root, valid()); len(errs) == 0 {
		t.Error("/etc outside of the root was written to")
	}
	if names, err := os.ReadDir(outside); err != nil || len(names) != 0 {
		t.Errorf("outside: %v, %v", names, err)
	}
}

func TestHostileHosts(t *testing.T) {
	root, dir, _ := tree(t)
	if err := os.WriteFile(dir+"/etc/hosts", make([]byte, maxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeHosts(root, "web-1"); err == nil {
		t.Error("a huge hosts file was read")
	}
	if err := os.Remove(dir + "/etc/hosts"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/etc/hosts", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeHosts(root, "web-1"); err == nil {
		t.Error("a directory was read as the hosts file")
	}
}

func TestReplaceLeavesWhatIsRightAlone(t *testing.T) {
	root, dir, _ := tree(t)
	if err := Replace(root, "etc/x", []byte("same"), 0o444); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(dir + "/etc/x")
	if err != nil {
		t.Fatal(err)
	}
	if err := Replace(root, "etc/x", []byte("same"), 0o444); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(dir + "/etc/x"); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again: %v", err)
	}
	if err := Replace(root, "etc/x", []byte("same"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(dir + "/etc/x"); err != nil || after.Mode() != fs.FileMode(0o600) {
		t.Errorf("its mode stayed: %v, %v", after, err)
	}
}

func FuzzPublicKey(f *testing.F) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(ed, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(block.Bytes)
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, body []byte) {
		line, err := publicKey(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: body}))
		if err != nil {
			return
		}
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
			t.Errorf("%q is no line", line)
		}
	})
}
