package bootstrap

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/hostexec"
)

// ordinary is a user who has no name here.
const ordinary = 54321

func ordinaryBuilder(t *testing.T, h hostexec.Runner, subuid, subgid string) *Builder {
	t.Helper()
	b := newBuilder(t, newHost(), "")
	b.run, b.cfg.UID = h, ordinary
	for path, body := range map[string]string{b.cfg.SubUID: subuid, b.cfg.SubGID: subgid} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

const some = "54321:100000:65536\n"

// An ordinary user's commands run in one kind of user namespace, where the
// tree's owners are those of the image; the image is the same as root's.
func TestMakeAsAUser(t *testing.T) {
	h, dir := newHost(), t.TempDir()
	b := ordinaryBuilder(t, h, some, some)
	img, err := b.Make(t.Context(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range h.Commands() {
		if env := strings.Join(c.Env, "\n"); slices.Contains(c.Args, "mke2fs") && !strings.HasSuffix(env, ":/usr/sbin:/sbin") {
			t.Errorf("mke2fs is not looked for in the sbin directories: %q", env)
		}
	}
	b.cfg.UID = 0
	if recipe, err := b.Recipe(t.Context()); err != nil || recipe != img.Recipe {
		t.Errorf("as root the recipe is %s (%v), not %s", recipe, err, img.Recipe)
	}
	commands := h.String()
	for _, want := range []string{
		"unshare --user --map-root-user --map-auto --mount --pid --fork --kill-child --mount-proc -- mmdebstrap --verbose --mode=unshare ",
		"unshare --user --map-root-user --map-auto -- mke2fs ",
	} {
		if !strings.Contains(commands, want) {
			t.Errorf("no command begins with %q:\n%s", want, commands)
		}
	}
}

// Who may have no namespace is told what to do, before anything is fetched.
func TestUserWithoutRights(t *testing.T) {
	const add = "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 54321"
	for _, c := range []struct{ name, subuid, subgid, script, want string }{
		{"nobody has any", "", "", "", "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 54321"},
		{"others have some", "root:100000:65536\n", "root:100000:65536\n", "", add},
		{"no groups", some, "# none\n54321:x:65536\n54321:1\n", "", add},
		{"too few", "54321:100000:1000\n54321:200000:65536\n", some, "", "before the user's other ones there: 54321:265536:65536"},
		{"no newuidmap", some, some, `echo "unshare: failed to execute newuidmap: No such file or directory" >&2; exit 1`, "sudo apt-get install uidmap"},
		{"no namespaces", some, some, `echo "unshare: unshare failed: Operation not permitted" >&2; exit 1`, "sudo sysctl kernel.unprivileged_userns_clone=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost()
			h.script = c.script
			_, err := ordinaryBuilder(t, h, c.subuid, c.subgid).Make(t.Context(), t.TempDir(), quiet)
			if f := fault.From(err); err == nil || f.Kind != fault.Precondition || !strings.Contains(f.Hint, c.want) {
				t.Errorf("%v, %+v; want the hint %q", err, fault.From(err), c.want)
			}
			if ran := strings.Contains(h.String(), "unshare"); ran != (c.script != "") {
				t.Errorf("it ran %s", h.String())
			}
		})
	}
}

// What belongs to subordinate users is removed as them.
func TestDiscardAsAUser(t *testing.T) {
	h, dir := newHost(), filepath.Join(t.TempDir(), "half")
	b := ordinaryBuilder(t, h, some, some)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(t.Context(), dir); err != nil || h.String() != "" {
		t.Errorf("%v, it ran %s", err, h.String())
	}
	b.removeAll = func(string) error { return &fs.PathError{Op: "unlinkat", Path: dir, Err: fs.ErrPermission} }
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.Discard(t.Context(), dir); err != nil || !strings.Contains(h.String(), "--map-auto -- rm -rf -- "+dir) {
		t.Errorf("%v, it ran %s", err, h.String())
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	b.cfg.UID = 0
	if err := b.Discard(t.Context(), dir); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("as root: %v", err)
	}
}
