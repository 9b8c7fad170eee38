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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

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
	return hostexec.Spawn(hostexec.Daemon{
		Name: s.Stage[0], Args: append(append([]string{}, s.Stage[1:]...), roleInside, string(plan)), Dir: "/", Env: []string{},
		Stdin: f.Stdin, Stdout: f.Stdout, Stderr: f.Stderr, ExtraFiles: f.Extra,
		Namespaces: &hostexec.Namespaces{
			Mount: true, PID: true, IPC: true, UTS: true, Network: true, ID: innerID,
			Capabilities: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP},
		},
	})
}

// trial bounds Try; only a hung host needs it.
const trial = 10 * time.Second

// Try runs the program once, with args, to see whether it can be enclosed
// here; an error says why not.
func (s Starter) Try(ctx context.Context, path string, p Plan, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, trial)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer r.Close()
	p.Args = append([]string{path}, args...)
	proc, err := s.Start(path, p, Files{Stderr: w})
	err = errors.Join(err, w.Close())
	if err != nil {
		return err
	}
	defer proc.Close()
	exit, err := proc.Wait(ctx)
	if err != nil {
		return errors.Join(err, proc.Kill())
	}
	said, err := io.ReadAll(io.LimitReader(r, 4096)) // nobody writes any more
	if err == nil && (exit.Code != 0 || !exit.Known) {
		err = errors.New(exit.String())
		if last := hostexec.LastLine(bytes.TrimSpace(said)); last != "" {
			err = errors.New(last)
		}
	}
	return err
}
