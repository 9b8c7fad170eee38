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
	other   bool   // the guest answers about another state
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
	r.keeper = auth.New(r.store, r, log, auth.Config{Dir: filepath.Join(r.dir, "vms"), Staged: filepath.Join(r.dir, "auth")})
	r.ops = operation.New(r.store, r.claims, events, log, operation.Config{Planners: r.keeper.Planners()})
	if err := r.keeper.Start(t.Context(), r.ops); err != nil {
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
	if r.other {
		report.ID = "other"
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

// hook calls the hook at a point, for an operation that brought what is named so.
func (r *rig) hook(p hook.Point, m machine.Status, brought ...string) error {
	r.t.Helper()
	for _, h := range r.keeper.Hooks() {
		if h.At == p {
			return h.Do(r.t.Context(), hook.VM{ID: id, Name: "dev", Dir: r.vmDir(), Machine: m, Brought: strings.Join(brought, "")})
		}
	}
	r.t.Fatalf("there is no hook at %s", p)
	return nil
}

// put puts down what comes with a request.
func (r *rig) put(s auth.Sent) (name string, takeBack func()) {
	r.t.Helper()
	name, takeBack, err := r.keeper.Given(s).Put(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return name, takeBack
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
	return r.keeper.Of(vm.View{Record: vm.Record{ID: id}, Dir: r.vmDir(), Live: live})
}

// What comes with a create or a start is kept by its hook, privately; the guest
// that has it from its monitor is not told again.
func TestWhatComesWithARequest(t *testing.T) {
	r := newRig(t)
	if err := r.hook(hook.Ready, machine.Status{}); err != nil { // nothing was ever sent
		t.Error(err)
	}
	name, _ := r.put(aSet("~/a"))
	if err := errors.Join(r.hook(hook.Create, machine.Status{}, name), r.hook(hook.Create, machine.Status{}, name)); err != nil {
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
	name, takeBack := r.put(aSet("~/b"))
	takeBack()
	if err := r.hook(hook.PreStart, machine.Status{}, name); err != nil || len(r.kept().Files) != 1 || r.staged() != 0 {
		t.Errorf("%v, %+v", err, r.kept())
	}
	name, _ = r.put(aSet("~/b"))
	if err := r.hook(hook.PreStart, machine.Status{}, name); err != nil || len(r.kept().Files) != 2 {
		t.Errorf("%v, %+v", err, r.kept())
	}

	r.refuse = nil
	has := machine.Status{Guest: wire.Hello{Auth: &wire.AuthReport{ID: r.kept().ID, Files: []string{"", "it does not fit"}}}}
	err := r.hook(hook.Ready, has)
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
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{Paths: []string{"~/b"}}, "")); rec.State != operation.Succeeded || len(r.kept().Files) != 1 || !slices.Equal(r.kept().Gone, []string{"~/b"}) {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	if got := r.reports[len(r.reports)-1]; got.ID != r.kept().ID {
		t.Errorf("the guest was told of %q, not %q", got.ID, r.kept().ID)
	}
	if _, err := r.keeper.Remove(t.Context(), "dev", auth.Removal{Paths: []string{"~/never"}}, ""); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{}, "")); rec.State != operation.Succeeded || len(r.kept().Files) != 0 || !r.view(nil).Off {
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
	name, _ := r.put(aSet("~/a"))
	r.put(aSet("~/b"))
	if err := r.keeper.Start(t.Context(), taking(name)); err != nil || r.staged() != 1 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := r.hook(hook.Create, machine.Status{}, name); err != nil || len(r.kept().Files) != 1 {
		t.Errorf("%v", err)
	}
	r.put(aSet("~/b"))
	if err := r.hook(hook.Delete, machine.Status{}); err != nil || r.staged() != 0 {
		t.Errorf("%v, %d", err, r.staged())
	}
}

// taking is an operation that goes on, and takes what has this name.
type taking string

func (taking) Begin(context.Context, operation.Request) (operation.Record, error) {
	return operation.Record{}, errors.New("nothing is begun")
}

func (taking) Known(context.Context, string, string) (*operation.Record, error) { return nil, nil }

func (name taking) List(_ context.Context, all bool) ([]operation.Record, error) {
	params, err := json.Marshal(map[string]any{"brought": map[string]string{"auth": string(name)}})
	if all {
		return nil, errors.New("what has ended takes nothing")
	}
	return []operation.Record{{Params: params}}, err
}

// An operation takes and drops what its own request brought, and no other's.
func TestOnlyItsOwn(t *testing.T) {
	r := newRig(t)
	mine, _ := r.put(aSet("~/mine"))
	another, _ := r.put(aSet("~/another"))
	if err := r.hook(hook.GivenUp, machine.Status{}, mine); err != nil || r.staged() != 1 {
		t.Errorf("%v, %d", err, r.staged())
	}
	mine, _ = r.put(aSet("~/mine"))
	if err := r.hook(hook.PreStart, machine.Status{}, mine); err != nil || r.staged() != 1 || len(r.kept().Files) != 1 || r.kept().Files[0].Path != "~/mine" {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := r.hook(hook.PreStart, machine.Status{}); err != nil || r.staged() != 1 { // nothing came along
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := r.hook(hook.PreStart, machine.Status{}, another); err != nil || r.staged() != 0 || len(r.kept().Files) != 2 {
		t.Errorf("%v, %d", err, r.staged())
	}
}

// Two requests of one key leave nothing, whichever of them is first.
func TestTwoPushesOfOneKey(t *testing.T) {
	r := newRig(t)
	beside := &hasty{Registry: r.ops, before: func() {
		r.done(r.keeper.Push(t.Context(), "dev", aSet("~/first"), "once"))
	}}
	if err := r.keeper.Start(t.Context(), beside); err != nil {
		t.Fatal(err)
	}
	r.done(r.keeper.Push(t.Context(), "dev", aSet("~/second"), "once"))
	if r.staged() != 0 || len(r.kept().Files) != 1 || r.kept().Files[0].Path != "~/first" {
		t.Errorf("%d, %+v", r.staged(), r.kept())
	}
}

// hasty is a registry at which somebody is just before.
type hasty struct {
	*operation.Registry
	before func()
}

func (h *hasty) Begin(ctx context.Context, req operation.Request) (operation.Record, error) {
	if before := h.before; before != nil {
		h.before = nil
		before()
	}
	return h.Registry.Begin(ctx, req)
}

// What does not fit, or cannot be written, is told and dropped: nobody takes it
// later. What was interrupted or given up is not written.
func TestTakeThatFails(t *testing.T) {
	r := newRig(t)
	put := func(path string, size int) string {
		t.Helper()
		s := aSet(path)
		s.Files[0].Data = make(credential.Secret, size)
		name, _ := r.put(s)
		return name
	}
	for _, path := range []string{"~/a", "~/b"} {
		if err := r.hook(hook.PreStart, machine.Status{}, put(path, credential.MaxFile)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.hook(hook.PreStart, machine.Status{}, put("~/c", 1)); fault.KindOf(err) != fault.Invalid || r.staged() != 0 || len(r.kept().Files) != 2 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := os.RemoveAll(r.vmDir()); err != nil {
		t.Fatal(err)
	}
	if err := r.hook(hook.PreStart, machine.Status{}, put("~/d", 1)); err == nil || r.staged() != 0 {
		t.Errorf("%v, %d", err, r.staged())
	}
	if err := os.MkdirAll(r.vmDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	name := put("~/e", 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, h := range r.keeper.Hooks() {
		if h.At != hook.PreStart && h.At != hook.GivenUp {
			continue
		}
		if err := h.Do(ended, hook.VM{ID: id, Brought: name}); !errors.Is(err, context.Canceled) || r.staged() != 1 {
			t.Errorf("%s: %v, %d", h.At, err, r.staged())
		}
	}
	if _, err := os.Stat(filepath.Join(r.vmDir(), machine.AuthFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was written all the same: %v", err)
	}
	if err := r.hook(hook.PreStart, machine.Status{}, name); err != nil || r.staged() != 0 || len(r.kept().Files) != 1 {
		t.Errorf("%v, %d", err, r.staged())
	}
}

// A removal that the guest did not hear of is told, seen, and can be repeated.
func TestRemovalThatTheGuestDidNotHear(t *testing.T) {
	r := newRig(t)
	r.done(r.keeper.Push(t.Context(), "dev", aSet("~/old"), ""))
	r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{Paths: []string{"~/old"}}, ""))
	r.done(r.keeper.Push(t.Context(), "dev", aSet("~/a"), ""))
	live := &machine.Status{Guest: wire.Hello{Auth: &wire.AuthReport{ID: r.kept().ID, Files: []string{""}}}}
	r.refuse = fault.New(fault.Unavailable, "", "it is paused")
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{Paths: []string{"~/a"}}, "")); rec.State != operation.Failed {
		t.Errorf("%s", rec.State)
	}
	if v := r.view(live); len(v.Files) != 1 || v.Files[0] != (auth.FileView{Path: "~/a", State: "still in the guest"}) {
		t.Errorf("%+v", v)
	}
	if v := r.view(nil); len(v.Files) != 0 {
		t.Errorf("one that does not run has %+v", v)
	}
	r.refuse = nil
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{Paths: []string{"~/a"}}, "")); rec.State != operation.Succeeded || len(r.reports) != 1 {
		t.Errorf("%s %+v, %+v", rec.State, rec.Error, r.reports)
	}
	live.Guest.Auth = &r.reports[0]
	if v := r.view(live); len(v.Files) != 0 {
		t.Errorf("%+v", v)
	}
	r.other = true
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{Paths: []string{"~/a"}}, "")); rec.State != operation.Failed || rec.Error.Kind != fault.Unavailable {
		t.Errorf("an answer about another state: %s %+v", rec.State, rec.Error)
	}
}

// That there are no keys and no name any more comes through an operation.
func TestNoneAreSent(t *testing.T) {
	r := newRig(t)
	all := aSet("~/a")
	all.Keys = []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0EzFVqUsMqLfnGhO7hyjwDuJH0g8yT5o2HIcWHSZlu me"}
	r.done(r.keeper.Push(t.Context(), "dev", all, ""))
	none := auth.Sent{Set: credential.Set{Git: &credential.Git{}, Keys: []string{}}}
	name, _ := r.put(none)
	if err := r.hook(hook.PreStart, machine.Status{}, name); err != nil {
		t.Error(err)
	}
	if a := r.kept(); a.Git != nil || len(a.Keys) != 0 || len(a.Files) != 1 {
		t.Errorf("%+v", a)
	}
	r.done(r.keeper.Push(t.Context(), "dev", all, ""))
	if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{Keys: true}, "")); rec.State != operation.Succeeded {
		t.Errorf("%s %+v", rec.State, rec.Error)
	}
	if a := r.kept(); a.Git == nil || len(a.Keys) != 0 || len(a.Files) != 1 {
		t.Errorf("%+v", a)
	}
}

// What cannot be read is a problem that is seen, and written anew by taking all
// away.
func TestDamaged(t *testing.T) {
	for name, text := range map[string]string{"broken": "{", "huge": `{"id":"1"` + strings.Repeat(" ", 2<<20) + "}"} {
		r := newRig(t)
		if err := os.WriteFile(filepath.Join(r.vmDir(), machine.AuthFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if v := r.view(nil); len(v.Problems) != 1 || !strings.Contains(v.Problems[0], "cannot be read") || !strings.Contains(v.Problems[0], "banger auth rm") {
			t.Errorf("%s: %+v", name, v)
		}
		if _, err := r.keeper.Push(t.Context(), "dev", aSet("~/a"), ""); fault.KindOf(err) != fault.Precondition || r.staged() != 0 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.keeper.Remove(t.Context(), "dev", auth.Removal{Keys: true}, ""); fault.KindOf(err) != fault.Precondition {
			t.Errorf("%s: %v", name, err)
		}
		if rec := r.done(r.keeper.Remove(t.Context(), "dev", auth.Removal{}, "")); rec.State != operation.Succeeded || !r.view(nil).Off {
			t.Errorf("%s: %s %+v", name, rec.State, rec.Error)
		}
		if rec := r.done(r.keeper.Push(t.Context(), "dev", aSet("~/a"), "")); rec.State != operation.Succeeded || len(r.view(nil).Files) != 1 {
			t.Errorf("%s: %s %+v", name, rec.State, rec.Error)
		}
	}
}

// A push and a removal that succeed mend what a start could not give.
func TestMended(t *testing.T) {
	r := newRig(t)
	r.refuse = nil
	lacks := func() bool {
		t.Helper()
		v, err := r.store.VM(t.Context(), "dev")
		if err != nil {
			t.Fatal(err)
		}
		return len(v.Lacking) > 0
	}
	for name, change := range map[string]func() (operation.Record, error){
		"push":   func() (operation.Record, error) { return r.keeper.Push(t.Context(), "dev", aSet("~/a"), "") },
		"remove": func() (operation.Record, error) { return r.keeper.Remove(t.Context(), "dev", auth.Removal{}, "") },
	} {
		if err := r.store.ChangeVM(t.Context(), id, func(v *vm.Record) bool {
			v.Lacking = map[string]vm.Lack{"auth": {Step: "ready: auth", Sentence: "It failed."}}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		r.reason = "it does not fit"
		if r.done(r.keeper.Push(t.Context(), "dev", aSet("~/a"), "")); !lacks() {
			t.Errorf("%s: what failed has mended it", name)
		}
		r.reason = ""
		if rec := r.done(change()); rec.State != operation.Succeeded || lacks() {
			t.Errorf("%s: %s, %v", name, rec.State, lacks())
		}
	}
}
