package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

const (
	user     = "user" // the test host's ordinary user
	state    = "/home/user/.local/state/banger"
	cache    = "/home/user/.cache/banger"
	config   = "/home/user/.config/banger/config.toml"
	deadline = 4 * time.Minute
)

// breakage is a way to break the host, or banger on it.
type breakage struct {
	check string // that must name it
	how   string // for root's sh
	env   string // or what the user's shell says before it asks
}

// breakages are mended in their order, each before the next.
var breakages = []breakage{
	{check: "kvm", how: "gpasswd -d user kvm; chmod 0660 /dev/kvm; setfacl -b /dev/kvm 2>/dev/null || :"},
	{check: "tun", how: "chmod 0600 /dev/net/tun"},
	{check: "user-namespaces", how: "sysctl kernel.unprivileged_userns_clone=0"},
	{check: "namespace-limit", how: "sysctl user.max_user_namespaces=3"},
	{check: "subordinate-ids", how: "sed -i /^user:/d /etc/subuid /etc/subgid"},
	{check: "file-handles", how: "sysctl fs.file-max=$(($(cut -f1 /proc/sys/fs/file-nr) + 40))"},
	{check: "state-dir", how: "chmod 0777 " + state},
	{check: "runtime-dir", how: "chmod 0777 /run/user/1001/banger"},
	{check: "cache-dir", how: "mkdir -p " + cache + "; chown root: " + cache},
	{check: "ssh-key", how: "chmod 0644 " + state + "/ssh/id_ed25519"},
	{check: "ssh-config", how: "rm -f /home/user/.ssh/config"},
	{check: "config", how: "mkdir -p $(dirname " + config + "); echo 'nosuch = 1' >" + config + "; chown -R user: /home/user/.config"},
	{check: "daemon", how: "kill -STOP $(cat " + state + "/lock)"},
	{check: "database", how: "rm -f " + state + "/banger.db-*; yes damaged | head -c 4096 >" + state + "/banger.db"},
	{check: "runtime-dir-variable", env: "unset XDG_RUNTIME_DIR"},
	{check: "temp-dir", env: "export TMPDIR=/proc"},
	{check: "socket-path", env: "export BANGER_SOCKET=/tmp/" + strings.Repeat("long", 30) + "/s"},
}

// TestReal breaks one thing, looks, does what it is told, and looks again.
func TestReal(t *testing.T) {
	if os.Getenv("BANGER_TEST_HOST") != "1" {
		t.Skip("this is not the test host: make test-host")
	}
	asUser(t, "banger ls && banger ssh-config --install") // makes what is to be broken
	mended := 0
	defer func() {
		if mended < 12 {
			t.Errorf("only %d things were broken, named and mended", mended)
		}
	}()
	for _, b := range breakages {
		t.Run(b.check, func(t *testing.T) {
			if c := ask(t, b.check, ""); c.State != api.DoctorOK {
				t.Fatalf("it is not well to begin with: %+v", c)
			}
			asRoot(t, b.how)
			c := ask(t, b.check, b.env)
			if c.State != api.DoctorWarn && c.State != api.DoctorFail || c.Command == "" {
				t.Fatalf("it is not named: %+v", c)
			}
			t.Logf("%s: %s", c.Found, c.Command)
			env := b.env
			switch {
			case strings.HasPrefix(c.Command, "export "):
				env += "; " + c.Command
			case strings.Contains(c.Command, "sudo "):
				asRoot(t, `sudo() { "$@"; }; `+c.Command)
			default:
				asUser(t, "EDITOR='truncate -s 0'; "+c.Command)
			}
			if c := ask(t, b.check, env); c.State != api.DoctorOK {
				t.Fatalf("its command does not mend it: %+v", c)
			}
			mended++
		})
	}
}

// ask is what a check finds, asked by the user in a session of its own.
func ask(t *testing.T, check, env string) api.DoctorCheck {
	t.Helper()
	if env != "" {
		env += "; "
	}
	out, err := script(t, "runuser", "-l", user, "-c", userPath+env+"banger doctor --json")
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%v: %s", err, out)
	}
	var r api.DoctorReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, c := range r.Checks {
		if c.Name == check {
			return c
		}
	}
	t.Fatalf("there is no check %s", check)
	return api.DoctorCheck{}
}

// userPath is where the user finds the programs, and the session's directory.
const userPath = "export PATH=/payload/bin:/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/1001; "

func asUser(t *testing.T, line string) {
	t.Helper()
	if out, err := script(t, "runuser", "-l", user, "-c", userPath+line); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func asRoot(t *testing.T, line string) {
	t.Helper()
	if line == "" {
		return
	}
	if out, err := script(t, "sh", "-c", line); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// script runs a command to its end and returns its standard output.
func script(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = "/", 10*time.Second
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err != nil && out.Len() == 0 {
		return stderr.String(), err
	}
	return out.String(), err
}
