package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/claim"
	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/event"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/internal/store"
	"github.com/banger-vm/banger/internal/vm"
	"github.com/banger-vm/banger/internal/vm/auth"
	"github.com/banger-vm/banger/internal/vm/hook"
	"github.com/banger-vm/banger/internal/vm/spec"
)

const secret = "hunter2-is-in-no-journal"

// rig is a Keeper and one VM, whose guest takes what the VM's directory says.
type rig struct {
	t      *testing.T
	dir    string
	claims *claim.Table
	store  *store.Store
	ops    *operation.Registry
	keeper *auth.Keeper

	reports []wire.AuthReport // what the guest was told, in its order
	refuse  error
	reason  string // why no file fits
}

const id = "0123456789ab"

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), claims: claim.NewTable(), refuse: machine.ErrNotRunning}
	var err error
	if r.store, err = store.Open(t.Context(), filepath.Join(r.dir, "banger.db")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(r.vmDir(), 0o700), r.store.InsertVM(t.Context(), vm.Record{ID: id, Spec: spec.VM{Name: "dev"}, Made: true})); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	events, err := event.Open(t.Context(), r.store, log, event.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r.keeper = auth.New(r.store, r, r.claims, log, auth.Config{Dir: filepath.Join(r.dir, "vms"), Staged: filepath.Join(r.dir, "auth")})
	r.ops = operation.New(r.store, r.claims, events, log, operation.Config{Planners: r.keeper.Planners()})
	if err := r.keeper.Start(r.ops); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(r.ops.Close(ctx), events.Close(ctx), r.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) vmDir() string { return filepath.Join(r.dir, "vms", id) }

// Authorize implements machine.Authorizer.
func (r *rig) Authorize(_ context.Context, dir string) (wire.AuthReport, error) {
	if r.refuse != nil || dir != r.vmDir() {
		return wire.AuthReport{}, r.refuse
	}
	a := r.kept()
	report := wire.AuthReport{ID: a.ID}
	for range a.Files {
		report.Files = append(report.Files, r.reason)
	}
	r.reports = append(r.reports, report)
	return report, nil
}

// kept is what a monitor reads.
func (r *rig) kept() (a wire.Auth) {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.vmDir(), machine.AuthFile))
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) hook(p hook.Point, m machine.Status) error {
	r.t.Helper()
	for _, h := range r.keeper.Hooks() {
		if h.At == p {
			return h.Do(r.t.Context(), hook.VM{ID: id, Name: "dev", Dir: r.vmDir(), Machine: m})
		}
	}
	r.t.Fatalf("there is no hook at %s", p)
	return nil
}

func (r *rig) done(rec operation.Record, err error) operation.Record {
	r.t.Helper()
	if err == nil {
		rec, err = r.ops.Wait(r.t.Context(), rec.ID)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return rec
}

// staged counts what was sent and is not taken.
func (r *rig) staged() int {
	r.t.Helper()
	all, err := os.ReadDir(filepath.Join(r.dir, "auth"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return len(all)
}

func aSet(path string) auth.Sent {
	return auth.Sent{Set: credential.Set{
		Git: &credential.Git{Name: "Ada"}, Files: []credential.File{{Path: path, Mode: 0o640, Data: credential.Secret(secret)}},
	}}
}

func (r *rig) view(live *machine.Status) auth.View {
	r.t.Helper()
	v, err := r.keeper.Of(vm.View{Record: vm.Record{ID: id}, Dir: r.vmDir(), Live: live})
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// What comes with a create or a start is kept by its hook, privately; the guest
// that has it from its monitor is not told again.
func TestWhatComesWithARequest(t *testing.T) {
	r := newRig(t)
	if err := r.hook(hook.Ready, machine.Status{}); err != nil { // nothing was ever sent
		t.Error(err)
	}
	if _, err := r.keeper.Given(aSet("~/a"))(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.hook(hook.Create, machine.Status{}), r.hook(hook.Create, machine.Status{})); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(r.vmDir(), machine.AuthFile)); err != nil || st.Mode() != 0o600 || r.staged() != 0 {
		t.Errorf("%v, %v, %d", st.Mode(), err, r.staged())
	}
	if a := r.kept(); len(a.Files) != 1 || string(a.Files[0].Data) != secret || a.ID == "" || a.Git.Name != "Ada" {
		t.Errorf("%+v", a)
	}
	if v := r.view(nil); len(v.Files) != 1 || v.Files[0] != (auth.FileView{Path: "~/a", Mode: 0o640, Size: len(secret), State: "from the next start on"}) {
		t.Errorf("%+v", v)
	}
	takeBack, err := r.keeper.Bring(t.Context(), "dev", aSet("~/b"))
	if err != nil {
		t.Fatal(err)
	}
	takeBack()
	if err := r.hook(hook.PreStart, machine.Status{}); err != nil || len(r.kept().Files) != 1 || r.staged() != 0 {
		t.Errorf("%v, %+v", err, r.kept())
	}
	if _, err := r.keeper.Bring(t.Context(), "dev", aSet("~/b")); err != nil {
		t.Fatal(err)
	}
	if err := r.hook(hook.PreStart, machine.Status{}); err != nil || len(r.kept().Files) != 2 {
		t.Errorf("%v, %+v", err, r.kept())
	}

	r.refuse = nil
	has := machine.Status{Guest: wire.Hello{Auth: &wire.AuthReport{ID: r.kept().ID, Files: []string{"", "it does not fit"}}}}
	err = r.hook(hook.Ready, has)
	if err == nil || !strings.Contains(err.Error(), "~/b: it does not fit") || strings.Contains(err.Error(), "~/a") || len(r.reports) != 0 {
		t.Errorf("%v, %+v", err, r.reports)
	}
	if v := r.view(&has); v.Files[0].State != "given" || v.Files[1].State != "it does not fit" {
		t.Errorf("%+v", v)
	}
	has.Guest.Auth.ID = "older"
	if err := r.hook(hook.Ready, has); err != nil || len(r.reports) != 1 {
		t.Errorf("%v, %+v", err, r.reports)
	}
	if v := r.view(&has); v.Files[0].State != "the guest does not have it yet" {
		t.Errorf("%+v", v)
	}
}

// A push and a removal are operations, which no journal tells the content of.
func TestPushAndRemove(t *testing.T) {
	r := newRig(t)
	if rec := r.done(r.keeper.Push(t.Context(), "dev", aSet("~/a"), "once")); rec.State != operation.Succeeded || r.staged() != 0 {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	first := r.kept()
	if rec := r.done(r.keeper.Push(t.Context(), "dev", aSet("~/z"), "once")); rec.State != operation.Succeeded || len(r.kept().Files) != 1 {
		t.Errorf("a repeated request did something: %s", rec.State)
	}
	r.refuse = nil
	r.reason = "there is one of the guest's own, which stays"
	rec := r.done(r.keeper.Push(t.Context(), "dev", aSet("~/b"), ""))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Precondition || !strings.Contains(rec.Error.Message, "~/b: there is one") {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	if len(r.kept().Files) != 2 || r.kept().ID == first.ID {
		t.Errorf("%+v", r.kept())
	}
	r.reason = ""
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", []string{"~/b"}, "")); rec.State != operation.Succeeded || len(r.kept().Files) != 1 || !slices.Equal(r.kept().Gone, []string{"~/b"}) {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	if got := r.reports[len(r.reports)-1]; got.ID != r.kept().ID {
		t.Errorf("the guest was told of %q, not %q", got.ID, r.kept().ID)
	}
	if _, err := r.keeper.Remove(t.Context(), "dev", []string{"~/b"}, ""); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", nil, "")); rec.State != operation.Succeeded || len(r.kept().Files) != 0 || !r.view(nil).Off {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	r.refuse = fault.New(fault.Unavailable, "", "it does not answer")
	rec = r.done(r.keeper.Push(t.Context(), "dev", aSet("~/c"), ""))
	if rec.State != operation.Failed || rec.Error.Kind != fault.Unavailable || len(r.kept().Files) != 1 {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	db, err := os.ReadFile(filepath.Join(r.dir, "banger.db"))
	if err == nil {
		var wal []byte
		wal, err = os.ReadFile(filepath.Join(r.dir, "banger.db-wal"))
		db = append(db, wal...)
	}
	for _, hidden := range []string{secret, "aHVudGVyMi1pcy1pbi1uby1qb3VybmFs"} {
		if err != nil || strings.Contains(string(db), hidden) {
			t.Errorf("the database has %s, %v", hidden, err)
		}
	}
	if !strings.Contains(string(db), auth.KindPush) {
		t.Error("the database has no operation at all")
	}
}

func TestPushThatDoesNotBegin(t *testing.T) {
	r := newRig(t)
	release, err := r.claims.TryClaim("vm/"+id, claim.Holder{Operation: "1", Kind: "vm.start"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.keeper.Push(t.Context(), "dev", aSet("~/a"), ""); fault.KindOf(err) != fault.Busy || r.staged() != 0 {
		t.Errorf("%v, %d", err, r.staged())
	}
	release()
	big := aSet("~/a")
	big.Files[0].Data = make(credential.Secret, credential.MaxFile+1)
	if _, err := r.keeper.Push(t.Context(), "dev", big, ""); fault.KindOf(err) != fault.Invalid || r.staged() != 0 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if _, err := r.keeper.Push(t.Context(), "nobody", aSet("~/a"), ""); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if err := r.store.ChangeVM(t.Context(), id, func(v *vm.Record) bool { v.Made = false; return true }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.keeper.Push(t.Context(), "dev", aSet("~/a"), ""); fault.KindOf(err) != fault.Precondition {
		t.Error(err)
	}
}

// A daemon that was killed between a request and its operation leaves nothing: the
// next one drops what no operation will take, and keeps what one will.
func TestWhatIsLeftOfAKilledDaemon(t *testing.T) {
	r := newRig(t)
	for _, of := range []string{id, "ba9876543210"} {
		if _, err := r.keeper.Given(aSet("~/a"))(t.Context(), of); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.claims.TryClaim("vm/"+id, claim.Holder{Operation: "1", Kind: "vm.create"}); err != nil {
		t.Fatal(err)
	}
	if err := r.keeper.Start(r.ops); err != nil || r.staged() != 1 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := r.hook(hook.Create, machine.Status{}); err != nil || len(r.kept().Files) != 1 {
		t.Errorf("%v", err)
	}
	if _, err := r.keeper.Given(aSet("~/b"))(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := r.hook(hook.Delete, machine.Status{}); err != nil || r.staged() != 0 {
		t.Errorf("%v, %d", err, r.staged())
	}
}

// What does not fit is dropped and told, what cannot be written now is there for
// the next start.
func TestTakeThatFails(t *testing.T) {
	r := newRig(t)
	put := func(path string, size int) {
		t.Helper()
		s := aSet(path)
		s.Files[0].Data = make(credential.Secret, size)
		if _, err := r.keeper.Given(s)(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	put("~/a", credential.MaxFile)
	put("~/b", credential.MaxFile)
	put("~/c", 1)
	if err := r.hook(hook.PreStart, machine.Status{}); fault.KindOf(err) != fault.Invalid || r.staged() != 0 || len(r.kept().Files) != 2 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := os.RemoveAll(r.vmDir()); err != nil {
		t.Fatal(err)
	}
	put("~/d", 1)
	if err := r.hook(hook.PreStart, machine.Status{}); err == nil || r.staged() != 1 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := os.MkdirAll(r.vmDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := r.hook(hook.PreStart, machine.Status{}); err != nil || r.staged() != 0 || len(r.kept().Files) != 1 {
		t.Errorf("%v, %d", err, r.staged())
	}
}
