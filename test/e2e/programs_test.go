package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/test/seedstate"
)

// What people use a VM for, in one, and what they reach it with from outside:
// the real programs, as Debian has them. The VM stands on an image of test/apps,
// which is the Debian image and what would take minutes to install here.
func TestLongPrograms(t *testing.T) {
	notOnFake(t, noSystemd)
	e := private(t)
	image := os.Getenv("BANGER_TEST_APPS")
	if image == "" {
		t.Fatal("BANGER_TEST_APPS is not set to what go run ./test/apps prints; scripts/test-vm -long does that")
	}
	if err := seedstate.AddImage(t.Context(), image, e.state(), "apps"); err != nil {
		t.Fatal(err)
	}
	p := programs{env: e, host: hostServer(t)}
	e.vm(t, "apps", "--image", "apps", "-m", "1G", "--allow-host", p.host.String())
	p.web = p.forward(t, "8080")
	if !t.Run("apt-get install docker.io", p.testInstall) {
		return
	}
	t.Run("a container's published port", p.testContainer)
	t.Run("a service", p.testService)
	t.Run("rootless podman", p.testPodman)
	t.Run("an editor's server", p.testEditor)
	t.Run("after a restart", p.testRestarted)
	t.Run("rsync", p.testRsync)
	t.Run("docker -H ssh", p.testDockerSSH)
	t.Run("an Ansible play", p.testPlay)
}

// programs are the tests of the VM apps.
type programs struct {
	*env
	host netip.AddrPort // a server of this host that the guest may reach
	web  string         // where this host has the guest's port 8080
}

const (
	hello      = "hello from a container\n"
	greeting   = "hello from the host\n"
	unattended = "DEBIAN_FRONTEND=noninteractive"
)

// hostServer says greeting on this host's loopback.
func hostServer(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(greeting)) // the guest compares
	})}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { server.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// in runs a script as the guest's user, which must succeed, and returns what it
// printed.
func (p *programs) in(t *testing.T, script string) string {
	t.Helper()
	return p.ok(t, "exec", "apps", "--", "bash", "-ec", script)
}

// forward leads a port of this host, for good, to one of the guest.
func (p *programs) forward(t *testing.T, port string) (address string) {
	t.Helper()
	return strings.TrimSpace(p.ok(t, "forward", "apps", freePort(t)+":"+port))
}

// tool is the path of a program of this host.
func tool(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s of Debian's package %s is not installed (make test-long does that): %v", name, debianPackage, err)
	}
	return path
}

// testInstall: from Debian, or where there is no way there from what the image
// brought along.
func (p *programs) testInstall(t *testing.T) {
	const install = "sudo " + unattended + " apt-get install -q -y --no-install-recommends "
	script := "sudo apt-get update -q -o Acquire::Languages=none && " + install + "docker.io apparmor"
	if os.Getenv("BANGER_TEST_HOST") == "1" {
		script = install + "/srv/debs/*.deb"
	} else {
		await(t, "the guest's way to Debian", func() bool {
			return p.banger(t, "exec", "apps", "--", "sh", "-c", `getent hosts "$(sed -n 's,.*http://\([^/]*\)/.*,\1,p' /etc/apt/sources.list | head -n 1)"`).code == 0
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*deadline) // where all is emulated twice
	defer cancel()
	if r := collect(t, p.command(ctx, "exec", "apps", "--", "sh", "-ec", script), ""); r.code != 0 {
		t.Fatalf("%s", r)
	}
	p.in(t, "sudo usermod -aG docker dev")
	// No registry: a root file system of one program.
	p.in(t, `mkdir -p tiny/bin && cp /usr/bin/busybox tiny/bin/
for name in sh httpd id wget; do ln -s busybox tiny/bin/$name; done
printf 'hello from a container\n' >tiny/index.html
tar c -C tiny . >tiny.tar`)
	p.in(t, "docker import tiny.tar tiny") // by the group, without a new login
}

func (p *programs) testContainer(t *testing.T) {
	p.in(t, "docker run -d --name web --restart always -p 8080:80 tiny /bin/httpd -f -h /")
	serves(t, p.web)
	if out := p.ok(t, "ports", "apps"); !regexp.MustCompile(`8080/tcp .*docker-proxy .*` + regexp.QuoteMeta(p.web)).MatchString(out) {
		t.Errorf("ports: %s", out)
	}
	// Outwards it has the guest's network.
	if out := p.in(t, fmt.Sprintf("docker run --rm tiny wget -q -O - http://10.0.2.2:%d/", p.host.Port())); out != greeting {
		t.Errorf("from the container: %q", out)
	}
}

// serves wants a container's page at a port of the host.
func serves(t *testing.T, address string) {
	t.Helper()
	want := digest(hello)
	await(t, "the container's page", func() bool {
		sum, err := fetch(t.Context(), "http://"+address+"/")
		return err == nil && sum == want
	})
}

func (p *programs) testService(t *testing.T) {
	unit := filepath.Join(t.TempDir(), "beat.service")
	const text = `[Service]
ExecStart=/bin/sh -c 'read boot </proc/sys/kernel/random/boot_id; echo beat in $$boot; exec sleep infinity'
[Install]
WantedBy=multi-user.target
`
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.ok(t, "cp", unit, "apps:")
	p.in(t, "sudo install -m 644 beat.service /etc/systemd/system/ && sudo systemctl daemon-reload && sudo systemctl enable --now beat")
	p.beats(t)
}

// beats wants the service to run, and to have said so in this boot.
func (p *programs) beats(t *testing.T) {
	t.Helper()
	await(t, "the service", func() bool {
		r := p.banger(t, "exec", "apps", "--", "sh", "-c", "systemctl is-active beat && sudo journalctl -b -u beat -o cat && cat /proc/sys/kernel/random/boot_id")
		lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
		return r.code == 0 && lines[0] == "active" && strings.Contains(r.stdout, "beat in "+lines[len(lines)-1]+"\n")
	})
}

// testPodman: containers of the guest's ordinary user, in its login session.
func (p *programs) testPodman(t *testing.T) {
	await(t, "the user's session", func() bool {
		return p.banger(t, "exec", "apps", "--", "systemctl", "--user", "is-active", "dbus.socket").stdout == "active\n"
	})
	p.in(t, "podman import -q tiny.tar tiny")
	if out := p.in(t, "podman run --rm tiny id -u; podman info -f '{{.Host.Security.Rootless}} {{.Host.CgroupManager}}'"); out != "0\ntrue systemd\n" {
		t.Errorf("%q", out)
	}
	// It is the session's, and not that of the command which started it.
	p.in(t, "podman run -d --name mine -p 8081:80 tiny httpd -f -h /")
	serves(t, p.forward(t, "8081"))
	if out := p.in(t, "systemctl --user list-units --plain --no-legend 'libpod-*.scope'"); !strings.Contains(out, "running") {
		t.Errorf("its scope: %q", out)
	}
	p.in(t, "podman rm -f mine") // what ignores SIGTERM holds a guest's end up
}

// testEditor: Neovim runs in the guest, and is driven from the host.
func (p *programs) testEditor(t *testing.T) {
	nvim := tool(t, "nvim", "neovim")
	p.ok(t, "exec", "-d", "apps", "--", "nvim", "--headless", "--listen", "127.0.0.1:6666")
	at := p.forward(t, "6666")
	ask := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, nvim, append([]string{"--server", at}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	await(t, "the editor", func() bool { // it starts
		out, err := ask("--remote-expr", "hostname() . ' ' . getcwd()")
		return err == nil && out == "apps /home/dev"
	})
	if out, err := ask("--remote-expr", `writefile(['edited'], 'edited.txt')`); err != nil || out != "0" {
		t.Errorf("%q, %v", out, err)
	}
	if out := p.in(t, "cat edited.txt"); out != "edited\n" {
		t.Errorf("the file: %q", out)
	}
}

// testRestarted: services and containers are there again, at the same port.
func (p *programs) testRestarted(t *testing.T) {
	p.ok(t, "stop", "apps")
	p.ok(t, "start", "apps")
	p.beats(t)
	serves(t, p.web)
}

func (p *programs) testRsync(t *testing.T) {
	rsync := tool(t, "rsync", "rsync")
	dir := t.TempDir()
	there, back := filepath.Join(dir, "there"), filepath.Join(dir, "back")
	if err := os.MkdirAll(filepath.Join(there, "sub"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(there, "sub", "file"), []byte("text"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/file", filepath.Join(there, "link")); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		return p.onHost(t, rsync, append([]string{"-a", "--delete", "--itemize-changes"}, args...)...)
	}
	run(there+"/", "apps.vm:tree/")
	if out := p.in(t, "cat tree/link; stat -c %a tree/sub/file; echo more >tree/sub/more"); out != "text640\n" {
		t.Errorf("in the guest: %q", out)
	}
	run("apps.vm:tree/", back+"/")
	if got, err := os.ReadFile(filepath.Join(back, "sub", "more")); err != nil || string(got) != "more\n" {
		t.Errorf("back: %q, %v", got, err)
	}
	// What is the same is known to be, and what is gone goes.
	if out := run(there+"/", "apps.vm:tree/"); !strings.Contains(out, "*deleting   sub/more") || strings.Contains(out, "<f") {
		t.Errorf("again: %q", out)
	}
}

// onHost runs a program of this host that runs ssh, as with banger ssh-config
// --install, and returns what it printed.
func (p *programs) onHost(t *testing.T, program string, args ...string) string {
	t.Helper()
	dir, config := t.TempDir(), filepath.Join(p.state(), "ssh", "config")
	ssh := "#!/bin/sh\nexec '" + tool(t, "ssh", "openssh-client") + "' -F '" + config + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(ssh), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*deadline) // a play is some hundred commands
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = 10 * time.Second // a master of ssh's may hold the output
	cmd.Env = append(p.environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir,
		"ANSIBLE_HOST_KEY_CHECKING=True", "ANSIBLE_TIMEOUT=60", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_SSH_COMMON_ARGS=-F "+config, "ANSIBLE_SSH_ARGS=-o ControlMaster=auto -o ControlPersist=15s")
	r := collect(t, cmd, "")
	if r.code != 0 {
		t.Fatalf("%s %q: %s", program, args, r)
	}
	return r.stdout
}

// testDockerSSH: the guest's containers, from the host. The client is that of
// the guest, for Debian 12 has none without a daemon.
func (p *programs) testDockerSSH(t *testing.T) {
	docker := filepath.Join(t.TempDir(), "docker")
	p.ok(t, "cp", "apps:/usr/bin/docker", docker)
	if out := p.onHost(t, docker, "-H", "ssh://apps.vm", "ps", "--format", "{{.Names}} {{.Ports}}"); !strings.HasPrefix(out, "web 0.0.0.0:8080->80/tcp") {
		t.Errorf("ps: %q", out)
	}
	if out := p.onHost(t, docker, "-H", "ssh://apps.vm", "exec", "web", "/bin/sh", "-c", "read line </index.html; echo $line"); out != hello {
		t.Errorf("exec: %q", out)
	}
}

// testPlay: Ansible makes a service, and finds it made.
func (p *programs) testPlay(t *testing.T) {
	ansible := tool(t, "ansible-playbook", "ansible-core")
	args := []string{"-i", "apps.vm,", filepath.Join("testdata", "play.yml")}
	p.in(t, "until systemctl -q is-active ssh; do sleep 1; done") // for when this runs alone
	for _, changed := range []string{"2", "0"} {
		if out := p.onHost(t, ansible, args...); !regexp.MustCompile(`apps\.vm +: ok=3 +changed=` + changed + ` +unreachable=0 +failed=0 `).MatchString(out) {
			t.Errorf("want changed=%s: %s", changed, clip(out))
		}
	}
	if out := p.in(t, "systemctl is-enabled played; sudo journalctl -u played -o cat | grep -c 'this is apps, Debian'"); out != "enabled\n1\n" {
		t.Errorf("the service: %q", out)
	}
}
