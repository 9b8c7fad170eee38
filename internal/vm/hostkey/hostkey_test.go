package hostkey

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := Ensure(dir)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(first)
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Fatalf("no key: %v", err)
	}
	if again, err := Ensure(dir); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the second one is another (%v)", err)
	}
	info, err := os.Stat(filepath.Join(dir, Name))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v)", info, err)
	}
	if other, err := Ensure(t.TempDir()); err != nil || bytes.Equal(other, first) {
		t.Errorf("another VM has the same (%v)", err)
	}
	if _, err := Ensure(filepath.Join(dir, "missing")); err == nil {
		t.Error("a key without a directory")
	}
}
