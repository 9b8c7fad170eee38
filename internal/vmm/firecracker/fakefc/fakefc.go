// Package fakefc is a Firecracker without KVM, as strict as the real one and
// made to fail where a test wants: its API, its pipes and its vsock are real,
// its guest is a goroutine that runs the conformance suite's script. What it
// answers is checked against a recording of the real one.
package fakefc

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/vmm/firecracker/fcapi"
)

// Options are what a test can ask for, as flags before Firecracker's own.
type Options struct {
	Version  string // what it says it is
	ExitAt   string // "PUT /vsock": end at that call
	ExitCode int
	Later    bool   // not before the start
	LongAt   string // answer that call with more than anyone should read
	MuteAt   string // never answer that call
	SignalAt string // catch SIGSEGV at that call, and hang in its handler
	Loud     bool   // complain in the log without an end
}

// Script is a shell script that is a Firecracker with these flags; program is
// what runs Main with what follows.
func Script(program []string, flags ...string) string {
	words := make([]string, 0, len(program)+len(flags))
	for _, w := range append(append([]string{}, program...), flags...) {
		words = append(words, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
	}
	return "#!/bin/sh\nexec " + strings.Join(words, " ") + " \"$@\"\n"
}

// Main is the program.
func Main(args []string) int {
	var o Options
	var sock, logPath, metrics, id, level string
	var version, showLevel bool
	flags := flag.NewFlagSet("firecracker", flag.ContinueOnError)
	flags.StringVar(&o.Version, "fake-version", "1.12.1", "")
	flags.StringVar(&o.ExitAt, "fake-exit-at", "", "")
	flags.IntVar(&o.ExitCode, "fake-exit-code", 1, "")
	flags.BoolVar(&o.Later, "fake-exit-after-start", false, "")
	flags.StringVar(&o.LongAt, "fake-long-at", "", "")
	flags.StringVar(&o.MuteAt, "fake-mute-at", "", "")
	flags.StringVar(&o.SignalAt, "fake-signal-at", "", "")
	flags.BoolVar(&o.Loud, "fake-loud", false, "")
	flags.StringVar(&sock, "api-sock", "", "")
	flags.StringVar(&id, "id", "", "")
	flags.StringVar(&logPath, "log-path", "", "")
	flags.StringVar(&level, "level", "", "")
	flags.BoolVar(&showLevel, "show-level", false, "")
	flags.StringVar(&metrics, "metrics-path", "", "")
	flags.BoolVar(&version, "version", false, "")
	if err := flags.Parse(args); err != nil {
		return 153
	}
	if version {
		fmt.Printf("Firecracker v%s\n\n", o.Version)
		return 0
	}
	vm, err := newInstance(o, id, logPath, metrics)
	if err == nil {
		err = vm.serve(sock)
	}
	fmt.Fprintf(os.Stderr, "Error: %v\n", err)
	return 1
}

// instance is one microVM.
type instance struct {
	o       Options
	id      string
	log     *os.File
	metrics *os.File

	mu     sync.Mutex
	state  string
	config map[string]any // by path
	order  []*fcapi.Drive
	sizes  map[string]int64 // of drives, as the guest was told
	vsock  net.Listener
	guest  *guest
	counts map[string]int64
}

func newInstance(o Options, id, logPath, metrics string) (*instance, error) {
	vm := &instance{o: o, id: id, state: "Not started", config: map[string]any{}, sizes: map[string]int64{}, counts: map[string]int64{}}
	var err error
	if vm.log, err = openNonblock(logPath); err != nil {
		return nil, err
	}
	if vm.metrics, err = openNonblock(metrics); err != nil {
		return nil, err
	}
	vm.logf("INFO", "Running Firecracker v%s", o.Version)
	if o.Loud {
		go func() {
			for {
				vm.logf("ERROR", "Failed the write to serial: %s", strings.Repeat("x", 500))
			}
		}()
	}
	return vm, nil
}

// openNonblock opens as the real one does: what is there, both ways, and not
// at its end.
func openNonblock(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (vm *instance) logf(level, format string, args ...any) {
	line := fmt.Sprintf("%s [%s:main:%s] %s\n", time.Now().Format("2006-01-02T15:04:05.000000000"), vm.id, level, fmt.Sprintf(format, args...))
	_, _ = unix.Write(int(vm.log.Fd()), []byte(line)) // a full pipe drops it
}

// flush writes what was counted since the last time.
func (vm *instance) flush() {
	vm.mu.Lock()
	c := vm.counts
	vm.counts = map[string]int64{}
	vm.mu.Unlock()
	fmt.Fprintf(vm.metrics, `{"utc_timestamp_ms":%d,"i8042":{"reset_count":%d},"seccomp":{"num_faults":0},`+
		`"signals":{"sigbus":0,"sigsegv":0},"vcpu":{"failures":0},"vmm":{"panic_count":0},`+
		`"block_vdb":{"read_bytes":0,"read_count":0,"write_bytes":%d,"write_count":%d}}`+"\n",
		time.Now().UnixMilli(), c["reset"], c["written"], c["writes"])
}

// exit ends the process as the real one does by itself.
func (vm *instance) exit(code int) {
	vm.flush()
	vm.logf("INFO", "Firecracker exiting. exit_code=%d", code)
	os.Exit(code)
}

// serve answers on the API's socket, which must not exist.
func (vm *instance) serve(sock string) error {
	l, err := net.Listen("unix", sock)
	if err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			return refusal("RunWithApi(FailedToBindSocket(" + sock + "))")
		}
		return err
	}
	return http.Serve(l, vm)
}

func (vm *instance) running() bool {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	return vm.state != fcapi.StateNotStarted
}

// ServeHTTP fails as asked, or answers.
func (vm *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + r.URL.Path
	switch call {
	case vm.o.ExitAt:
		if vm.o.Later && !vm.running() {
			break
		}
		fmt.Fprintln(os.Stderr, "Error: told to end at", call)
		vm.exit(vm.o.ExitCode)
	case vm.o.SignalAt:
		vm.logf("ERROR", "Shutting down VM after intercepting signal 11, code 0.")
		select {}
	case vm.o.MuteAt:
		<-r.Context().Done()
		return
	case vm.o.LongAt:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"fault_message":"`+strings.Repeat("long ", 100_000)+`"}`)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 51200))
	if err != nil {
		return
	}
	vm.logf("INFO", "The API server received a %s request on %q.", r.Method, r.URL.Path)
	status, reply := vm.Answer(r.Method, r.URL.Path, body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, reply)
}
