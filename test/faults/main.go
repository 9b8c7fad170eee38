// Command faults keeps the fault tables of the real VMMs, and makes
// docs/faults.md of them.
//
//	faults -vmm qemu/tcg -keep test/faults/qemu.json EVENTS…   of what go test -json printed
//	faults -write docs/faults.md
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/banger-vm/banger/test/faults/table"
)

func main() {
	vmm := flag.String("vmm", "", "the VMM and its accelerator that the table is of")
	keep := flag.String("keep", "", "the file to keep the table in")
	write := flag.String("write", "", "make this page of the tables that are kept")
	flag.Parse()
	if err := run(*vmm, *keep, *write, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(vmm, keep, write string, events []string) error {
	var failed error
	if keep != "" {
		t, err := read(vmm, events)
		if err != nil {
			return err
		}
		if err := t.Write(keep); err != nil {
			return err
		}
		s := t.Sum()
		fmt.Printf("%s: %d faults, %d failed\n", keep, s.Faults, s.Failed)
		if s.Faults == 0 || s.Failed > 0 {
			failed = errors.New("not all went as it must")
		}
	}
	if write == "" {
		return failed
	}
	kept, err := table.Load("test/faults")
	if err != nil {
		return err
	}
	var page bytes.Buffer
	table.Page(&page, kept)
	return errors.Join(failed, os.WriteFile(write, page.Bytes(), 0o644))
}

func read(vmm string, paths []string) (table.Table, error) {
	var all []io.Reader
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return table.Table{}, err
		}
		defer f.Close()
		all = append(all, f)
	}
	return table.Read(io.MultiReader(all...), time.Now().UTC().Format(time.DateOnly), vmm)
}
