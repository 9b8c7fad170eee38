package sandbox_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestConfine(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "confined")
	build := exec.Command("go", "build", "-o", program, "./testdata/confined")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the daemon is built
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	mine, other := filepath.Join(dir, "mine"), filepath.Join(dir, "other")
	for _, d := range []string{mine, other} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(other, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, mine, other).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skip("this kernel has no Landlock")
	}
	want := "confine: <nil>\nwrite mine: <nil>\nrename mine: <nil>\nread other: true\nwrite other: true\nchild reads other: true\n"
	if err != nil || string(out) != want {
		t.Errorf("%v:\n%s", err, out)
	}
}
