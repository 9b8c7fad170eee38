package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/credential"
	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/internal/guestd/agent"
	"github.com/banger-vm/banger/internal/guestd/auth"
	"github.com/banger-vm/banger/internal/guestd/login"
	"github.com/banger-vm/banger/internal/jsonfile"
	"github.com/banger-vm/banger/internal/machine"
	"github.com/banger-vm/banger/internal/vmm"
	"github.com/banger-vm/banger/test/guestrig"
)

// withUser gives a monitor the real agent of a guest whose root is a directory,
// with a user dev; its identity alone is made up.
func withUser(t *testing.T, m *Monitor) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, dir := range []string{"etc", "run", "home/dev"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	passwd := fmt.Sprintf("dev:x:%d:%d::/home/dev:/bin/sh\n", os.Geteuid(), os.Getegid())
	if err := os.WriteFile(filepath.Join(root, "etc/passwd"), []byte(passwd), 0o600); err != nil {
		t.Fatal(err)
	}
	own := auth.New(login.New(filepath.Join(root, "etc")), auth.Config{Root: root})
	none := http.NotFoundHandler()
	a, err := agent.New(slog.New(slog.DiscardHandler), agent.Config{
		Version: "1", Boot: agent.Boot{User: "dev"}, Auth: own.Give,
		Apply:      func(wire.Identity) ([]string, error) { return nil, nil },
		Identified: func() error { return nil },
		Exec:       func(func() string) agent.Executor { return idle{none} },
		Dial:       none, Listeners: none,
		Files: func(func() string) (put, get http.Handler) { return none, none },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.agent = guestrig.Serve(t, a.Handler())
	return root
}

// idle runs nothing.
type idle struct{ http.Handler }

func (idle) Running() int { return 0 }

// given reads a file of a guest's home, through a link of ours.
func given(t *testing.T, root, name string) string {
	t.Helper()
	to, err := os.Readlink(filepath.Join(root, "home/dev", name))
	if err != nil {
		return "-"
	}
	text, err := os.ReadFile(filepath.Join(root, to))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func keepAuth(t *testing.T, m *Monitor, id string, files ...credential.File) {
	t.Helper()
	if err := jsonfile.Write(m.launch.Spec.Dir, machine.AuthFile, wire.Auth{ID: id, Set: credential.Set{Files: files}}); err != nil {
		t.Fatal(err)
	}
}

// With each identity, and whenever the daemon says so, the guest has what the file
// in the VM's directory says; the status tells of which state that is.
func TestGuestHasWhatIsItsUsers(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	root := withUser(t, m)
	file := func(text string) credential.File {
		return credential.File{Path: "~/.netrc", Mode: 0o600, Data: credential.Secret(text)}
	}
	if err := m.identify(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if s, _ := m.board.get(); s.Guest.Auth != nil || s.ReadyMS == 0 || given(t, root, ".netrc") != "-" {
		t.Errorf("nothing was said: %+v", s.Guest)
	}
	if r, err := m.handleAuth(t.Context(), api.Empty{}); err != nil || r.ID != "" {
		t.Errorf("%+v, %v", r, err)
	}
	keepAuth(t, m, "1", file("one"))
	if err := m.identify(t.Context(), time.Now()); err != nil { // as after a reboot
		t.Fatal(err)
	}
	if s, _ := m.board.get(); s.Guest.Auth == nil || s.Guest.Auth.ID != "1" || given(t, root, ".netrc") != "one" {
		t.Errorf("%+v", s.Guest.Auth)
	}
	keepAuth(t, m, "2", file("two"))
	r, err := m.handleAuth(t.Context(), api.Empty{})
	if s, _ := m.board.get(); err != nil || r.ID != "2" || s.Guest.Auth.ID != "2" || given(t, root, ".netrc") != "two" {
		t.Errorf("%+v, %v, %+v", r, err, s.Guest.Auth)
	}
	if err := os.WriteFile(filepath.Join(m.launch.Spec.Dir, machine.AuthFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.identify(t.Context(), time.Now()); err != nil {
		t.Errorf("a broken file keeps the guest from its identity: %v", err)
	}
	if _, err := m.handleAuth(t.Context(), api.Empty{}); err == nil {
		t.Error("a broken file was taken")
	}
	m.board.update(func(s *machine.Status) { s.Phase, s.ReadyMS = machine.PhaseExited, 0 })
	if _, err := m.handleAuth(t.Context(), api.Empty{}); fault.KindOf(err) != fault.Precondition {
		t.Errorf("of a VM that has ended: %v", err)
	}
}

// A guest that was paused when something changed has it once it goes on, and one
// that says it has something else is told again.
func TestGuestThatDidNotHear(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	root := withUser(t, m)
	file := credential.File{Path: "~/.netrc", Mode: 0o600, Data: credential.Secret("one")}
	keepAuth(t, m, "1", file)
	if err := m.identify(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	go m.keepAuth(t.Context())
	m.paused(vmm.PauseAsked)
	if err := jsonfile.Write(m.launch.Spec.Dir, machine.AuthFile, wire.Auth{ID: "2", Gone: []string{"~/.netrc"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.handleAuth(t.Context(), api.Empty{}); err == nil || given(t, root, ".netrc") != "one" {
		t.Errorf("a paused guest was told: %v", err)
	}
	m.resumed()
	has := func(id string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if s, err := m.board.wait(ctx, func(s machine.Status) bool { return s.Guest.Auth.ID == id }); err != nil {
			t.Fatalf("it has %+v, %v", s.Guest.Auth, err)
		}
	}
	has("2")
	if got := given(t, root, ".netrc"); got != "-" {
		t.Errorf("it has %q", got)
	}
	keepAuth(t, m, "3", file)
	s, _ := m.board.get()
	s.Guest.Auth = &wire.AuthReport{ID: "older"} // as of a guest that was slow
	if err := m.heard(t.Context(), s.Guest, time.Now()); err != nil {
		t.Fatal(err)
	}
	if has("3"); given(t, root, ".netrc") != "one" {
		t.Errorf("it has %q", given(t, root, ".netrc"))
	}
}

// An answer that does not say what became of it is no success.
func TestAnswerThatSaysNothing(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	withUser(t, m)
	if err := m.identify(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	keepAuth(t, m, "1")
	for _, report := range []*wire.AuthReport{nil, {ID: "another"}} {
		mux := http.NewServeMux()
		mux.HandleFunc("PUT "+wire.PathAuth, func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(wire.Hello{Protocol: 1, Phase: wire.PhaseReady, Auth: report}); err != nil {
				t.Error(err)
			}
		})
		m.agent = guestrig.Serve(t, mux)
		if _, err := m.handleAuth(t.Context(), api.Empty{}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%+v: %v", report, err)
		}
		if s, _ := m.board.get(); s.Guest.Auth != nil {
			t.Errorf("%+v", s.Guest.Auth)
		}
	}
}

// An agent from before there was such a thing gets its identity all the same, and
// the change is refused with the next step.
func TestOlderAgent(t *testing.T) {
	m := forwarder(t, t.TempDir(), "b1")
	mux := http.NewServeMux()
	mux.HandleFunc("PUT "+wire.PathIdentity, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxLine))
		var answer any = wire.Hello{Protocol: 1, Phase: wire.PhaseReady}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			answer = wire.ExecFail{Kind: "invalid", Message: err.Error()}
		}
		if json.NewEncoder(w).Encode(answer) != nil || err == nil && len(body) == 0 {
			t.Error("nothing was sent")
		}
	})
	m.agent = guestrig.Serve(t, mux)
	keepAuth(t, m, "1", credential.File{Path: "~/a", Mode: 0o600, Data: make(credential.Secret, 100<<10)})
	if err := m.identify(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if s, _ := m.board.get(); s.ReadyMS == 0 {
		t.Errorf("%+v", s)
	}
	if _, err := m.handleAuth(t.Context(), api.Empty{}); fault.KindOf(err) != fault.Precondition || fault.From(err).Hint == "" {
		t.Error(err)
	}
}
