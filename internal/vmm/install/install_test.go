package install_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/vmm/install"
)

func TestInstallRelease(t *testing.T) {
	r := newRig(t)
	if path, by := r.find(); path != "" || by != install.ByPath {
		t.Errorf("before: %q by %s", path, by)
	}
	body := release(t, "1.12.1")
	rec := r.end(r.begin(r.given(body), body))
	if rec.State != operation.Succeeded {
		t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	var result install.Installed
	if err := json.Unmarshal(rec.Result, &result); err != nil || result != (install.Installed{ID: "testvmm", Version: "1.12.1"}) {
		t.Errorf("the result is %s, %v", rec.Result, err)
	}
	if got, want := r.files(), "testvmm/1.12.1/jailer testvmm/1.12.1/testvmm testvmm/current->1.12.1"; got != want {
		t.Errorf("there are %s", got)
	}
	path, by := r.find()
	if by != install.ByInstall || path != filepath.Join(r.cfg.Dir, "testvmm/1.12.1/testvmm") {
		t.Errorf("found %q by %s", path, by)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	if version, err := r.version(t.Context(), path); err != nil || version != "1.12.1" {
		t.Errorf("it says %q, %v", version, err)
	}
	left, err := os.ReadDir(filepath.Join(r.cfg.Dir, "testvmm"))
	if err != nil || len(left) != 2 {
		t.Errorf("besides the version and its link there is %v, %v", left, err)
	}
}

func TestInstallProgram(t *testing.T) {
	r := newRig(t)
	r.install(program(t, "1.13.0"))
	if got := r.files(); got != "testvmm/1.13.0/testvmm testvmm/current->1.13.0" {
		t.Errorf("there are %s", got)
	}
}

// The last one installed is used, a lower version too; the one before goes
// unless a VM runs, whose guest may reboot.
func TestInstallReplaces(t *testing.T) {
	r := newRig(t)
	r.install(release(t, "1.13.0"))
	r.install(program(t, "1.12.1"))
	if got := r.files(); got != "testvmm/1.12.1/testvmm testvmm/current->1.12.1" {
		t.Errorf("after a downgrade there are %s", got)
	}
	r.running = []string{"web"}
	r.install(release(t, "1.14.0"))
	if got := r.files(); got != "testvmm/1.12.1/testvmm testvmm/1.14.0/jailer testvmm/1.14.0/testvmm testvmm/current->1.14.0" {
		t.Errorf("with a running VM there are %s", got)
	}
	path, _ := r.find()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r.running = nil
	r.install(program(t, "1.14.0"))
	if got := r.files(); got != "testvmm/1.14.0/testvmm testvmm/current->1.14.0" {
		t.Errorf("after the same version there are %s", got)
	}
	if after, err := os.Stat(path); err != nil || os.SameFile(before, after) {
		t.Errorf("the program was not replaced (%v)", err)
	}
}

func TestRequestsAreChecked(t *testing.T) {
	r := newRig(t)
	sum := strings.Repeat("0", 64)
	for _, tc := range []struct{ vmm, from, sum, want string }{
		{"qemu", "/x", sum, `banger installs no VMM "qemu"`},
		{"../x", "/x", sum, "banger installs no VMM"},
		{"testvmm", "/x", "", "nothing is installed unchecked"},
		{"testvmm", "/x", sum[1:], "64 hexadecimal digits"},
		{"testvmm", "/x", "g" + sum[1:], "64 hexadecimal digits"},
		{"testvmm", "", sum, "neither a file nor an address"},
		{"testvmm", "x.tgz", sum, "neither a file nor an address"},
		{"testvmm", "ftp://host/x", sum, "neither a file nor an address"},
		{"testvmm", "https://", sum, "is no address"},
		{"testvmm", "https://me:secret@host/x", sum, "would be kept with the operation"},
	} {
		_, err := r.Install(t.Context(), tc.vmm, tc.from, tc.sum, "", r.ops)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", tc, err)
		}
	}
	upper, err := r.Install(t.Context(), "testvmm", "/x", strings.Repeat("A", 64), "k", r.ops)
	if err != nil || upper.Target != "vmm/testvmm" {
		t.Errorf("a sum in capitals: %+v, %v", upper, err)
	}
	again, err := r.Install(t.Context(), "testvmm", "/x", strings.Repeat("A", 64), "k", r.ops)
	if err != nil || again.ID != upper.ID {
		t.Errorf("the same key: %+v, %v", again, err)
	}
}

// An interrupted installation goes on with the next daemon.
func TestInstallIsResumed(t *testing.T) {
	r := newRig(t)
	r.block = make(chan struct{})
	body := release(t, "1.12.1")
	rec := r.begin(r.given(body), body)
	r.awaitStep(rec, "check the program")
	r.close()
	close(r.block)
	r.open()
	if rec = r.end(rec); rec.State != operation.Succeeded || rec.Resumed != 1 {
		t.Fatalf("%s after %d resumes: %v", rec.State, rec.Resumed, rec.Error)
	}
	if got := r.files(); got != "testvmm/1.12.1/jailer testvmm/1.12.1/testvmm testvmm/current->1.12.1" {
		t.Errorf("there are %s", got)
	}
}

// Each step may be cut off at its very end, before that is in the journal, and
// is then done again.
func TestEveryStepMayBeDoneAgain(t *testing.T) {
	r := newRig(t)
	body := release(t, "1.12.1")
	sum := sha256.Sum256(body)
	raw, err := json.Marshal(map[string]string{
		"id": "0123456789abcdef", "vmm": "testvmm", "from": r.given(body), "sha256": hex.EncodeToString(sum[:]),
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.Planners()[install.KindInstall](operation.Record{ID: "op", Kind: install.KindInstall, Params: raw})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range plan.Steps {
		for range 2 {
			if step.Done != nil {
				if done, err := step.Done(t.Context()); err != nil {
					t.Fatalf("%s: %v", step.Name, err)
				} else if done {
					continue
				}
			}
			if err := step.Do(t.Context(), func(operation.Progress) {}); err != nil {
				t.Fatalf("%s: %v", step.Name, err)
			}
		}
	}
	if got := r.files(); got != "testvmm/1.12.1/jailer testvmm/1.12.1/testvmm testvmm/current->1.12.1" {
		t.Errorf("there are %s", got)
	}
}

func (r *rig) remove() (operation.Record, error) {
	return r.Remove(r.t.Context(), "testvmm", "the key", r.ops)
}

func TestRemove(t *testing.T) {
	r := newRig(t)
	if _, err := r.remove(); fault.KindOf(err) != fault.NotFound || err.Error() != "banger has installed no testvmm" {
		t.Errorf("before: %v", err)
	}
	r.install(release(t, "1.12.1"))
	r.running, r.stopped = []string{"web", "db"}, []string{"old"}
	_, err := r.remove()
	if f := fault.From(err); err == nil || f.Kind != fault.Busy || f.Message != "testvmm runs web, db" || f.Hint != "Stop them first: banger stop web db" {
		t.Errorf("with running VMs: %+v", f)
	}
	if _, by := r.find(); by != install.ByInstall {
		t.Error("a refusal has removed it")
	}
	r.running = nil
	rec, err := r.remove()
	if err != nil {
		t.Fatal(err)
	}
	var result install.Removed
	if rec = r.end(rec); rec.State != operation.Succeeded {
		t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	if err := json.Unmarshal(rec.Result, &result); err != nil || result.ID != "testvmm" || !slices.Equal(result.Stopped, r.stopped) {
		t.Errorf("the result is %s, %v", rec.Result, err)
	}
	r.empty()
	if again, err := r.remove(); err != nil || again.ID != rec.ID {
		t.Errorf("the same key: %+v, %v", again, err)
	}
	if path, by := r.find(); path != "" || by != install.ByPath {
		t.Errorf("afterwards: %q by %s", path, by)
	}
}

func TestFindOrder(t *testing.T) {
	r := newRig(t)
	r.install(program(t, "1.12.1"))
	f := install.Finder{Dir: r.cfg.Dir, Given: map[string]install.Given{"testvmm": {Path: "/opt/testvmm", By: "config.toml"}}}
	if path, by := f.Find("testvmm"); path != "/opt/testvmm" || by != "config.toml" {
		t.Errorf("the given one: %q by %s", path, by)
	}
	if path, by := f.Find("other"); path != "" || by != install.ByPath {
		t.Errorf("one that is not installed: %q by %s", path, by)
	}
	link := filepath.Join(r.cfg.Dir, "testvmm", "current")
	for _, to := range []string{"../../../../bin", "gone", "9.9"} {
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
		if path, by := r.find(); path != "" || by != install.ByPath {
			t.Errorf("a link to %s: %q by %s", to, path, by)
		}
	}
}
