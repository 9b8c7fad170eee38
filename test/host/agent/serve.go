package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/internal/guest/wire"
	"github.com/banger-vm/banger/test/host/call"
)

// serve answers calls for ever.
func serve() error {
	p, err := openPort(call.PortName)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+call.PathArrive, arrive)
	mux.HandleFunc("POST "+call.PathRun, run)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: mux, Protocols: protocols, HTTP2: &http.HTTP2Config{
		MaxReceiveBufferPerConnection: 3 << 20, MaxReceiveBufferPerStream: 1 << 20, MaxReadFrameSize: 256 << 10,
	}}
	return srv.Serve(wire.Listen(p, true))
}

// arrive sets what a restore left as it was when the host was saved.
func arrive(w http.ResponseWriter, r *http.Request) {
	var a call.Arrival
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&a)
	if err == nil {
		err = errors.Join(setClock(a.Time), reseed(a.Seed))
	}
	if err == nil && a.Payload {
		err = mountPayload()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func setClock(now time.Time) error {
	ts, err := unix.TimeToTimespec(now)
	if err == nil {
		err = unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
	}
	if err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	return nil
}

// reseed mixes the seed into the kernel's random numbers and has it use them
// at once: all restored hosts would draw the same ones otherwise.
func reseed(seed []byte) error {
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(seed); err != nil {
		return fmt.Errorf("mixing in the seed: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.RNDRESEEDCRNG, 0); errno != 0 {
		return fmt.Errorf("using the seed: %w", errno)
	}
	return nil
}

// mountPayload mounts the payload disk, whose content is another one than when
// the host was saved: what the kernel knows of it is dropped first.
func mountPayload() error {
	f, err := os.Open(payloadDisk)
	if err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKFLSBUF, 0)
	if err := f.Close(); err != nil {
		return err
	}
	if errno != 0 {
		return fmt.Errorf("dropping what is known of the payload: %w", errno)
	}
	if err := os.MkdirAll(call.Payload, 0o755); err != nil {
		return err
	}
	return mountDisk(payloadDisk, call.Payload, unix.MS_RDONLY)
}

// run runs one command.
func run(w http.ResponseWriter, r *http.Request) {
	body, spec, err := readRun(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
	out := call.NewWriter(w, http.NewResponseController(w).Flush)
	exit := execute(r.Context(), spec, body, out)
	if err := out.Exit(exit); err != nil {
		fmt.Fprintln(os.Stderr, "a caller left before its command ended:", err)
	}
}

// readRun reads the request's line, and returns what follows it.
func readRun(body io.Reader) (io.Reader, call.Run, error) {
	var spec call.Run
	dec := json.NewDecoder(io.LimitReader(body, call.MaxLine))
	if err := dec.Decode(&spec); err != nil {
		return nil, spec, fmt.Errorf("the request cannot be read: %w", err)
	}
	if len(spec.Argv) == 0 && spec.TTY == nil {
		return nil, spec, errors.New("the request has no command")
	}
	rest := io.MultiReader(dec.Buffered(), body)
	var newline [1]byte
	_, err := io.ReadFull(rest, newline[:])
	return rest, spec, err
}
