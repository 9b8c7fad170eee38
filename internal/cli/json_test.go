package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/cli/app"
)

// reads are the commands that show something, with arguments to show it: each
// has --json. A command that is in neither list fails the test.
var reads = map[string][]string{
	"ls": nil, "ps": nil, "inspect": {"web"}, "logs": {"web"}, "ports": {"web"}, "ping": {"web"}, "stats": {"-i", "1ms"}, "health": {"web"},
	"forward ls": nil, "auth ls": nil, "image ls": nil, "image inspect": {"debian"}, "kernel ls": nil, "kernel inspect": {"debian"},
	"vmm ls": nil, "op ls": nil, "op show": {"0p"}, "events": nil,
	"daemon status": nil, "daemon logs": nil, "info": nil, "version": nil, "ssh-config": nil, "doctor": nil,
}

// others act, or print what is for another program.
var others = map[string]string{
	"run": "acts", "exec": "acts", "shell": "acts", "ssh": "acts", "cp": "acts", "create": "acts", "start": "acts",
	"stop": "acts", "restart": "acts", "pause": "acts", "resume": "acts", "rename": "acts", "set": "acts", "reset": "acts", "kill": "acts", "rm": "acts", "prune": "acts", "forward": "acts", "forward add": "acts", "forward rm": "acts", "auth push": "acts", "auth rm": "acts",
	"dial": "a connection", "console": "a terminal", "image bootstrap": "acts", "image rm": "acts",
	"kernel import": "acts", "kernel rm": "acts", "vmm install": "acts", "vmm rm": "acts", "op cancel": "acts",
	"daemon stop": "acts", "rpc schema": "JSON always",
	"completion bash": "for a shell", "completion zsh": "for a shell", "completion fish": "for a shell",
}

// Every command that reads takes --json, and what it then prints is JSON: a value,
// or one a line where it may go on.
func TestReadsAsJSON(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := newFake(dir)
	f.begin("vm.stop", "web", false, func() string { return "x" })
	socket, err := f.serve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("BANGER_SOCKET", socket)
	t.Setenv("BANGER_STATE_DIR", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.WriteFile(filepath.Join(dir, "bangerd"), []byte("#!/bin/sh\necho '{\"checks\":[]}'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bangerd.log"), []byte("one\ntwo \"2\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range leaves(newRoot(&app.App{})) {
		path := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "banger "), "vm ")
		args, read := reads[path]
		switch {
		case !read && others[path] == "":
			t.Errorf("banger %s is in neither list: does it read?", path)
		case read && cmd.Flags().Lookup("json") == nil:
			t.Errorf("banger %s has no --json", path)
		case read:
			t.Run(path, func(t *testing.T) {
				out := run(t, append(append(strings.Fields(path), "--json"), args...)...)
				dec := json.NewDecoder(bytes.NewReader(out))
				n := 0
				for ; dec.More(); n++ {
					var v any
					if err := dec.Decode(&v); err != nil {
						t.Fatalf("%v in %s", err, out)
					}
				}
				if n == 0 {
					t.Error("it printed nothing")
				}
			})
		}
	}
}

// run runs a command that must succeed and returns what it printed.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	files := [2]*os.File{}
	for i, name := range []string{"out", "err"} {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	code := Main(args, os.Stdin, files[0], files[1])
	out, err := os.ReadFile(files[0].Name())
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		said, _ := os.ReadFile(files[1].Name())
		t.Fatalf("exit code %d: %s", code, said)
	}
	return out
}
