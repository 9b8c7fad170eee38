// Command banger makes and uses virtual machines.
package main

import (
	"os"

	"github.com/banger-vm/banger/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
