package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/places"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/spec"
)

// somewhere is places in a directory of the test's own, for this process.
func somewhere(t *testing.T) places.Places {
	t.Helper()
	dir := t.TempDir()
	for name, sub := range map[string]string{
		places.EnvStateDir: "state", places.EnvRuntimeDir: "run", places.EnvCacheDir: "cache", places.EnvConfig: "config.toml",
	} {
		t.Setenv(name, filepath.Join(dir, sub))
	}
	t.Setenv(places.EnvSocket, "")
	p, err := places.Resolve(places.Flags{}, places.SystemEnv())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// examined is what bangerd doctor prints.
func examined[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	var out bytes.Buffer
	if err := mainDoctor(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	return v
}

func byCheck(t *testing.T, r api.DoctorReport) map[string]api.DoctorCheck {
	t.Helper()
	checks := map[string]api.DoctorCheck{}
	for _, c := range r.Checks {
		if _, twice := checks[c.Name]; twice || c.Theme == "" || c.Found == "" {
			t.Errorf("%+v", c)
		}
		checks[c.Name] = c
	}
	return checks
}

// It looks at everything while nothing is there, and changes nothing.
func TestDoctorOfNothing(t *testing.T) {
	p := somewhere(t)
	checks := byCheck(t, examined[api.DoctorReport](t, "--cli-version", "other"))
	if len(checks) < 25 {
		t.Errorf("there are only %d checks", len(checks))
	}
	for name, state := range map[string]string{
		"state-dir": api.DoctorOK, "config": api.DoctorOK, "database": api.DoctorOK, "daemon": api.DoctorOK, "residue": api.DoctorOK,
		"daemon-version": api.DoctorSkip, "programs-version": api.DoctorWarn, "image": api.DoctorWarn, "kernel": api.DoctorOK,
	} {
		if checks[name].State != state {
			t.Errorf("%+v, want %s", checks[name], state)
		}
	}
	if _, err := os.Stat(p.StateDir); !os.IsNotExist(err) {
		t.Errorf("it made the state directory: %v", err)
	}
}

// What keeps a daemon from starting keeps no other check from being made.
func TestDoctorOfBrokenState(t *testing.T) {
	p := somewhere(t)
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{p.ConfigFile: "nosuch = 1\n", databaseFile(p): strings.Repeat("no database ", 100)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held, err := lock(p.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	checks := byCheck(t, examined[api.DoctorReport](t))
	for name, want := range map[string]string{
		"config": "nosuch", "database": "damaged", "daemon": "has the state directory",
	} {
		if c := checks[name]; c.State != api.DoctorFail || !strings.Contains(c.Found, want) || c.Command == "" {
			t.Errorf("%+v, want %q", c, want)
		}
	}
	if len(checks) < 25 || checks["qemu"].Name == "" {
		t.Errorf("%d checks", len(checks))
	}
	// A setting that reads well and means nothing is one of the configuration's.
	if err := os.WriteFile(p.ConfigFile, []byte("vmm = \"nosuch\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := byCheck(t, examined[api.DoctorReport](t))["config"]; c.State != api.DoctorFail || !strings.Contains(c.Found, "nosuch") {
		t.Errorf("%+v", c)
	}
}

// A daemon that hangs is told from one that does not run.
func TestDoctorOfSilentDaemon(t *testing.T) {
	p := somewhere(t)
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", p.Socket)
	if err != nil {
		t.Skip("the path of the test's directory is too long: ", err)
	}
	defer l.Close()
	held, err := lock(p.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	x := examine(p)
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if d := x.find(soon); !errors.Is(d.Err, errDeaf) || d.PID != os.Getpid() || d.Version != "" {
		t.Errorf("it does not answer: %+v", d)
	}
	if _, err := x.told(soon); !errors.Is(err, errDeaf) {
		t.Errorf("it tells %v", err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if d := x.find(t.Context()); d.Err == nil || errors.Is(d.Err, errDeaf) || d.PID != os.Getpid() {
		t.Errorf("it hangs up: %+v", d)
	}
}

// Without a daemon the database is asked what is left over.
func TestResidueOfDatabase(t *testing.T) {
	p := somewhere(t)
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), databaseFile(p))
	if err != nil {
		t.Fatal(err)
	}
	for id, name := range map[string]string{"aa11": "web", "bb22": "lost"} {
		if err := s.InsertVM(t.Context(), vm.Record{ID: id, Spec: spec.VM{Name: name}, Made: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"aa11", "dead"} {
		if err := os.MkdirAll(filepath.Join(p.StateDir, "vms", id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r := examined[api.Residue](t, "--residue")
	if len(r.Strays) != 2 || r.Strays[0].What != filepath.Join(p.StateDir, "vms", "dead") || r.Strays[1].What != "VM lost" {
		t.Errorf("%+v", r)
	}
	if c := byCheck(t, examined[api.DoctorReport](t))["residue"]; c.State != api.DoctorWarn || !strings.HasPrefix(c.Found, "2 things") {
		t.Errorf("%+v", c)
	}
}

// What keeps a VM from being made is said before anything is begun.
func TestPreflight(t *testing.T) {
	p := somewhere(t)
	d := examine(p).Daemon
	if err := d.preflight()(t.Context()); err != nil {
		t.Error(err)
	}
	n := 0
	for _, c := range examine(p).checks() {
		if c.Preflight {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d checks are made before each create", n)
	}
}
