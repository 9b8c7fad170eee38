package guest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/client"
	"github.com/banger-vm/banger/internal/guestd/execs"
)

// BenchmarkExecTrue is a whole exec through client, monitor's part and agent.
func BenchmarkExecTrue(b *testing.B) {
	r := newRig(b, execs.Config{})
	for b.Loop() {
		wait(b, r.start(api.ExecSpec{Argv: []string{"/bin/true"}, User: "root"}, client.ExecConfig{}))
	}
}

// BenchmarkFloorTrue is the same command behind a line protocol on one socket.
func BenchmarkFloorTrue(b *testing.B) {
	host, port := socketpair(b)
	go func() {
		for sc := bufio.NewScanner(port); sc.Scan(); {
			out, err := exec.Command(sc.Text()).Output()
			fmt.Fprintf(port, "%q %v\n", out, err)
		}
	}()
	defer host.Close()
	sc := bufio.NewScanner(host)
	for b.Loop() {
		fmt.Fprintln(host, "/bin/true")
		sc.Scan()
	}
}

// BenchmarkHealth is a call that does nothing.
func BenchmarkHealth(b *testing.B) {
	r := newRig(b, execs.Config{})
	for b.Loop() {
		if _, err := r.guest.Health(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStdout(b *testing.B) {
	r := newRig(b, execs.Config{})
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		argv := []string{"head", "-c", fmt.Sprint(size), "/dev/zero"}
		wait(b, r.start(api.ExecSpec{Argv: argv, User: "root"}, client.ExecConfig{Stdout: io.Discard}))
	}
}

func BenchmarkStdin(b *testing.B) {
	r := newRig(b, execs.Config{})
	const size = 64 << 20
	b.SetBytes(size)
	for b.Loop() {
		argv := []string{"sh", "-c", "cat >/dev/null"}
		wait(b, r.start(api.ExecSpec{Argv: argv, User: "root"}, client.ExecConfig{Stdin: io.LimitReader(zeros{}, size)}))
	}
}
