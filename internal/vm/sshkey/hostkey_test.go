package sshkey

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := Ensure(dir, Host)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(first)
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Fatalf("no key: %v", err)
	}
	if again, err := Ensure(dir, Host); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the second one is another (%v)", err)
	}
	if public, err := Public(first); err != nil || public+"\n" != string(ssh.MarshalAuthorizedKey(signer.PublicKey())) {
		t.Errorf("its public half is %q, %v", public, err)
	}
	info, err := os.Stat(filepath.Join(dir, Host))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v)", info, err)
	}
	if other, err := Ensure(t.TempDir(), Host); err != nil || bytes.Equal(other, first) {
		t.Errorf("another VM has the same (%v)", err)
	}
	if _, err := Ensure(filepath.Join(dir, "missing"), Host); err == nil {
		t.Error("a key without a directory")
	}
}

func TestFirstCallsAtOnce(t *testing.T) {
	dir := t.TempDir()
	keys := make([][]byte, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			key, err := Ensure(dir, Client)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	all.Wait()
	for _, key := range keys {
		if !bytes.Equal(key, keys[0]) {
			t.Fatal("they got several keys")
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the directory has %v, %v", left, err)
	}
}
