package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// openSSH runs one of OpenSSH's programs, or one that runs ssh.
func (e *env) openSSH(t *testing.T, stdin, program string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return collect(t, e.openSSHCommand(ctx, program, args...), stdin)
}

func (e *env) openSSHCommand(ctx context.Context, program string, args ...string) *exec.Cmd {
	config := filepath.Join(e.state(), "ssh", "config")
	env := e.environ()
	switch program {
	case "ssh", "scp", "sftp":
		args = append([]string{"-F", config}, args...)
	default:
		env = append(env, "GIT_SSH_COMMAND=ssh -F "+config)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	return cmd
}

func (e *env) sshOK(t *testing.T, program string, args ...string) string {
	t.Helper()
	r := e.openSSH(t, "", program, args...)
	if r.code != 0 {
		t.Fatalf("%s %q: %s", program, args, r)
	}
	return r.stdout
}

// The programs of OpenSSH, and those that stand on it, reach a VM that has no
// network, by its name.
func TestSSH(t *testing.T) {
	notOnFake(t, noSystemd)
	e := common(t)
	e.vm(t, "ssh-a", "--network", "none")
	const host = "ssh-a.vm"
	t.Run("banger ssh", func(t *testing.T) {
		r := e.bangerIn(t, "in\n", "ssh", "ssh-a", "--", "cat; id -un; hostname; echo oops >&2; exit 7")
		if r.code != 7 || r.stdout != "in\ndev\nssh-a\n" || r.stderr != "oops\n" {
			t.Errorf("%s", r)
		}
		if out := e.ok(t, "ssh", "-u", "root", "ssh-a", "id", "-u"); out != "0\n" {
			t.Errorf("-u root: %q", out)
		}
		e.refused(t, 125, []string{"there is no VM"}, "ssh", "no-such-vm", "true")
	})
	t.Run("ssh", func(t *testing.T) {
		data := make([]byte, 4<<20)
		rand.NewChaCha8([32]byte{3}).Read(data)
		r := e.openSSH(t, string(data), "ssh", host, "cat; exit 3")
		if r.code != 3 || r.stdout != string(data) {
			t.Errorf("%d bytes came back, code %d, %s", len(r.stdout), r.code, clip(r.stderr))
		}
	})
	tree := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(tree, "sub"), 0o755), os.WriteFile(filepath.Join(tree, "sub", "file"), []byte("text"), 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Run("scp and sftp", func(t *testing.T) {
		e.sshOK(t, "scp", "-q", "-r", tree, host+":tree")
		back := filepath.Join(t.TempDir(), "back")
		e.sshOK(t, "scp", "-q", "-r", host+":tree", back)
		if got, err := os.ReadFile(filepath.Join(back, "sub", "file")); err != nil || string(got) != "text" {
			t.Errorf("%q, %v", got, err)
		}
		if r := e.openSSH(t, "ls tree/sub\n", "sftp", "-q", "-b", "-", host); r.code != 0 || !strings.Contains(r.stdout, "tree/sub/file") {
			t.Errorf("sftp: %s", r)
		}
	})
	t.Run("git", func(t *testing.T) {
		e.sshOK(t, "ssh", host, "git init -q -b main repo && cd repo && git config user.name x && git config user.email x@y && echo 1 >f && git add f && git commit -qm one")
		clone := filepath.Join(t.TempDir(), "clone")
		e.sshOK(t, "git", "clone", "-q", host+":repo", clone)
		if got, err := os.ReadFile(filepath.Join(clone, "f")); err != nil || string(got) != "1\n" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("one connection for many", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "master")
		master := []string{"-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", "ControlPath=" + path, host}
		e.sshOK(t, "ssh", append(master, "true")...)
		if r := e.openSSH(t, "", "ssh", append([]string{"-O", "check"}, master...)...); r.code != 0 {
			t.Errorf("there is no master: %s", r)
		}
		e.sshOK(t, "ssh", append(master, "true")...)
		e.sshOK(t, "ssh", append([]string{"-O", "exit"}, master...)...)
	})
	t.Run("an agent only when asked", func(t *testing.T) { e.testAgent(t, host) })
	t.Run("forwards", func(t *testing.T) { e.testForwards(t, host) })
	t.Run("dial", func(t *testing.T) {
		if r := e.bangerIn(t, "", "dial", "ssh-a", "22"); r.code != 0 || !strings.HasPrefix(r.stdout, "SSH-2.0-") {
			t.Errorf("%s", r)
		}
		e.refused(t, 5, []string{"nothing listens on 127.0.0.1:9"}, "dial", "ssh-a", "9")
		e.refused(t, 5, []string{"there is no socket /run/no.sock"}, "dial", "ssh-a", "/run/no.sock")
		e.refused(t, 2, []string{"is no address"}, "dial", "ssh-a", "host:port")
	})
}

// testAgent: the user's SSH agent is in the VM with -A, and else is not.
func (e *env) testAgent(t *testing.T, host string) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "agent")
	ctx, cancel := context.WithCancel(t.Context())
	agent := exec.CommandContext(ctx, "ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = agent.Wait() // it was killed
	}()
	await(t, "the agent", func() bool { _, err := os.Stat(socket); return err == nil })
	with := &env{dir: e.dir, extra: append(e.extra[:len(e.extra):len(e.extra)], "SSH_AUTH_SOCK="+socket)}
	key := filepath.Join(dir, "key")
	for _, argv := range [][]string{{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f", key}, {"ssh-add", "-q", key}} {
		with.sshOK(t, argv[0], argv[1:]...)
	}
	if out := with.sshOK(t, "ssh", "-A", host, "ssh-add -l"); !strings.Contains(out, "mine") {
		t.Errorf("with -A: %q", out)
	}
	if r := with.openSSH(t, "", "ssh", host, "ssh-add -l"); r.code == 0 {
		t.Errorf("without -A: %s", r)
	}
}

// testForwards: -L, -R and -D.
func (e *env) testForwards(t *testing.T, host string) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the host's own service
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "from the host\n")
			c.Close()
		}
	}()
	local, socks := freePort(t), freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := e.openSSHCommand(ctx, "ssh", "-N", "-o", "ExitOnForwardFailure=yes",
		"-L", local+":127.0.0.1:22", "-D", "127.0.0.1:"+socks, "-R", "127.0.0.1:7007:"+l.Addr().String(), host)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	await(t, "the forwards", func() bool {
		banner, err := firstLine("127.0.0.1:"+local, nil)
		return err == nil && strings.HasPrefix(banner, "SSH-2.0-")
	})
	if out := e.sshOK(t, "ssh", host, "exec 3<>/dev/tcp/127.0.0.1/7007; cat <&3"); out != "from the host\n" {
		t.Errorf("-R: %q, %s", out, errs.String())
	}
	// SOCKS 5 without a password, to 127.0.0.1:22 as the VM understands it.
	banner, err := firstLine("127.0.0.1:"+socks, func(c net.Conn) error {
		if _, err := c.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 22}); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 2+10))
		return err
	})
	if err != nil || !strings.HasPrefix(banner, "SSH-2.0-") {
		t.Errorf("-D: %q, %v", banner, err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// firstLine connects, says hello, and reads a line.
func firstLine(addr string, hello func(net.Conn) error) (string, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if hello != nil {
		if err := hello(c); err != nil {
			return "", err
		}
	}
	return bufio.NewReader(c).ReadString('\n')
}

// The user's own configuration includes ours when asked, and is as before when
// asked again. A session goes on, each byte once, whoever is killed in its
// middle. A VM that takes another's name is known by a key of its own.
func TestLongSSHConfig(t *testing.T) {
	notOnFake(t, noSystemd)
	home := t.TempDir()
	e := private(t, "HOME="+home)
	config := filepath.Join(home, ".ssh", "config")
	const mine = "Host mine\n  User me\n"
	if err := errors.Join(os.Mkdir(filepath.Dir(config), 0o700), os.WriteFile(config, []byte(mine), 0o644)); err != nil {
		t.Fatal(err)
	}
	include := "Include \"" + filepath.Join(e.state(), "ssh", "config") + "\"\n"
	for range 2 { // the second time changes nothing
		e.ok(t, "ssh-config", "--install")
		if got, err := os.ReadFile(config); err != nil || string(got) != include+mine {
			t.Fatalf("%q, %v", got, err)
		}
	}
	e.vm(t, "ssh-c")
	ssh := func(stdin io.Reader, command string) (*exec.Cmd, *bytes.Buffer) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		t.Cleanup(cancel)
		cmd := exec.CommandContext(ctx, "ssh", "-F", config, "ssh-c.vm", command)
		var out bytes.Buffer
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = e.environ(), stdin, &out, &out
		return cmd, &out
	}
	cmd, out := ssh(nil, "hostname") // waits for its server to be up
	if err := cmd.Run(); err != nil || out.String() != "ssh-c\n" {
		t.Fatalf("%v: %s", err, out)
	}
	data := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{4}).Read(data)
	want := digest(string(data))
	for who, kill := range victims {
		t.Run(who+" killed", func(t *testing.T) {
			v := e.inspect(t, "ssh-c")
			in, half := newHalfway(data)
			cmd, out := ssh(in, "sha256sum")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-half
			kill(t, e, v)
			if err := cmd.Wait(); err != nil || !strings.HasPrefix(out.String(), want) {
				t.Errorf("%v: %s", err, clip(out.String()))
			}
		})
	}
	known := func() string {
		hosts, err := os.ReadFile(filepath.Join(e.state(), "ssh", "known_hosts"))
		if err != nil {
			t.Fatal(err)
		}
		return string(hosts)
	}
	first := known()
	e.ok(t, "rm", "-f", "ssh-c")
	if out := e.ok(t, "ssh-config"); strings.Contains(out, "ssh-c.vm") || known() != "" {
		t.Errorf("a VM that is gone is in it: %s, %s", out, known())
	}
	e.ok(t, "vm", "create", "-n", "ssh-c")
	if second := known(); first == second || !strings.HasPrefix(first, "ssh-c.vm ") || !strings.HasPrefix(second, "ssh-c.vm ") {
		t.Errorf("the VMs of one name are known as %q and %q", first, second)
	}
	for range 2 {
		e.ok(t, "ssh-config", "--uninstall")
		if got, err := os.ReadFile(config); err != nil || string(got) != mine {
			t.Fatalf("%q, %v", got, err)
		}
	}
}
