package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/test/host/call"
	"github.com/banger-vm/banger/test/host/machine"
)

// maxOutput bounds what a line of the table may print.
const maxOutput = 64 << 20

// results turns what a test program prints into events, as go test -json does,
// in a file of its own.
type results struct {
	pkg       string
	in        *io.PipeWriter
	left      int64
	converted chan error
	file      *os.File
}

// newResults begins the results of a line; its name tells them from those of
// the same tests in another line.
func (r *rig) newResults(ctx context.Context, t Test) (*results, error) {
	file, err := os.Create(r.result("host-" + t.Name + ".json"))
	if err != nil {
		return nil, err
	}
	pipe, in := io.Pipe()
	res := &results{
		pkg: module + t.Package + "@" + t.Name,
		in:  in, left: maxOutput, converted: make(chan error, 1), file: file,
	}
	go func() {
		_, err := r.run.Run(ctx, hostexec.Cmd{
			Name: "go", Args: []string{"tool", "test2json", "-t", "-p", res.pkg}, Dir: r.source, Stdin: pipe, Stdout: res.file,
		})
		_ = pipe.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // never fails
		res.converted <- err
	}()
	return res, nil
}

func (r *results) Write(p []byte) (int, error) {
	if r.left -= int64(len(p)); r.left < 0 {
		return 0, fmt.Errorf("the tests printed more than %d bytes", int64(maxOutput))
	}
	return r.in.Write(p)
}

// close ends the results; how the program ended is one of them.
func (r *results) close(exit call.Exit, lost error) error {
	err := errors.Join(r.in.Close(), <-r.converted)
	switch {
	case lost != nil:
		err = errors.Join(err, r.fail(lost.Error()))
	case exit.Error != "":
		err = errors.Join(err, r.fail("the test program: "+exit.Error))
	case exit.Code != 0: // with what test2json says of it the report counts it once
		err = errors.Join(err, r.fail(fmt.Sprintf("the test program ended with exit code %d", exit.Code)))
	}
	return errors.Join(err, r.file.Close())
}

// fail adds the failure of the whole line.
func (r *results) fail(why string) error {
	type event struct {
		Time                    time.Time
		Action, Package, Output string `json:",omitempty"`
	}
	enc := json.NewEncoder(r.file)
	now := time.Now()
	return errors.Join(
		enc.Encode(event{Time: now, Action: "output", Package: r.pkg, Output: why + "\n"}),
		enc.Encode(event{Time: now, Action: "fail", Package: r.pkg}),
	)
}

// evidence keeps what a host with failed tests can tell.
func (r *rig) evidence(ctx context.Context, t Test, m *machine.Machine) error {
	out, err := os.Create(r.result("host-" + t.Name + ".log"))
	if err != nil {
		return err
	}
	const script = "ps axfww -o pid,user,stat,etime,cmd; journalctl -b --no-pager -n 2000; dmesg | tail -n 200"
	_, err = m.Run(ctx, call.Run{Argv: []string{"sh", "-c", script}, Timeout: time.Minute}, machine.IO{Stdout: out, Stderr: out})
	if _, e := fmt.Fprintf(out, "--- the console:\n%s\n", m.Console()); e != nil {
		err = errors.Join(err, e)
	}
	r.log.Info("tests failed; the host's processes and journal are kept", "file", out.Name())
	return errors.Join(err, out.Close(), r.fetch(ctx, m))
}
