// Command banger-guest is init and agent inside every VM.
package main

import (
	"os"

	"github.com/banger-vm/banger/internal/guestd"
)

func main() {
	os.Exit(guestd.Main(os.Args))
}
