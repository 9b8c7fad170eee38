package main

import (
	"slices"
	"strings"
	"testing"
)

func TestFloorHasTheSameMachine(t *testing.T) {
	args := []string{
		"-name", "guest=x", "-nodefaults", "-M", "microvm,acpi=on", "-kernel", "/k/vmlinux", "-initrd", "/k/banger.cpio", "-S",
		"-chardev", "socket,id=agent,fd=6,server=on,wait=off", "-mon", "chardev=qmp,mode=control", "-serial", "chardev:console",
		"-device", "virtserialport,chardev=agent,name=dev.banger.agent",
		"-blockdev", `{"driver":"raw","file":{"driver":"file","filename":"/i/root.img"},"node-name":"vda","read-only":true}`,
		"-blockdev", `{"driver":"raw","file":{"driver":"file","filename":"work.img"},"node-name":"vdb"}`,
		"-blockdev", `{"driver":"raw","file":{"driver":"file","filename":"empty.img"},"node-name":"vdd"}`,
		"-D", "/v/vmm.trace",
	}
	got, err := floorArgs(args, "/v", "/f/floor.cpio")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(got, " ")
	for _, want := range []string{
		"-nodefaults -M microvm,acpi=on -kernel /k/vmlinux -initrd /f/floor.cpio",
		`"filename":"/i/root.img"`, `"filename":"home.img"`, `"filename":"/v/empty.img"`, "name=floor.line", "name=floor.echo",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("the floor's arguments have no %s: %s", want, line)
		}
	}
	for _, not := range []string{"-S", "-mon", "-D"} {
		if slices.Contains(got, not) {
			t.Errorf("the floor's arguments have %s: %s", not, line)
		}
	}
	if _, err := floorArgs([]string{"-M"}, "/v", "/f"); err == nil {
		t.Error("an option without its value is accepted")
	}
}

func TestRowsVerdict(t *testing.T) {
	for _, c := range []struct {
		r    row
		want string
	}{
		{row{floor: samples{10, 12, 11}, banger: samples{14, 13, 100}, limit: 1.3}, "ok"},
		{row{floor: samples{10, 12, 11}, banger: samples{15, 15, 1}, limit: 1.3}, "MISSED"},
		{row{banger: samples{16}, limit: 15}, "MISSED"},
		{row{banger: samples{16}}, ""},
	} {
		if got := c.r.verdict(); got != c.want {
			t.Errorf("%v against %v, limit %g: %q, not %q", c.r.banger, c.r.floor, c.r.limit, got, c.want)
		}
	}
}

func TestQuantilesAreMeasuredValues(t *testing.T) {
	s := samples{5, 1, 4, 2, 3}
	if s.quantile(0) != 1 || s.median() != 3 || s.quantile(0.95) != 5 {
		t.Errorf("min %g, median %g, p95 %g of %v", s.quantile(0), s.median(), s.quantile(0.95), []float64(s))
	}
}
