package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/disk"
	"github.com/banger-vm/banger/internal/vmm"
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
		{row{Floor: samples{10, 12, 11}, Banger: samples{14, 13, 100}, Limit: 1.3}, "ok"},
		{row{Floor: samples{10, 12, 11}, Banger: samples{15, 15, 1}, Limit: 1.3}, "MISSED"},
		{row{Banger: samples{16}, Limit: 15}, "MISSED"},
		{row{Banger: samples{16}}, ""},
	} {
		if got := c.r.verdict(); got != c.want {
			t.Errorf("%v against %v, limit %g: %q, not %q", c.r.Banger, c.r.Floor, c.r.Limit, got, c.want)
		}
	}
}

func TestQuantilesAreMeasuredValues(t *testing.T) {
	s := samples{5, 1, 4, 2, 3}
	if s.quantile(0) != 1 || s.median() != 3 || s.quantile(0.95) != 5 {
		t.Errorf("min %g, median %g, p95 %g of %v", s.quantile(0), s.median(), s.quantile(0.95), []float64(s))
	}
}

func TestFloorHasTheSameFirecracker(t *testing.T) {
	spec := vmm.Spec{Dir: "/v", Kernel: "/k/vmlinux", Drives: []disk.Drive{
		{Slot: disk.SlotBase, Path: "/i/root.img", ReadOnly: true}, {Slot: disk.SlotWork, Path: "work.img"}, {Slot: disk.SlotLayer, Path: "layer.cow"},
	}}
	const told = `{"boot-source":{"kernel_image_path":"/kernel","initrd_path":"/initramfs","boot_args":"quiet a=b"},
		"drives":[{"drive_id":"vda","cache_type":"Writeback","path_on_host":"/vda"},{"drive_id":"vdb","path_on_host":"/vdb"},
		{"drive_id":"vdc","path_on_host":"/vdc"}],"machine-config":{"vcpu_count":1},"vsock":{"guest_cid":3,"uds_path":"v.sock"},
		"logger":{"log_path":"log"},"metrics":null,"balloon":null}`
	got, err := handConfig([]byte(told), spec, "/f/floor.cpio")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"boot_args": "quiet a=b"`, `"kernel_image_path": "/k/vmlinux"`, `"initrd_path": "/f/floor.cpio"`, `"cache_type": "Writeback"`,
		`"path_on_host": "/i/root.img"`, `"path_on_host": "home.img"`, `"path_on_host": "layer.img"`, `"vcpu_count": 1`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the floor's configuration has no %s: %s", want, got)
		}
	}
	for _, not := range []string{"logger", "metrics", "balloon", "/vdb"} {
		if strings.Contains(string(got), not) {
			t.Errorf("the floor's configuration has %s: %s", not, got)
		}
	}
	spec.Drives = spec.Drives[1:]
	if _, err := handConfig([]byte(told), spec, "/f"); err == nil {
		t.Error("a machine with other drives is accepted")
	}
}

// What stands in for QEMU adds a port to a machine that has one, and to nothing
// else that QEMU is asked.
func TestQEMUWithAPort(t *testing.T) {
	dir := t.TempDir()
	qemu := filepath.Join(dir, "the real one")
	if err := os.WriteFile(qemu, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := withPort(qemu, dir)
	if err != nil {
		t.Fatal(err)
	}
	const added = "-chardev\nsocket,id=pipe,path=pipe.sock,server=on,wait=off\n-device\nvirtserialport,chardev=pipe,name=floor.pipe\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-version"}, "-version\n"},
		{[]string{"-append", "a  b", "-device", "virtserialport,chardev=agent"}, "-append\na  b\n-device\nvirtserialport,chardev=agent\n" + added},
	} {
		if out, err := exec.Command(program, c.args...).CombinedOutput(); err != nil || string(out) != c.want {
			t.Errorf("%q: %v, %q", c.args, err, out)
		}
	}
}

// A key is seen when a shell has shown it, and lines do not fill up.
func TestKeysInAShell(t *testing.T) {
	shell := exec.Command("bash", "--norc")
	shell.Env = []string{"PS1=me@here:~$ ", "TERM=xterm", "PATH=" + os.Getenv("PATH")}
	terminal, err := openTerminal(shell)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for range keysInLine + 1 {
			if err := terminal.key('x'); err != nil {
				t.Fatal(err)
			}
		}
		if err := terminal.clear(); err != nil {
			t.Fatal(err)
		}
	}
	if err := terminal.close(); err != nil {
		t.Error(err)
	}
}

func TestUsedMemory(t *testing.T) {
	mb, err := usedMB("MemTotal:         500000 kB\nMemFree: 3 kB\nMemAvailable:     397600 kB\n")
	if err != nil || mb != 100 {
		t.Errorf("%g MB, %v", mb, err)
	}
	if _, err := usedMB("MemTotal: 1 kB\n"); err == nil {
		t.Error("half a meminfo is understood")
	}
}

func TestCommandThatMadeTheReport(t *testing.T) {
	for want, o := range map[string]options{
		"make bench":                             {},
		"go run ./bench -vmm firecracker -quick": {vmm: "firecracker", quick: true},
		"go run ./bench -only cold":              {only: "cold"},
		"go run ./test/host bench":               {madeBy: "go run ./test/host bench", vmm: "firecracker"},
	} {
		if got := o.command(); got != want {
			t.Errorf("%+v: %q", o, got)
		}
	}
}

func TestJoin(t *testing.T) {
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	runs := []measured{
		{MadeBy: "make a", Driver: "qemu", Facts: [][2]string{{"machine", "big"}}, Rows: []row{{Name: "one", Unit: "ms", Floor: samples{10}, Banger: samples{30}, Limit: 2}}},
		{MadeBy: "make b", Driver: "qemu", Facts: [][2]string{{"machine", "other"}}, Rows: []row{{Name: "two", Unit: "MB", Banger: samples{1, 2, 3}}}},
	}
	for i, m := range runs {
		if err := m.save(files[i]); err != nil {
			t.Fatal(err)
		}
	}
	all, err := join(files)
	if err != nil {
		t.Fatal(err)
	}
	report := all.report()
	for _, want := range []string{"Made by `make a`", "- machine: big\n", "| one |  | ms | 10.0 | 30.0 | 3.00× | ≤2× | MISSED |\n| two |"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	if all.missed() != 1 || strings.Contains(report, "make b") {
		t.Errorf("%d missed\n%s", all.missed(), report)
	}
	if _, err := join([]string{filepath.Join(dir, "c")}); err == nil {
		t.Error("a file that is not there is joined")
	}
}
