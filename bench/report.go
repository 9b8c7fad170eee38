package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/banger-vm/banger/api"
)

// facts are what the figures depend on.
type facts struct {
	driver, program   string // of the VMM
	vmm, accel, guest string
	load              string // of the machine, before anything was measured
}

func factsOf(v api.VM) facts {
	return facts{driver: v.Boot.VMM, vmm: v.Boot.VMM + " " + v.Boot.VMMVersion, accel: v.Boot.Accel, guest: v.Boot.Kernel}
}

// measured is what a run leaves for the report, whole in itself: several can
// be joined.
type measured struct {
	MadeBy string
	Driver string      // of the VMM
	Facts  [][2]string // of machine and versions, and their names
	Note   string      `json:",omitempty"`
	Rows   []row
}

func (b *bench) measured(ctx context.Context) measured {
	return measured{
		MadeBy: b.opts.command(), Driver: b.facts.driver, Facts: b.machine(ctx), Note: b.opts.note, Rows: b.rows,
	}
}

// save leaves it in a file, if one is named.
func (m measured) save(file string) error {
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// join reads what runs on one machine left, and makes one of it.
func join(files []string) (all measured, err error) {
	for i, file := range files {
		var m measured
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		if err != nil {
			return measured{}, fmt.Errorf("reading what was measured from %s: %w", file, err)
		}
		m.Rows = append(all.Rows, m.Rows...)
		if i > 0 {
			m.MadeBy, m.Facts, m.Note = all.MadeBy, all.Facts, all.Note
		}
		all = m
	}
	return all, nil
}

// missed is how many limits are missed.
func (m measured) missed() (n int) {
	for _, r := range m.Rows {
		if r.missed() {
			n++
		}
	}
	return n
}

// report is the measured in markdown.
func (m measured) report() string {
	var s strings.Builder
	fmt.Fprintf(&s, `# Benchmarks

Made by `+"`%s`"+` on %s; do not edit.

The floor is a bare %s with the machine, kernel, kernel modules, base disk and cache mode that a running banger VM has,
and an init of its own that does nothing but insert the modules, mount root and home and run the commands that come
on a line (`+"`bench/floor`"+`). Its disks are made by hand in the same measurement. Both sides take turns in one run, with
short measurements ten to a turn.
Figures are min / **median** / p95; ratios and limits are of medians.

`, m.MadeBy, time.Now().UTC().Format(time.DateOnly), m.Driver)
	for _, f := range m.Facts {
		fmt.Fprintf(&s, "- %s: %s\n", f[0], f[1])
	}
	if m.Note != "" {
		fmt.Fprintf(&s, "- %s\n", m.Note)
	}
	s.WriteString("\n| what | command | | floor | banger | ratio | limit | |\n|---|---|---|---:|---:|---:|---:|---|\n")
	for _, r := range m.Rows {
		command := ""
		if r.Command != "" {
			command = "`" + r.Command + "`"
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s | %s | %s | %s | %s |\n",
			r.Name, command, r.Unit, r.Floor, r.Banger, r.ratio(), r.bound(), r.verdict())
	}
	s.WriteString("\nThe floor of the whole process of an exec is the same exec through `client` in a running program; that of a copy, the same bytes through an exec;\n" +
		"that of ssh, the same ssh with a ProxyCommand that is nothing but a pipe of bytes, on a channel of the same kind of the same VM, to its sshd.\n")
	return s.String()
}

// publish prints the report, and writes it to a file if one is named.
func (m measured) publish(file string) error {
	report := m.report()
	fmt.Print(report)
	if file == "" {
		return nil
	}
	return os.WriteFile(file, []byte(report), 0o644)
}

func (b *bench) machine(ctx context.Context) [][2]string {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	version := "unknown"
	if out, err := b.rig.run(ctx, "--version"); err == nil {
		version = strings.TrimSpace(out)
	}
	return [][2]string{
		{"machine", fmt.Sprintf("%s, %d cores, %s, Linux %s", cpuModel(), runtime.NumCPU(), memTotal(), kernel)},
		{"guest", fmt.Sprintf("Linux %s on %s, %s", b.facts.guest, b.facts.vmm, b.facts.accel)},
		{"load average", fmt.Sprintf("%s before, %s after", b.facts.load, loadAverage())},
		{"versions", fmt.Sprintf("%s, %s, %s", version, runtime.Version(), mkfsVersion(ctx))},
	}
}

// loadAverage is that of the last minute.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

// procField is the first value of a "key : value" file.
func procField(file, key string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func cpuModel() string { return procField("/proc/cpuinfo", "model name") }

func memTotal() string {
	var kb float64
	if _, err := fmt.Sscan(procField("/proc/meminfo", "MemTotal"), &kb); err != nil {
		return "unknown memory"
	}
	return fmt.Sprintf("%.1f GB", kb/1e6)
}

func mkfsVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "mke2fs", "-V").CombinedOutput()
	if err != nil {
		return "mke2fs unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
