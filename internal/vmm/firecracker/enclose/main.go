package enclose

import (
	"fmt"
	"io"
)

// The roles of the program that runs Main.
const (
	roleInside = "inside"
	roleWarden = "warden"
)

// Main runs a role: what a Starter's Stage has to call with the arguments
// that follow it. It returns the exit code; the stage's is Failed.
func Main(args []string, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 2 && args[0] == roleInside:
		err = inside(args[1])
	case len(args) == 1 && args[0] == roleWarden:
		err = serveWarden()
	default:
		err = fmt.Errorf("there is no role %q", args)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return Failed
	}
	return 0
}
