package network

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestParseException(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "10.0.0.0/8": "10.0.0.0/8", "10.0.0.1:80": "10.0.0.1:80", "10.0.0.0/8:80": "10.0.0.0/8:80",
		"fd00::1": "fd00::1", "fd00::/64": "fd00::/64", "[fd00::1]:443": "[fd00::1]:443", "[fd00::1]": "fd00::1",
		"[fd00::/64]:443": "[fd00::/64]:443", "[fd00::]/64:443": "[fd00::/64]:443", "[fd00::]/64": "fd00::/64", "127.0.0.1:1": "127.0.0.1:1",
	} {
		e, err := ParseException(text)
		if err != nil || e.String() != want {
			t.Errorf("%q is %q, %v; want %q", text, e, err, want)
		}
		again, err := ParseException(e.String())
		if err != nil || again != e {
			t.Errorf("%q comes back as %v, %v", e, again, err)
		}
	}
	for text, why := range map[string]string{
		"": "no address", "host": "no address", "host:80": "no address", "10.0.0.1:": "no address", "10.0.0.1:0": "port", "10.0.0.1:65536": "port",
		"10.0.0.1:x": "port", "10.0.0.1/8": "10.0.0.0/8", "10.0.0.0/33": "no address", "[fd00::1": "no address", "[fd00::1]x": "no address", "fe80::1%eth0": "no address",
		"224.0.0.1": "groups", "ff02::1": "groups", "::ffff:10.0.0.1": "IPv4 address itself", "[fd00::1]:": "no address",
	} {
		if e, err := ParseException(text); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), why) {
			t.Errorf("%q is %v, %v; want an error about %s", text, e, err, why)
		}
	}
	if _, err := ParseExceptions(make([]string, maxExceptions+1)); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

func TestExceptionInJSON(t *testing.T) {
	a := Attachment{Backend: BackendFrames, Allow: []Exception{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Port: 80}}}
	b, err := json.Marshal(a)
	var back Attachment
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || len(back.Allow) != 1 || back.Allow[0] != a.Allow[0] || !strings.Contains(string(b), `"10.0.0.0/8:80"`) {
		t.Errorf("%s, %+v, %v", b, back, err)
	}
}

func FuzzParseException(f *testing.F) {
	f.Add("[fd00::]/64:443")
	f.Add("10.0.0.0/8:80")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseException(text)
		if err != nil {
			return
		}
		if again, err := ParseException(e.String()); err != nil || again != e {
			t.Errorf("%q is %v, which is read as %v, %v", text, e, again, err)
		}
	})
}
