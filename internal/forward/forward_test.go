package forward

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestCheck(t *testing.T) {
	many := make([]Forward, Most+1)
	for i := range many {
		many[i] = Forward{HostPort: 2000 + i, GuestPort: 80}
	}
	for name, c := range map[string]struct {
		all  []Forward
		says string
	}{
		"none":              {nil, ""},
		"some":              {[]Forward{{HostPort: 8080, GuestPort: 80}, {HostPort: 8081, GuestPort: 80}}, ""},
		"any port, twice":   {[]Forward{{GuestPort: 80}, {GuestPort: 80}}, ""},
		"as many as may be": {many[:Most], ""},
		"too many":          {many, "more than 64 forwards"},
		"no guest port":     {[]Forward{{HostPort: 80}}, "80:0 cannot be a forward"},
		"too great a port":  {[]Forward{{HostPort: 80, GuestPort: 65536}}, "cannot be a forward"},
		"a negative port":   {[]Forward{{HostPort: -1, GuestPort: 80}}, "cannot be a forward"},
		"no address":        {[]Forward{{Address: "here", HostPort: 80, GuestPort: 80}}, `"here" cannot be the address`},
		"a zone":            {[]Forward{{Address: "fe80::1%eth0", HostPort: 80, GuestPort: 80}}, "cannot be the address"},
		"another spelling":  {[]Forward{{Address: "::ffff:127.0.0.1", HostPort: 80, GuestPort: 80}}, "cannot be the address"},
		"one port":          {[]Forward{{HostPort: 80, GuestPort: 1}, {HostPort: 80, GuestPort: 2}}, "80:1 and 80:2 have one host port"},
		"all and loopback":  {[]Forward{{HostPort: 80, GuestPort: 1}, {Address: "0.0.0.0", HostPort: 80, GuestPort: 2}}, "have one host port"},
		"two addresses":     {[]Forward{{Address: "127.0.0.2", HostPort: 80, GuestPort: 1}, {HostPort: 80, GuestPort: 2}}, ""},
		"all of IPv6":       {[]Forward{{Address: "::", HostPort: 80, GuestPort: 1}, {Address: "127.0.0.1", HostPort: 80, GuestPort: 2}}, ""},
		"IPv6 and loopback": {[]Forward{{Address: "::", HostPort: 80, GuestPort: 1}, {HostPort: 80, GuestPort: 2}}, "have one host port"},
	} {
		err := Check(c.all)
		if c.says == "" && err != nil || c.says != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddAndRemove(t *testing.T) {
	web, ssh, anyPort := Forward{HostPort: 8080, GuestPort: 80}, Forward{Address: "0.0.0.0", HostPort: 2222, GuestPort: 22}, Forward{GuestPort: 5432}
	all, err := Add([]Forward{web}, []Forward{web, ssh, anyPort})
	if err != nil || !slices.Equal(all, []Forward{web, ssh, anyPort}) {
		t.Fatal(all, err)
	}
	if _, err := Add(all, []Forward{{Address: "127.0.0.1", HostPort: 2222, GuestPort: 80}}); fault.KindOf(err) != fault.Exists || !strings.Contains(err.Error(), "0.0.0.0:2222:22") {
		t.Error(err)
	}
	live := []Status{{Forward: web, Port: 8080}, {Forward: anyPort, Port: 41234}, {Forward: Forward{GuestPort: 3000}, Port: 3000, Auto: true}}
	for name, c := range map[string]struct {
		which Forward
		left  int
		says  string
	}{
		"by its port":       {Forward{HostPort: 8080}, 2, ""},
		"whole":             {web, 2, ""},
		"by what was found": {Forward{HostPort: 41234}, 2, ""},
		"as it was asked":   {Forward{GuestPort: 5432}, 2, ""},
		"by an address":     {Forward{Address: "0.0.0.0", HostPort: 2222}, 2, ""},
		"another address":   {Forward{Address: "10.0.0.1", HostPort: 2222}, 3, "no forward of port 2222"},
		"another guest's":   {Forward{HostPort: 8080, GuestPort: 81}, 3, "no forward of port 8080"},
		"an automatic one":  {Forward{HostPort: 3000}, 3, "is an automatic one"},
	} {
		left, err := Remove(all, live, []Forward{c.which})
		if c.says == "" && (err != nil || len(left) != c.left) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, %v", name, left, err)
		}
	}
	if len(all) != 3 {
		t.Error("what there was has changed")
	}
}

func TestMerge(t *testing.T) {
	anyPort, web := Forward{GuestPort: 80}, Forward{HostPort: 8080, GuestPort: 80}
	live := []Status{{Forward: anyPort, Port: 1111}, {Forward: anyPort, Port: 2222}, {Forward: Forward{GuestPort: 3000}, Port: 3000, Auto: true}, {Forward: Forward{HostPort: 9, GuestPort: 9}, Port: 9}}
	var got []string
	for _, s := range Merge([]Forward{anyPort, web, anyPort}, live) {
		got = append(got, fmt.Sprintln(s.Open(), s.Auto))
	}
	want := []string{"127.0.0.1:1111 false\n", "127.0.0.1:8080 false\n", "127.0.0.1:2222 false\n", "127.0.0.1:3000 true\n"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The loopback is both its addresses, where the host has them, and no others.
func TestListen(t *testing.T) {
	on, port, err := Listen(Forward{GuestPort: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(on)
	six, sixErr := net.Listen("tcp6", "[::1]:0")
	if sixErr == nil {
		six.Close()
	}
	if want := map[bool]int{true: 2, false: 1}[sixErr == nil]; len(on) != want {
		t.Errorf("%d listeners, want %d", len(on), want)
	}
	for _, l := range on {
		if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port != port {
			t.Errorf("it listens on %s, not port %d", a, port)
		}
	}
	for _, f := range []Forward{{HostPort: port, GuestPort: 1}, {Address: "0.0.0.0", HostPort: port, GuestPort: 1}} {
		if err := Free(f); fault.KindOf(err) != fault.Busy || !strings.Contains(err.Error(), fmt.Sprintf("port %d of ", port)) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if err := Free(Forward{Address: "192.0.2.1", HostPort: port, GuestPort: 1}); fault.KindOf(err) != fault.Precondition || !strings.Contains(err.Error(), "no address of this host") {
		t.Error(err)
	}
	closeAll(on)
	if err := Free(Forward{HostPort: port, GuestPort: 1}); err != nil {
		t.Error(err)
	}
}
