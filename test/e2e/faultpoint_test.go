package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/operation"
	"github.com/banger-vm/banger/test/faults/table"
)

// fault is one line of the fault table.
type fault struct {
	step  string
	at    string        // an operation.Instant, or within
	part  int           // within: so many percent of its usual time after it has begun
	after time.Duration // and that is so long
	who   string        // daemon or monitor is ended, cancel: the operation is cancelled
}

// within is the middle of a step.
const within = "within"

func (f fault) String() string {
	at := f.at
	if f.at == within {
		at = fmt.Sprintf("%d %% into it", f.part)
	}
	return f.who + " " + at
}

// faultBench is a state directory in which a deed is done again and again.
type faultBench struct {
	*env
	deed
	round int
}

func newBench(t *testing.T, d deed) *faultBench {
	b := &faultBench{env: withBusybox(t), deed: d}
	if err := os.MkdirAll(b.moment(""), 0o700); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *faultBench) moment(name string) string { return filepath.Join(b.state(), "moment", name) }

// undisturbed does the deed once and returns its steps.
func (b *faultBench) undisturbed(t *testing.T) []api.OpStep {
	b.prepare(t)
	b.ok(t, b.arguments()...)
	op := b.operation(t)
	if op.State != api.OpSucceeded {
		t.Fatalf("undisturbed: %+v", op)
	}
	b.settled(t, op, b.to)
	return op.Steps
}

func (b *faultBench) arguments() []string {
	if b.more == nil {
		return b.args
	}
	return append(slices.Clone(b.args), b.more(b.round)...)
}

// faults are all that can happen at these steps.
func (b *faultBench) faults(steps []api.OpStep) []fault {
	var all []fault
	for _, s := range steps {
		for _, who := range []string{"daemon", "monitor", "cancel"} {
			all = append(all, fault{step: s.Name, at: string(operation.Starting), who: who})
			if d := time.Duration(s.MS * float64(time.Millisecond)); d > 4*time.Millisecond {
				for _, part := range parts() {
					all = append(all, fault{step: s.Name, at: within, part: part, after: d * time.Duration(part) / 100, who: who})
				}
			}
			all = append(all, fault{step: s.Name, at: string(operation.Acted), who: who})
		}
		for _, at := range []operation.Instant{operation.Undoing, operation.Reversed} {
			all = append(all, fault{step: s.Name, at: string(at), who: "daemon"})
		}
	}
	return all
}

// parts are how far into a step it is interrupted, in percent.
func parts() []int {
	if os.Getenv("BANGER_FAKE") != "" { // where that takes no time
		return []int{20, 50, 80}
	}
	return []int{50}
}

// endure does the deed with a fault in it, and looks at what became of it.
func (b *faultBench) endure(t *testing.T, f fault) {
	row := table.Row{Verb: b.name, Step: f.step, Fault: f.String()}
	t.Cleanup(func() {
		row.Failed = t.Failed()
		row.Tell(t)
		b.letGo(t)
	})
	b.prepare(t)
	daemon := b.daemonPID(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	undo := f.at == string(operation.Undoing) || f.at == string(operation.Reversed)
	first := f.at
	switch {
	case undo:
		first = string(operation.Acted)
	case first == within:
		first = string(operation.Starting)
	}
	b.holdUp(t, f.step, first)
	var said bytes.Buffer
	cmd := b.command(ctx, b.arguments()...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.reached(t)
	op := b.operation(t)
	if undo { // it is cancelled after the step
		b.cancel(t, op)
		b.holdUp(t, f.step, f.at)
		b.release(t)
		if !b.reachedOrEnded(t, op.ID) {
			b.clear(t)
			err := cmd.Wait()
			op = b.ended(t, op.ID)
			row.Ended = string(op.State) + "; nothing of this step is undone"
			b.judge(t, f, op, err, said.String())
			return
		}
	}
	if f.at == within {
		b.release(t)
		time.Sleep(f.after)
	}
	hit := b.strike(t, f.who, daemon, op)
	if f.at != within || f.who == "daemon" {
		b.clear(t)
	}
	err := cmd.Wait()
	op = b.ended(t, op.ID)
	t.Logf("%s: %s, taken up %d times; the command: %v %s", f, op.State, op.Resumed, err, clip(said.String()))
	row.Ended, row.Resumed = string(op.State), op.Resumed
	if op.State == api.OpFailed {
		row.Ended += ": " + op.Error.Message
	}
	if !hit {
		row.Ended += "; there was none"
	}
	b.judge(t, f, op, err, said.String())
}

// judge says whether the operation ended as it must, and the command with it.
func (b *faultBench) judge(t *testing.T, f fault, op api.Operation, err error, said string) {
	if (err == nil) != (op.State == api.OpSucceeded) {
		t.Errorf("the operation %s, the command said: %v %s", op.State, err, said)
	}
	canceled := f.who == "cancel" || f.at == string(operation.Undoing) || f.at == string(operation.Reversed)
	// A cancel counts, but in a step of no return, after one, and after all steps.
	mayGoOn := f.who != "cancel" || b.goesOn(op, f)
	switch {
	case op.State == api.OpSucceeded && mayGoOn:
		b.settled(t, op, b.to)
	case canceled && op.State == api.OpCanceled:
		b.settled(t, op, b.from, b.to, api.StateStopped)
	case f.who == "monitor" && op.State == api.OpFailed && op.Error != nil && op.Error.Message != "":
		b.settled(t, op, b.from, b.to, api.StateStopped, api.StateFailed)
	default:
		t.Fatalf("it ended as %s: %+v", op.State, op.Error)
	}
}

// goesOn reports whether an operation need not heed a cancel there.
func (b *faultBench) goesOn(op api.Operation, f fault) bool {
	if f.at == within { // the step may have ended first
		return true
	}
	for i, s := range op.Steps {
		if slices.Contains(b.final, s.Name) {
			return true
		}
		if s.Name == f.step {
			return i == len(op.Steps)-1 && f.at == string(operation.Acted) && b.kind == "vm.delete"
		}
	}
	return false
}

// strike does what the fault is; false where there is nobody to be ended.
func (b *faultBench) strike(t *testing.T, who string, daemon int, op api.Operation) bool {
	switch who {
	case "daemon":
		kill9(t, daemon)
	case "monitor":
		pid := b.monitor(t, op)
		if pid == 0 {
			return false
		}
		kill9(t, pid)
	case "cancel":
		b.cancel(t, op)
	}
	return true
}

// cancel asks for the operation's end, which may have gone too far for that.
func (b *faultBench) cancel(t *testing.T, op api.Operation) {
	t.Helper()
	if r := b.banger(t, "op", "cancel", op.ID); r.code != 0 && r.code != 5 {
		t.Errorf("cancelling: %s", r)
	}
}

// monitor is the pid of the VM's monitor, 0 if there is none.
func (b *faultBench) monitor(t *testing.T, op api.Operation) int {
	dir := filepath.Join(b.state(), "vms", strings.TrimPrefix(op.Target, "vm/"))
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range procs {
		cmdline, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(cmdline, []byte("\x00monitor\x00")) || !bytes.Contains(cmdline, []byte("\x00--dir\x00"+dir)) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			return pid
		}
	}
	return 0
}

// holdUp has the daemon wait in that moment of the deed.
func (b *faultBench) holdUp(t *testing.T, step, at string) {
	t.Helper()
	text := strings.Join([]string{b.kind, step, at}, "\n")
	if err := os.WriteFile(b.moment("next"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.moment("next"), b.moment("want")); err != nil {
		t.Fatal(err)
	}
}

func (b *faultBench) isReached() bool {
	_, err := os.Stat(b.moment("reached"))
	return err == nil
}

func (b *faultBench) reached(t *testing.T) {
	t.Helper()
	await(t, "the moment", b.isReached)
}

// reachedOrEnded is false where the operation ends without that moment.
func (b *faultBench) reachedOrEnded(t *testing.T, id string) bool {
	t.Helper()
	reached := false
	await(t, "the moment, or the end", func() bool {
		reached = b.isReached()
		return reached || b.show(t, id).State.Final()
	})
	return reached
}

// release lets the daemon go on.
func (b *faultBench) release(t *testing.T) {
	t.Helper()
	if err := os.Remove(b.moment("reached")); err != nil {
		t.Fatal(err)
	}
}

// clear has nobody held up any more.
func (b *faultBench) clear(t *testing.T) {
	t.Helper()
	for _, name := range []string{"want", "reached"} {
		if err := os.Remove(b.moment(name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// operation is the newest one of the deed's kind.
func (b *faultBench) operation(t *testing.T) api.Operation {
	t.Helper()
	var list []api.Operation
	if err := json.Unmarshal([]byte(b.ok(t, "op", "ls", "-a", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(op api.Operation) bool { return op.Kind == b.kind })
	if i < 0 {
		t.Fatalf("there is no operation %s", b.kind)
	}
	return b.show(t, list[i].ID)
}

func (b *faultBench) show(t *testing.T, id string) (op api.Operation) {
	t.Helper()
	if err := json.Unmarshal([]byte(b.ok(t, "op", "show", "--json", id)), &op); err != nil {
		t.Fatal(err)
	}
	return op
}

// ended is the operation once it has ended.
func (b *faultBench) ended(t *testing.T, id string) (op api.Operation) {
	t.Helper()
	await(t, "the operation to end", func() bool {
		op = b.show(t, id)
		return op.State.Final()
	})
	return op
}

// letGo has nothing under way for the next fault, whatever became of this one.
func (b *faultBench) letGo(t *testing.T) {
	b.clear(t)
	await(t, "all operations to end", func() bool { return strings.TrimSpace(b.ok(t, "op", "ls", "-q")) == "" })
}

// prepare brings the VM into the state that the deed finds it in, with files of
// this round in its home and on its root.
func (b *faultBench) prepare(t *testing.T) {
	t.Helper()
	b.round++
	if b.from == gone {
		if b.inspect(t, subject).ID != "" {
			b.ok(t, "rm", "-f", subject)
		}
		return
	}
	if b.inspect(t, renamed).ID != "" {
		b.ok(t, "rename", renamed, subject)
	}
	if b.inspect(t, subject).ID == "" {
		b.ok(t, "vm", "create", "-q", "-m", "256M", "-n", subject)
	}
	b.run(t, subject)
	if b.before != nil {
		b.ok(t, b.before...)
	}
	b.write(t, "synced", "sync")
	if !b.lossy {
		b.write(t, "unsynced", "true")
	}
	switch b.from {
	case api.StateStopped:
		b.ok(t, "stop", subject)
	case api.StatePaused:
		b.ok(t, "pause", subject)
	}
}

// run brings the VM to run, whatever state it is in.
func (b *faultBench) run(t *testing.T, name string) {
	t.Helper()
	switch b.inspect(t, name).State {
	case api.StatePaused:
		b.ok(t, "resume", name)
	case api.StateRunning:
	default:
		b.ok(t, "start", name)
	}
}

// homes are where a guest's files are written: the root and the work disk.
const homes = "/ /root/"

func (b *faultBench) write(t *testing.T, file, then string) {
	t.Helper()
	b.ok(t, "exec", "-u", "root", subject, "--", "sh", "-c",
		fmt.Sprintf("for d in %s; do echo %d >${d}%s; done; %s", homes, b.round, file, then))
}

// settled checks that the VM is in one of these states, that nothing works on it,
// that its files are there, and that this host has nothing that it should not.
func (b *faultBench) settled(t *testing.T, op api.Operation, states ...api.State) {
	t.Helper()
	name := subject
	if b.renames && op.State == api.OpSucceeded {
		name = renamed
	}
	var v api.VM
	await(t, "a guest that was told to shut down to do so", func() bool { // a cancel cannot take that back
		v = b.inspect(t, name)
		return v.State != api.StateStopping
	})
	if v.ID == "" {
		v.State = gone
	}
	if !slices.Contains(states, v.State) || v.Operation != "" {
		t.Fatalf("it is %s (%s), its operation %q; want %s", v.State, v.Reason, v.Operation, states)
	}
	b.noStrays(t)
	b.isSet(t, v, op)
	if v.State == gone {
		if left := b.residue(t); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
		return
	}
	b.run(t, name)
	if b.from != gone {
		b.reads(t, name, "synced", op)
		if !b.lossy {
			b.reads(t, name, "unsynced", op)
		}
	}
	b.ok(t, "exec", name, "--", "true")
	b.noStrays(t)
}

// isSet checks that all of a change was made, or nothing.
func (b *faultBench) isSet(t *testing.T, v api.VM, op api.Operation) {
	t.Helper()
	if b.before == nil {
		return
	}
	memory, label := int64(256<<20), ""
	if op.State == api.OpSucceeded {
		memory, label = 300<<20, "1"
	}
	if v.Spec.MemoryBytes != memory || v.Spec.Labels["fault"] != label {
		t.Fatalf("the change %s: %d bytes, labels %v", op.State, v.Spec.MemoryBytes, v.Spec.Labels)
	}
}

func (b *faultBench) reads(t *testing.T, name, file string, op api.Operation) {
	t.Helper()
	copies := 2
	if slices.ContainsFunc(op.Steps, func(s api.OpStep) bool { return s.Name == b.drops && s.State == "done" }) {
		copies = 1 // that of its home
	}
	want := strings.Repeat(strconv.Itoa(b.round)+"\n", copies)
	look := fmt.Sprintf("for d in %s; do cat ${d}%s 2>/dev/null; done; true", homes, file)
	if out := b.ok(t, "exec", "-u", "root", name, "--", "sh", "-c", look); out != want {
		t.Fatalf("its %s files are %q, want %q", file, out, want)
	}
}

func (b *faultBench) noStrays(t *testing.T) {
	t.Helper()
	if r := b.banger(t, "doctor", "--residue"); r.code != 0 {
		t.Fatalf("left over: %s", r)
	}
}
