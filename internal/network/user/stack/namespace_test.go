package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/network/user/assign"
	"github.com/banger-vm/banger/internal/network/user/frames"
	"github.com/banger-vm/banger/internal/network/user/policy"
)

// roleEnv makes the test program a part of TestNamespace: the host with the
// stack, or the Internet.
const roleEnv = "BANGER_TEST_NAMESPACE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "internet" {
		fmt.Fprintln(os.Stderr, internet())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// again is this program in a network namespace of its own.
func again(ctx context.Context, role string, flags uintptr, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// A host without an uplink, in which all that must not be reached is really
// there and answers, and an Internet of two documentation networks beside it.
func TestNamespace(t *testing.T) {
	if os.Getenv(roleEnv) == "host" {
		testNamespace(t)
		return
	}
	cmd := again(t.Context(), "host", syscall.CLONE_NEWUSER|syscall.CLONE_NEWNET, "-test.run=^TestNamespace$", "-test.v")
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("no namespace can be made here: %v", err)
	}
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func ip(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const servicePort = "8080"

// serveAll answers on every address here, and counts what comes.
func serveAll() (*atomic.Int64, error) {
	var seen atomic.Int64
	l, err := net.Listen("tcp", ":"+servicePort)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			seen.Add(1)
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := net.ListenPacket("udp", ":"+servicePort)
	if err != nil {
		return nil, err
	}
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			seen.Add(1)
			_, _ = p.WriteTo(buf[:n], from)
		}
	}()
	return &seen, nil
}

// internet is the other end of the host's cable.
func internet() error {
	for wait := time.Now(); ip("link show v1") != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(wait) > 20*time.Second {
			return errors.New("no cable is plugged in")
		}
	}
	for _, args := range []string{
		"link set lo up", "link set v1 up", "addr add 198.51.100.2/24 dev v1", "addr add 203.0.113.2/24 dev v1", "addr add 2001:db8::2/64 dev v1 nodad",
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	if _, err := serveAll(); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin) // until the host ends
	return err
}

// forbidden are addresses of the host's, of every range that it can have.
var forbidden = []string{
	"10.66.0.1", "100.64.1.1", "127.0.0.1", "127.9.9.9", "169.254.7.7", "172.16.9.9", "192.0.0.9", "192.168.3.3", "240.1.1.1",
	"fd00::66", "fec0::66", "64:ff9b:1::66", "64:ff9b::a42:1", "2002:a42:1::66", "2001:db8:1::5efe:a42:1",
	"198.51.100.1", "203.0.113.1", "2001:db8::1", // the host's own on the Internet
}

func testNamespace(t *testing.T) {
	far := again(t.Context(), "internet", syscall.CLONE_NEWNET)
	said, err := far.StdoutPipe()
	must(t, err)
	stdin, err := far.StdinPipe()
	must(t, err)
	far.Stderr = os.Stderr
	must(t, far.Start())
	defer func() { stdin.Close(); _ = far.Wait() }()
	must(t, ip("link set lo up"))
	must(t, ip(fmt.Sprintf("link add v0 type veth peer name v1 netns %d", far.Process.Pid)))
	for _, args := range []string{"link set v0 up", "addr add 198.51.100.1/24 dev v0", "addr add 203.0.113.1/24 dev v0", "addr add 2001:db8::1/64 dev v0 nodad"} {
		must(t, ip(args))
	}
	for _, a := range forbidden {
		addr := netip.MustParseAddr(a)
		if !strings.HasPrefix(a, "127.") && !strings.HasPrefix(a, "198.") && !strings.HasPrefix(a, "203.") && a != "2001:db8::1" {
			must(t, ip(fmt.Sprintf("addr add %s/%d dev lo", a, addr.BitLen())))
		}
	}
	seen, err := serveAll()
	must(t, err)
	if line, err := bufio.NewReader(said).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the Internet says %q, %v", line, err)
	}
	for _, a := range forbidden { // they are there
		c, err := net.DialTimeout("tcp", net.JoinHostPort(a, servicePort), 5*time.Second)
		must(t, err)
		c.Close()
	}
	for time.Sleep(50 * time.Millisecond); seen.Load() < int64(len(forbidden)); time.Sleep(10 * time.Millisecond) {
	}
	seen.Store(0)

	t.Run("forbidden", func(t *testing.T) {
		r := newRig(t, policy.Policy{}, "")
		for _, a := range append([]string{"10.0.2.2", "fd62:616e:6765:72::2", "fe80::2", "0.0.0.0"}, forbidden...) {
			at := net.JoinHostPort(a, servicePort)
			if netip.MustParseAddr(a).IsLoopback() || a == "0.0.0.0" || a == "fe80::2" {
				r.raw(a) // what the guest's own stack keeps in
				continue
			}
			if _, err := r.dial(t, at); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("%s: %v", at, err)
			}
			_, _ = r.udp(t, at).Write([]byte("x"))
		}
		time.Sleep(200 * time.Millisecond)
		if n := seen.Load(); n != 0 {
			t.Errorf("the host's services were reached %d times", n)
		}
	})
	t.Run("the Internet", func(t *testing.T) { testReached(t, newRig(t, policy.Policy{}, "")) })
	t.Run("an exception", func(t *testing.T) {
		r := newRig(t, policy.Policy{Allow: allowed(t, "10.66.0.1:"+servicePort, "127.0.0.1:"+servicePort)}, "")
		for _, a := range []string{"10.66.0.1", "10.0.2.2"} {
			r.talks(t, net.JoinHostPort(a, servicePort))
		}
		if _, err := r.dial(t, "100.64.1.1:"+servicePort); err == nil {
			t.Error("another address is reached")
		}
	})
	t.Run("DNS", testDNS)
	t.Run("ping", testPings)
}

// raw sends a SYN and a datagram past the guest's own rules.
func (r *rig) raw(to string) {
	dst := netip.MustParseAddr(to)
	src := assign.Guest
	if dst.Is6() {
		src = netip.MustParseAddr("fd62:616e:6765:72::15")
	}
	e := frames.Ends{From: card, To: assign.GatewayMAC, Src: src, Dst: dst}
	for _, f := range [][]byte{e.UDP(9999, 8080, []byte("x")), syn(e)} {
		if r.admit(f) {
			r.port.deliver(f)
		}
	}
}

// syn asks for a connection; nobody looks at its checksum.
func syn(e frames.Ends) []byte {
	b := e.UDP(9998, 8080, make([]byte, 12))
	at := len(b) - 20
	copy(b[at+4:], []byte{0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0})
	if e.Src.Is6() {
		b[14+6] = frames.ProtoTCP
	} else {
		b[14+9] = frames.ProtoTCP
	}
	return b
}

// talks wants an echo by both protocols.
func (r *rig) talks(t *testing.T, at string) {
	t.Helper()
	c := r.mustDial(t, at)
	buf := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Errorf("tcp %s: %v", at, err)
	} else if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
		t.Errorf("tcp %s: %q, %v", at, buf, err)
	}
	u := r.udp(t, at)
	if _, err := u.Write([]byte("hello")); err != nil {
		t.Errorf("udp %s: %v", at, err)
	} else if n, err := u.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("udp %s: %q, %v", at, buf[:n], err)
	}
}

func testReached(t *testing.T, r *rig) {
	for _, a := range []string{"198.51.100.2", "203.0.113.2", "2001:db8::2"} {
		r.talks(t, net.JoinHostPort(a, servicePort))
	}
	if report, _ := r.Report(); len(report.Refused) > 0 {
		t.Errorf("refused: %+v", report)
	}
}

// The gateway answers what this host's resolver answers, on whatever address
// that is, by both protocols.
func testDNS(t *testing.T) {
	answer := func(q []byte) []byte { return append(append([]byte(nil), q...), "told"...) }
	answering(t, "127.0.0.53:53", answer)
	l, err := net.Listen("tcp", "127.0.0.53:53")
	must(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	r := newRig(t, policy.Policy{}, "nameserver 127.0.0.53\n")
	for _, gateway := range []string{"10.0.2.2:53", "[fd62:616e:6765:72::2]:53"} {
		u := r.udp(t, gateway)
		q := dnsMessage(77)
		if _, err := u.Write(q); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 512)
		if n, err := u.Read(buf); err != nil || string(buf[:n]) != string(answer(q)) {
			t.Errorf("%s: %q, %v", gateway, buf[:n], err)
		}
		c := r.mustDial(t, gateway)
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf[:len(q)]); err != nil || string(buf[:len(q)]) != string(q) {
			t.Errorf("%s by TCP: %q, %v", gateway, buf, err)
		}
	}
	// That resolver is no way to anything else of this host.
	if _, err := r.dial(t, "10.0.2.2:"+servicePort); err == nil {
		t.Error("the host's loopback is reached")
	}
}

// Others than the gateway answer pings only where this host lets its user ask
// them.
func testPings(t *testing.T) {
	const setting = "/proc/sys/net/ipv4/ping_group_range"
	ping := func(r *rig, dst string) {
		e := frames.Ends{From: card, To: assign.GatewayMAC, Src: assign.Guest, Dst: netip.MustParseAddr(dst)}
		typ := uint8(typeEcho4)
		if e.Dst.Is6() {
			e.Src, typ = netip.MustParseAddr("fd62:616e:6765:72::15"), typeEcho6
		}
		r.admit(e.ICMP(typ, 0, []byte("\x12\x34\x00\x01data")))
	}
	r := newRig(t, policy.Policy{}, "")
	ping(r, "198.51.100.2")
	awaitFrame(t, r, "a refusal", func(p frames.Packet) bool { typ, _, ok := p.ICMP(); return ok && typ == 3 && p.Payload[1] == 13 })
	if count(r, string(noEcho)) != 1 {
		t.Error("it is not told why")
	}
	must(t, os.WriteFile(setting, []byte("0 0"), 0))
	for _, dst := range []string{"198.51.100.2", "2001:db8::2"} {
		ping(r, dst)
		awaitFrame(t, r, "a reply of "+dst, func(p frames.Packet) bool {
			typ, body, ok := p.ICMP()
			return ok && p.Src.String() == dst && (typ == typeReply4 || typ == typeReply6) && string(body) == "\x12\x34\x00\x01data"
		})
	}
	ping(r, "10.66.0.1")
	awaitFrame(t, r, "a refusal", func(p frames.Packet) bool {
		typ, _, ok := p.ICMP()
		return ok && typ == 3 && p.Src.String() == "10.66.0.1"
	})
}
