package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
)

// Ports of a VM that has no network are reached from the host: a server of the
// guest's loopback too, by many at once, whoever of banger's processes dies, and
// after a reboot.
func TestForward(t *testing.T) {
	e := private(t)
	web, free := freePort(t), freePort(t)
	r := e.banger(t, "run", "-d", "-n", "fwd", "--network", "none", "-p", web+":8080", "-p", "0:9000", "debian")
	t.Cleanup(func() { e.banger(t, "rm", "-f", "fwd") })
	if r.code != 0 || !strings.Contains(r.stderr, " leads to port 9000\n") {
		t.Fatalf("%s", r)
	}
	// An HTTP server on the guest's IPv4 loopback, and one that sends without
	// end, a byte at a time for the first moment.
	e.server(t)
	body := e.ok(t, "exec", "fwd", "--", "sha256sum", "www/big")[:64]
	url := "http://127.0.0.1:" + web
	t.Run("requests", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				at := url
				if i%2 == 1 {
					at = "http://localhost:" + web
				}
				if got, err := fetch(t.Context(), at+"/big"); err != nil || got != body {
					t.Errorf("%s, %v", got, err)
				}
			})
		}
		all.Wait()
	})
	t.Run("shown", func(t *testing.T) { e.testForwardsShown(t, web) })
	t.Run("a port that is in use", func(t *testing.T) {
		e.refused(t, 125, []string{"in use by the VM fwd, for its port 8080"}, "run", "--rm", "-n", "late", "-p", web+":80", "debian", "true")
		e.refused(t, 4, []string{"has a forward of that port already"}, "forward", "fwd", web+":81")
	})
	t.Run("daemon killed", func(t *testing.T) {
		c, got := e.transfer(t, web)
		defer c.Close()
		kill9(t, e.daemonPID(t))
		if err := got(3 << 20); err != nil {
			t.Errorf("a transfer ended with the daemon: %v", err)
		}
	})
	t.Run("monitor killed", func(t *testing.T) {
		before := e.inspect(t, "fwd").Forwards
		c, got := e.transfer(t, web)
		defer c.Close()
		kill9(t, e.inspect(t, "fwd").Boot.MonitorPID)
		if err := got(1 << 40); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a transfer that was cut off ended with: %v", err)
		}
		await(t, "the next monitor", func() bool { sum, err := fetch(t.Context(), url+"/big"); return err == nil && sum == body })
		if after := e.inspect(t, "fwd").Forwards; !slices.Equal(before, after) {
			t.Errorf("%+v, and then %+v", before, after)
		}
	})
	t.Run("changed while it runs", func(t *testing.T) {
		if out := e.ok(t, "forward", "fwd", free+":8080"); out != "127.0.0.1:"+free+"\n" {
			t.Errorf("%q", out)
		}
		if got, err := fetch(t.Context(), "http://127.0.0.1:"+free+"/big"); err != nil || got != body {
			t.Errorf("%s, %v", got, err)
		}
		e.ok(t, "forward", "rm", "fwd", free)
		if _, err := net.Dial("tcp", "127.0.0.1:"+free); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("it listens on: %v", err)
		}
	})
	t.Run("automatic", func(t *testing.T) { e.testAutoForward(t) })
	t.Run("rebooted", func(t *testing.T) {
		before := e.inspect(t, "fwd")
		// By force: services that are just starting are not waited for.
		e.banger(t, "exec", "fwd", "--", "sh", "-c", "until sudo systemctl reboot --force 2>/dev/null; do sleep 1; done")
		await(t, "the guest to be back", func() bool {
			v := e.inspect(t, "fwd")
			return v.State == api.StateRunning && v.Boot.GuestBoot != "" && v.Boot.GuestBoot != before.Boot.GuestBoot
		})
		e.server(t)
		if got, err := fetch(t.Context(), url+"/big"); err != nil || got != body {
			t.Errorf("%s, %v", got, err)
		}
	})
	e.ok(t, "rm", "-f", "fwd")
	if _, err := net.Dial("tcp", "127.0.0.1:"+web); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("somebody listens on: %v", err)
	}
	if left := e.residue(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// server brings busybox's HTTP server to the guest and waits until it answers.
func (e *env) server(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("busybox-static is not installed: ", err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := e.bangerIn(t, string(program), "exec", "fwd", "--", "sh", "-c", `cat >busybox && chmod +x busybox && mkdir -p www/cgi-bin
[ -f www/big ] || head -c 3M /dev/urandom >www/big
printf '#!/bin/sh\nprintf "Content-type: text/plain\\r\\n\\r\\n"\nexec cat /dev/zero\n' >www/cgi-bin/endless
chmod +x www/cgi-bin/endless`)
	if r.code != 0 {
		t.Fatalf("%s", r)
	}
	e.ok(t, "exec", "-d", "fwd", "--", "./busybox", "httpd", "-f", "-p", "127.0.0.1:8080", "-h", "www")
	await(t, "the guest's server", func() bool { return e.bangerIn(t, "", "dial", "fwd", "8080").code == 0 })
}

// fetch returns the digest of what a URL has.
func fetch(ctx context.Context, url string) (sum string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, resp.Body)
	return hex.EncodeToString(hash.Sum(nil)), err
}

// transfer begins an endless transfer; got reads so much more of it.
func (e *env) transfer(t *testing.T, port string) (c net.Conn, got func(bytes int64) error) {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	got = func(bytes int64) error {
		if err := c.SetReadDeadline(time.Now().Add(deadline)); err != nil {
			return err
		}
		_, err := io.CopyN(io.Discard, c, bytes)
		return err
	}
	if _, err := io.WriteString(c, "GET /cgi-bin/endless HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := got(1 << 20); err != nil {
		t.Fatal(err)
	}
	return c, got
}

func (e *env) testForwardsShown(t *testing.T, web string) {
	var ports api.VMPorts
	if err := json.Unmarshal([]byte(e.ok(t, "ports", "--json", "fwd")), &ports); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(ports.Listeners, func(l api.Listener) bool { return l.Port == 8080 })
	if at < 0 {
		t.Fatalf("%+v", ports)
	}
	if l := ports.Listeners[at]; l.Process != "busybox" || l.User != "dev" || l.Address != "127.0.0.1" || l.PID == 0 {
		t.Errorf("%+v", l)
	}
	if len(ports.Forwards) != 2 || strconv.Itoa(ports.Forwards[0].Port) != web || ports.Forwards[1].HostPort != 0 || ports.Forwards[1].Port == 0 {
		t.Errorf("%+v", ports.Forwards)
	}
	anyPort := strconv.Itoa(ports.Forwards[1].Port)
	for _, c := range []struct{ args, want string }{
		{"ports fwd", "nothing listens"},
		{"ls", web + "->8080," + anyPort + "->9000"},
		{"inspect fwd", anyPort + "->9000"},
		{"forward ls fwd", "127.0.0.1:" + web},
		{"events", "vm.forward_opened fwd 127.0.0.1:" + web + " leads to port 8080"},
	} {
		if out := e.ok(t, strings.Fields(c.args)...); !strings.Contains(out, c.want) {
			t.Errorf("banger %s does not show %q:\n%s", c.args, c.want, out)
		}
	}
	// Nothing listens on the guest's port: a reset, not silence.
	conn, err := net.Dial("tcp", "127.0.0.1:"+anyPort)
	if err == nil { // a quick guest's comes before the connection is known
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a port that nothing listens on: %v", err)
	}
}

// testAutoForward: what a guest begins to listen on can be reached, and cannot
// once it has ended; an event tells both.
func (e *env) testAutoForward(t *testing.T) {
	port := 20000 + rand.N(10000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := e.command(ctx, "events", "-f")
	var told lockedBuffer
	events.Stdout = &told
	if err := events.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = events.Wait() // it was ended
	}()
	e.ok(t, "forward", "--auto", "fwd")
	e.ok(t, "exec", "-d", "fwd", "--", "./busybox", "httpd", "-f", "-p", fmt.Sprintf("[::1]:%d", port), "-h", "www")
	var at string
	await(t, "an automatic forward", func() bool {
		for _, f := range e.inspect(t, "fwd").Forwards {
			if f.Auto && f.GuestPort == port {
				at = "127.0.0.1:" + strconv.Itoa(f.Port)
			}
		}
		return at != ""
	})
	want := e.ok(t, "exec", "fwd", "--", "sha256sum", "www/big")[:64]
	if got, err := fetch(t.Context(), "http://"+at+"/big"); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	await(t, "the event", func() bool {
		return strings.Contains(told.String(), "vm.forward_opened fwd "+at+" leads to port "+strconv.Itoa(port)+", where the guest listens now")
	})
	e.ok(t, "exec", "fwd", "--", "pkill", "-f", strconv.Itoa(port))
	await(t, "the event of its end", func() bool { return strings.Contains(told.String(), "vm.forward_closed fwd "+at) })
	if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it listens on: %v", err)
	}
	e.ok(t, "forward", "--auto=false", "fwd")
}

// lockedBuffer is written by a program while it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
