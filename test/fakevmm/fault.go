package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// The steps at which a fault can be had, in their order.
const (
	stepSpawn   = "spawn"   // before anything
	stepGreet   = "greet"   // somebody has connected to the control socket
	stepStart   = "start"   // the guest is to be started
	stepStarted = "started" // it runs, and nobody has been told
	stepRunning = "running" // it was told
	stepPause   = "pause"
	stepResume  = "resume"
	stepEnd     = "end" // the guest has powered off, reset or ended
)

var steps = []string{stepSpawn, stepGreet, stepStart, stepStarted, stepRunning, stepPause, stepResume, stepEnd}

// exitFault is the exit code of a VMM that a fault ends.
const exitFault = 70

// faults are what to do at a step: "exit", "hang", "fail", or a duration to
// wait.
type faults map[string]string

// readFaults reads a line for each fault: STEP exit|hang|fail|DURATION.
func readFaults(path string) (faults, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the faults: %w", err)
	}
	return parseFaults(string(b))
}

func parseFaults(text string) (faults, error) {
	f := faults{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		known := false
		for _, step := range steps {
			known = known || words[0] == step
		}
		if !known || len(words) != 2 {
			return nil, fmt.Errorf("%s is no fault: STEP exit|hang|fail|DURATION", strconv.Quote(strings.TrimSpace(line)))
		}
		switch words[1] {
		case "exit", "hang", "fail":
		default:
			if d, err := time.ParseDuration(words[1]); err != nil || d < 0 {
				return nil, fmt.Errorf("%q is no fault: exit, hang, fail or a duration", words[1])
			}
		}
		f[words[0]] = words[1]
	}
	return f, nil
}

// at does what is wanted at a step. A VMM that hangs does not come back.
func (f faults) at(step string) error {
	switch what := f[step]; what {
	case "":
	case "exit":
		fmt.Fprintf(os.Stderr, "fakevmm: a fault at %s ends it\n", step)
		os.Exit(exitFault)
	case "hang":
		select {}
	case "fail":
		return fmt.Errorf("a fault at %s was wanted", step)
	default:
		d, err := time.ParseDuration(what)
		if err != nil {
			return err
		}
		time.Sleep(d)
	}
	return nil
}
