package execs

import (
	"fmt"
	"os"
)

// files makes the command's stdin, stdout and stderr, and the process with our
// ends of them.
func (p *plan) files() (theirs []*os.File, proc *process, err error) {
	uid := int(p.user.uid)
	if p.spec.TTY {
		master, slave, err := openTerminal(p.spec.Rows, p.spec.Cols, uid)
		if err != nil {
			return nil, nil, err
		}
		proc := &process{tty: master, stdin: master, stdout: &output{file: master}}
		return []*os.File{slave, slave, slave}, proc, nil
	}
	var ours []*os.File
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(append(ours, theirs...))
			return nil, nil, fmt.Errorf("making a pipe for the command: %w", err)
		}
		if i == 0 {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
		if uid == os.Geteuid() {
			continue
		}
		// So that it can open /dev/stdout and the like.
		if err := w.Chown(uid, -1); err != nil {
			closeAll(append(ours, theirs...))
			return nil, nil, fmt.Errorf("giving the command its pipe: %w", err)
		}
	}
	return theirs, &process{stdin: ours[0], stdout: &output{file: ours[1]}, stderr: &output{file: ours[2]}}, nil
}

// abort gives up what was made for a command that did not start.
func (p *process) abort() {
	files := []*os.File{p.stdin, p.stdout.file}
	if p.stderr != nil {
		files = append(files, p.stderr.file)
	}
	closeAll(files)
	if p.cgroup != nil {
		_ = p.cgroup.remove() // it is empty
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written
	}
}
