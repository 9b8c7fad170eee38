// Package enclose starts a program in namespaces of its own: user, mount, pid,
// ipc, uts and network, with a root that holds nothing but the files it is
// given, read-only but for one directory, and without any capability. No
// privilege is needed for it.
//
// The program is started through a stage, which is this program again: it
// builds the root from the inside and then becomes the program, so nothing of
// it stays. A process that has confined itself may not build roots any more;
// it keeps a Warden, made before, that does it.
package enclose

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/hostexec"
)

// Plan is what a program sees of the host. Its root and directory are empty
// but for what is named here.
type Plan struct {
	// Root is an empty directory of the host, which the root is built on.
	Root string `json:"root"`
	// Dir is the directory of the host that the program may write to. It is
	// RunDir inside, and the program's working directory.
	Dir   string   `json:"dir"`
	Binds []Bind   `json:"binds"`
	Args  []string `json:"args"` // the whole command line; argv[0] is a title
	Env   []string `json:"env"`  // the whole environment
	// Wire is the descriptor at which the program holds the wire of its network
	// card (package wire); what comes as that descriptor is where it is passed
	// on over. 0: it has no card.
	Wire int `json:"wire,omitempty"`
}

// Bind is a file of the host at a path inside.
type Bind struct {
	From     string `json:"from"`
	To       string `json:"to"` // absolute
	Writable bool   `json:"writable,omitempty"`
	Device   bool   `json:"device,omitempty"`
}

// The paths inside.
const (
	RunDir  = "/run"
	Program = "/program" // what is run; Plan.Binds need not name it
)

// Failed is the exit code of a stage that could not enclose its program, which
// then has not run; why is on its standard error.
const Failed = 71

// innerID is the program's user and group inside; outside they are ours.
const innerID = 1000

// Starter starts enclosed programs. Stage is the command line that runs Main.
type Starter struct{ Stage []string }

// Files are the descriptors of an enclosed program.
type Files struct {
	Stdin, Stdout, Stderr *os.File
	Extra                 []*os.File // from descriptor 3 on
}

// Start starts the program at path as p has it.
func (s Starter) Start(path string, p Plan, f Files) (*hostexec.Process, error) {
	p.Binds = append([]Bind{{From: path, To: Program}}, p.Binds...)
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding an enclosure: %w", err)
	}
	proc, err := hostexec.Spawn(hostexec.Daemon{
		Name: s.Stage[0], Title: p.Args[0], Args: append(append([]string{}, s.Stage[1:]...), roleInside, string(plan)), Dir: "/", Env: []string{},
		Stdin: f.Stdin, Stdout: f.Stdout, Stderr: f.Stderr, ExtraFiles: f.Extra,
		Namespaces: &hostexec.Namespaces{
			Mount: true, PID: true, IPC: true, UTS: true, Network: true, ID: innerID,
			Capabilities: capabilities(p),
		},
	})
	return proc, explain(err)
}

// capabilities are what the stage needs for p.
func capabilities(p Plan) []uintptr {
	needed := []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP}
	if p.Wire > 0 {
		needed = append(needed, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW)
	}
	return needed
}

// explain says what a kernel means that makes no namespaces.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fmt.Errorf("this host allows no more user namespaces (see user.max_user_namespaces): %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("this host forbids user namespaces to this user (see kernel.unprivileged_userns_clone, or AppArmor): %w", err)
	}
	return err
}
