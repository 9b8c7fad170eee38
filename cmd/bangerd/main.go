// Command bangerd is banger's daemon; "bangerd monitor" keeps one VM.
package main

import (
	"os"

	"github.com/banger-vm/banger/internal/daemon"
)

func main() { os.Exit(daemon.Main(os.Args[1:], os.Stdout, os.Stderr)) }
