package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/banger-vm/banger/api"
)

// withoutFirecracker makes an environment that has no Firecracker, and returns
// a release archive of the real one.
func withoutFirecracker(t *testing.T) (*env, []byte) {
	t.Helper()
	real := os.Getenv("BANGER_FIRECRACKER")
	if real == "" {
		t.Skip("there is no Firecracker (BANGER_FIRECRACKER)")
	}
	var path []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "firecracker")); errors.Is(err, os.ErrNotExist) {
			path = append(path, dir)
		}
	}
	e := withBusybox(t, "BANGER_FIRECRACKER=", "PATH="+strings.Join(path, string(filepath.ListSeparator)))
	return e, release(t, filepath.Dir(real))
}

// release is an archive such as Firecracker's makers publish.
func release(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, program := range []string{"firecracker", "jailer"} {
		body, err := os.ReadFile(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		err = w.WriteHeader(&tar.Header{
			Name: "release-v1.12.1-x86_64/" + program + "-v1.12.1-x86_64", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(body)),
		})
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// vmms returns the VMMs by name.
func (e *env) vmms(t *testing.T) map[string]api.VMM {
	t.Helper()
	var list []api.VMM
	if err := json.Unmarshal([]byte(e.ok(t, "vmm", "ls", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	byName := map[string]api.VMM{}
	for _, v := range list {
		byName[v.Name] = v
	}
	return byName
}

// installed lists the files of installed VMMs.
func (e *env) installed(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(e.state(), "vmm/*/*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range all {
		all[i] = strings.TrimPrefix(path, filepath.Join(e.state(), "vmm")+"/")
	}
	return all
}

// releases serves a release archive on loopback; after half of it, it waits
// for go on at every request that asks for /slow.
func releases(t *testing.T, body []byte) (url string, begun, on chan struct{}) {
	begun, on = make(chan struct{}, 8), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		half := body[:len(body)/2]
		if _, err := w.Write(half); err != nil || req.URL.Path != "/slow" {
			_, _ = w.Write(body[len(half):]) // whom it does not reach will say so
			return
		}
		w.(http.Flusher).Flush()
		begun <- struct{}{}
		select {
		case <-on:
		case <-req.Context().Done():
		}
		_, _ = w.Write(body[len(half):])
	}))
	t.Cleanup(s.Close)
	return s.URL, begun, on
}

// The real Firecracker, installed from its maker's archive by the CLI.
func TestRealInstall(t *testing.T) {
	e, body := withoutFirecracker(t)
	url, begun, on := releases(t, body)
	sum := sumOf(body)
	install := []string{"vmm", "install", "firecracker", "--sha256", sum, "--from"}
	if v := e.vmms(t)["firecracker"]; v.Error == nil || v.Error.Message != "firecracker is not installed" {
		t.Fatalf("before: %+v", v)
	}
	e.refused(t, 5, []string{"firecracker is not installed", "banger vmm install firecracker"}, "create", "--vmm", "firecracker", "--network", "none")

	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		cmd := e.command(ctx, append(install, url+"/slow")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-begun
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Errorf("exit code %d, want 130", code)
		}
		if left := e.installed(t); len(left) > 0 {
			t.Errorf("left are %q", left)
		}
	})
	t.Run("daemon killed", func(t *testing.T) {
		id := strings.TrimSpace(e.ok(t, append(install, url+"/slow", "--wait=false")...))
		<-begun
		kill9(t, e.daemonPID(t))
		e.ok(t, "ls") // the next daemon fetches it again
		<-begun
		close(on)
		var op api.Operation
		await(t, "the installation to end", func() bool {
			if err := json.Unmarshal([]byte(e.ok(t, "op", "show", "--json", id)), &op); err != nil {
				t.Fatal(err)
			}
			return op.State.Final()
		})
		if op.State != api.OpSucceeded || op.Resumed != 1 {
			t.Errorf("it %s, resumed %d times: %+v", op.State, op.Resumed, op.Error)
		}
	})
	v := e.vmms(t)["firecracker"]
	if v.Error != nil || v.Version != "1.12.1" || v.FoundBy != "installed" || v.Path != filepath.Join(e.state(), "vmm/firecracker/1.12.1/firecracker") {
		t.Errorf("installed: %+v", v)
	}
	if !slices.Equal(v.Networks, []string{"none", "user"}) {
		t.Errorf("its networks are %q", v.Networks)
	}
	e.refused(t, 5, []string{"its SHA-256 sum is " + sum}, "vmm", "install", "firecracker", "--from", url, "--sha256", strings.Repeat("0", 64))
	want := []string{"firecracker/1.12.1", "firecracker/current"}
	if got := e.installed(t); !slices.Equal(got, want) {
		t.Errorf("installed are %q", got)
	}

	file := filepath.Join(e.dir, "program")
	program, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, program, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := e.ok(t, "vmm", "install", "firecracker", "--from", file, "--sha256", sumOf(program)); out != "firecracker 1.12.1\n" {
		t.Errorf("the program itself: %q", out)
	}
	e.ok(t, "vmm", "rm", "firecracker")
	if got := e.installed(t); len(got) > 0 {
		t.Errorf("after rm there are %q", got)
	}
	e.refused(t, 3, []string{"banger has installed no firecracker"}, "vmm", "rm", "firecracker")
}
