package access

import (
	"strings"
	"testing"
)

func TestCheckZone(t *testing.T) {
	for _, ok := range []string{"vm", "lab-1", "vm.example.org", strings.Repeat("a", 63)} {
		if err := CheckZone(ok); err != nil {
			t.Error(err)
		}
	}
	for _, no := range []string{"", ".vm", "vm.", "VM", "a b", "*", "a..b", "-a", "a-", "a%h", "a\nHost *", strings.Repeat("a", 64), strings.Repeat("a.", 100) + "a"} {
		if err := CheckZone(no); err == nil {
			t.Errorf("%q is taken", no)
		}
	}
}

// A zone of one's own is in both files.
func TestZone(t *testing.T) {
	f := New(odd(t), "lab.example.org", banger)
	hosts, config := f.render([]VM{{"0123abcd", "dev", "me", hostKey}})
	if !strings.HasPrefix(hosts, "dev.lab.example.org ssh-ed25519") || !strings.Contains(config, "\nHost dev.lab.example.org\n") {
		t.Errorf("%s%s", hosts, config)
	}
	if got := New("", "", banger).Host("dev"); got != "dev.vm" {
		t.Errorf("where nobody has chosen it is %s", got)
	}
}
