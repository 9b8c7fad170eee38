package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/hostexec"
	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
	"github.com/banger-vm/banger/internal/vmm/rundir"
	"github.com/banger-vm/banger/internal/vmm/vmmtest/lab"
)

// exchange is a call and its answer.
type exchange struct {
	Call   string          `json:"call"`
	Body   json.RawMessage `json:"body,omitempty"`
	Status int             `json:"status"`
	Reply  json.RawMessage `json:"reply,omitempty"`
}

const recording = "testdata/recorded.json"

// script is every call that the driver makes, in its order, with the ones
// that are refused: too early, too late, wrong.
func apiScript(t *testing.T, d *Driver) []exchange {
	t.Helper()
	raw := func(v any) json.RawMessage {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	start := exchange{Call: "PUT /actions", Body: raw(map[string]string{"action_type": "InstanceStart"})}
	flush := exchange{Call: "PUT /actions", Body: raw(map[string]string{"action_type": "FlushMetrics"})}
	pause := exchange{Call: "PATCH /vm", Body: raw(map[string]string{"state": "Paused"})}
	resume := exchange{Call: "PATCH /vm", Body: raw(map[string]string{"state": "Resumed"})}
	save := exchange{Call: "PUT /snapshot/create", Body: raw(fcapi.Snapshot{Type: fcapi.SnapshotFull, State: "state", Memory: "memory"})}
	state := exchange{Call: "GET /"}
	spec := goldenSpec()
	spec.MemoryBytes = 64 << 20
	n := innerNames() // as in a test's directory, relative
	n.kernel, n.initramfs = "vmlinux", "initramfs"
	for i := range spec.Drives {
		spec.Drives[i].Path = string(spec.Drives[i].Slot) + ".img"
	}
	n.drive = hostNames(spec).drive
	list := []exchange{
		{Call: "GET /version"},
		state, start, pause, save,
		{Call: "PUT /nothing", Body: raw(struct{}{})},
		{Call: "PUT /machine-config", Body: raw(fcapi.Machine{CPUs: 33, MemoryMiB: 64})},
		{Call: "PUT /machine-config", Body: raw(fcapi.Machine{CPUs: 1})},
		{Call: "PUT /boot-source", Body: raw(fcapi.BootSource{Kernel: "missing"})},
		{Call: "PUT /drives/vda", Body: raw(fcapi.Drive{ID: "vdb", Path: "../vda.img", Cache: fcapi.CacheWriteback})},
	}
	for _, s := range d.settings(spec, n) {
		list = append(list, exchange{Call: "PUT " + s.Path, Body: raw(s.Body)})
	}
	list = append(list, state, start, state, start, flush, save, resume, pause, state, pause, save, resume, state)
	for _, s := range d.settings(spec, n) { // nothing changes any more
		list = append(list, exchange{Call: "PUT " + s.Path, Body: raw(s.Body)})
	}
	return list
}

// play starts binary in a directory of its own and makes the calls.
func play(t *testing.T, binary, kernel string, list []exchange) []exchange {
	t.Helper()
	spec := fakeSpec(t)
	files, err := openFiles(spec.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer files.close()
	run := filepath.Join(spec.Dir, dirRun)
	for name, from := range map[string]string{"vmlinux": kernel, "initramfs": spec.Initramfs} {
		if err := os.Symlink(from, filepath.Join(run, name)); err != nil {
			t.Fatal(err)
		}
	}
	args := commandLine(spec)
	proc, err := hostexec.Spawn(hostexec.Daemon{
		Name: binary, Args: args[1:], Dir: run, Stdin: files.in, Stdout: files.out, Stderr: files.stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Kill()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if conn, err := rundir.Dial(t.Context(), run, fileAPI); err == nil {
			conn.Close()
			break
		}
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return rundir.Dial(ctx, run, fileAPI)
	}}}
	defer client.CloseIdleConnections()
	var out []exchange
	for _, x := range list {
		method, path, _ := strings.Cut(x.Call, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, "http://firecracker"+path, bytes.NewReader(x.Body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", x.Call, err)
		}
		reply, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%s: %v", x.Call, err)
		}
		resp.Body.Close()
		x.Status, x.Reply = resp.StatusCode, reply
		if len(reply) == 0 {
			x.Reply = nil
		}
		out = append(out, x)
	}
	return out
}

func text(t *testing.T, list []exchange) string {
	t.Helper()
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// What the real Firecracker answers to all that the driver says is recorded.
func TestRealRecording(t *testing.T) {
	cfg := realConfig(t)
	kernel, _ := lab.Needs(t)
	d := newReal(t, cfg)
	got := text(t, play(t, cfg.Binary, kernel, apiScript(t, d)))
	if *update {
		if err := os.WriteFile(recording, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the real Firecracker answers otherwise (-update records it):\n%s", diff)
	}
}

// The fake answers as the recorded one did: the same status everywhere, the
// same words where they are Firecracker's own.
func TestFakeAnswersAsRecorded(t *testing.T) {
	b, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	var want []exchange
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	d := fakeDriver(t, fakeBinary(t))
	asked := apiScript(t, d)
	got := play(t, d.cfg.Binary, "../vmlinux", asked)
	if len(want) != len(got) {
		t.Fatalf("%d calls are recorded, the driver makes %d", len(want), len(got))
	}
	for i := range want {
		var a, b bytes.Buffer
		if err := json.Compact(&a, want[i].Body); err != nil && len(want[i].Body) > 0 {
			t.Fatal(err)
		}
		if err := json.Compact(&b, got[i].Body); err != nil && len(got[i].Body) > 0 {
			t.Fatal(err)
		}
		if want[i].Call != got[i].Call || a.String() != b.String() {
			t.Errorf("call %d is %s %s, recorded is %s %s: record again", i, got[i].Call, b.String(), want[i].Call, a.String())
		}
		if want[i].Status != got[i].Status || !sameReply(want[i].Reply, got[i].Reply) {
			t.Errorf("call %d, %s %s: the fake answers %d %s, the real one %d %s",
				i, got[i].Call, got[i].Body, got[i].Status, got[i].Reply, want[i].Status, want[i].Reply)
		}
	}
}

func sameReply(a, b json.RawMessage) bool {
	var x, y map[string]string
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
}
