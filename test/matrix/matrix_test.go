package main

import (
	"strings"
	"testing"

	"github.com/banger-vm/banger/test/matrix/result"
)

func TestRender(t *testing.T) {
	tcg := result.Variant{VMM: "qemu/tcg", Disk: "guestcow", User: "root"}
	fc := result.Variant{VMM: "firecracker", Disk: "guestcow", User: "user"}
	page := render([]result.Result{
		{Feature: "run", Variant: tcg, Result: result.Pass},
		{Feature: "run", Variant: fc, Result: result.Fail},
		{Feature: "run", Variant: fc, Result: result.Pass},
		{Feature: "life", Variant: tcg, Result: result.Skip, Reason: "no room"},
		{Feature: "stop", Variant: fc, Result: result.Pass, Reason: "It is weak."},
		{Feature: "VMM/kill", Variant: result.Variant{VMM: "fake", User: "root"}, Result: result.Pass},
	})
	for _, want := range []string{
		"| feature | firecracker, guestcow, user | qemu/tcg, guestcow, root |\n|---|---|---|\n",
		"| life | – | not run [1] |\n| run | **fails** | works |\n| stop | reduced [2] | – |\n\n",
		"\n| feature | fake, root |\n|---|---|\n| kill | works |\n",
		"\n[1] no room\n\n[2] It is weak.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
}
