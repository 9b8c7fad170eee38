package resolver

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]string{
		"": {"127.0.0.1:53"},
		"# x\nnameserver 127.0.0.53\noptions edns0\nsearch a b\n":                                  {"127.0.0.53:53"},
		"nameserver fe80::1%eth0\nnameserver\t2001:db8::1 \nnameserver x\nnameserver":              {"[fe80::1%eth0]:53", "[2001:db8::1]:53"},
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n": {"192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"},
	} {
		var got []string
		for _, s := range parse([]byte(text)) {
			got = append(got, s.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q has %q, want %q", text, got, want)
		}
	}
}

// What changes on the host holds for the next query; what cannot be read
// changes nothing.
func TestServersFollowTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("nameserver 192.0.2.1\n")
	r := New(path, slog.New(slog.DiscardHandler))
	first := netip.MustParseAddrPort("192.0.2.1:53")
	if got := r.Servers(); !slices.Equal(got, []netip.AddrPort{first}) {
		t.Errorf("%v", got)
	}
	write("nameserver 192.0.2.2\n")
	if got := r.Servers(); len(got) != 1 || got[0] == first {
		t.Errorf("after a change: %v", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := r.Servers(); len(got) != 1 || got[0] == first {
		t.Errorf("without the file: %v", got)
	}
}

// A resolver that answers with another ID, or nothing, is not believed; the
// next one is asked.
func TestExchange(t *testing.T) {
	listen := func(answer func([]byte) []byte) netip.AddrPort {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			buf := make([]byte, MaxMessage)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				if a := answer(buf[:n]); a != nil {
					_, _ = c.WriteTo(a, from)
				}
			}
		}()
		return netip.MustParseAddrPort(c.LocalAddr().String())
	}
	liar := listen(func(q []byte) []byte { return append([]byte{q[0] + 1, q[1]}, q[2:]...) })
	right := listen(func(q []byte) []byte { return append(append([]byte(nil), q...), "answer"...) })
	r := &Resolver{path: "/no/such", log: slog.New(slog.DiscardHandler), servers: []netip.AddrPort{liar, right}}
	query := make([]byte, minMessage)
	begin := time.Now()
	got, err := r.Exchange(t.Context(), query)
	if err != nil || string(got[minMessage:]) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
	if took := time.Since(begin); took > patience+time.Second {
		t.Errorf("it took %s", took)
	}
	if _, err := r.Exchange(t.Context(), query[:5]); err == nil {
		t.Error("half a query is asked")
	}
}
