// Command banger-guest is init and agent inside every VM.
package main

import (
	"os"

	"github.com/banger-vm/banger/internal/guestd"
)

// version is set by the build.
var version = "dev"

func main() {
	os.Exit(guestd.Main(version, os.Args))
}
