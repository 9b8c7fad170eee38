package main

import (
	"flag"
	"strings"
	"time"
)

// options are the command line.
type options struct {
	write, vmm, only string
	quick            bool
	bound            time.Duration // ends a run that hangs
	bin, init, seed  string        // what is made already
	note, madeBy     string        // for the report
	keep, join       string        // files of what was measured
	pipe             string        // what to be a pipe to, as ssh's ProxyCommand
}

func flags() (o options) {
	flag.StringVar(&o.write, "write", "", "write the report to this `FILE`")
	flag.StringVar(&o.vmm, "vmm", "", "measure this VMM: qemu or firecracker (default: what banger chooses)")
	flag.BoolVar(&o.quick, "quick", false, "fewer rounds, for a first look")
	flag.StringVar(&o.only, "only", "", "measure only these groups, by comma: "+strings.Join(groupNames(), ", "))
	flag.DurationVar(&o.bound, "t", 20*time.Minute, "end a run that takes longer")
	flag.StringVar(&o.bin, "bin", "build/bin", "banger's programs")
	flag.StringVar(&o.init, "floor", "", "the built bench/floor (default: it is built)")
	flag.StringVar(&o.seed, "seed", "", "begin with the kernels and the image in this `DIR`")
	flag.StringVar(&o.note, "note", "", "a line for the report, on the circumstances")
	flag.StringVar(&o.madeBy, "made-by", "", "what the report says that it was made by")
	flag.StringVar(&o.keep, "keep", "", "leave what was measured in this `FILE`, for -join")
	flag.StringVar(&o.join, "join", "", "measure nothing: report what several runs left in these `FILES`, by comma")
	flag.StringVar(&o.pipe, "pipe", "", "measure nothing: join standard input and output with this `SOCKET`")
	flag.Parse()
	return o
}

// command is the command line that makes the same measurements.
func (o options) command() string {
	switch {
	case o.madeBy != "":
		return o.madeBy
	case o.vmm == "" && o.only == "" && !o.quick:
		return "make bench"
	}
	line := "go run ./bench"
	if o.vmm != "" {
		line += " -vmm " + o.vmm
	}
	if o.quick {
		line += " -quick"
	}
	if o.only != "" {
		line += " -only " + o.only
	}
	return line
}
