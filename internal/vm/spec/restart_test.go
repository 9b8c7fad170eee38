package spec

import (
	"slices"
	"testing"

	"github.com/banger-vm/banger/internal/fault"
)

func TestParseRestart(t *testing.T) {
	for text, want := range map[string]struct {
		policy Restart
		most   int
	}{
		"": {"", 0}, "no": {"", 0}, "on-failure": {"on-failure", 0}, "on-failure:5": {"on-failure:5", 5}, "on-failure:05": {"on-failure:5", 5},
		"always": {"always", 0}, "unless-stopped": {"always", 0},
	} {
		got, err := ParseRestart(text)
		if err != nil || got != want.policy || got.Most() != want.most {
			t.Errorf("%q: %q, %d, %v", text, got, got.Most(), err)
		}
	}
	for _, bad := range []string{"never", "on-failure:", "on-failure:0", "on-failure:-1", "on-failure:1000001", "on-failure:5x", "always:3", "NO", " no"} {
		if got, err := ParseRestart(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestRestartAfter(t *testing.T) {
	for _, test := range []struct {
		policy         Restart
		failed, itself bool
	}{{"", false, false}, {"on-failure", true, false}, {"on-failure:2", true, false}, {"always", true, true}} {
		if test.policy.After(true) != test.failed || test.policy.After(false) != test.itself {
			t.Errorf("%s: %v, %v", test.policy, test.policy.After(true), test.policy.After(false))
		}
	}
}

func TestThrownAwayAndStartedAgain(t *testing.T) {
	for _, s := range []VM{
		{Name: "a", AutoRemove: true, Restart: "always"}, {Name: "a", AutoRemove: true, Autostart: true}, {Name: "a", Restart: "sometimes"},
	} {
		if err := s.WithDefaults(Defaults{}).Check(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []VM{{Name: "a", AutoRemove: true, Restart: "no"}, {Name: "a", Autostart: true, Restart: "unless-stopped"}} {
		if err := s.WithDefaults(Defaults{}).Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestShapes(t *testing.T) {
	s := VM{Name: "a", AllowHosts: []string{"10.0.0.1"}}.WithDefaults(Defaults{})
	was := s.Shape()
	s.AllowHosts[0] = "changed"
	if was.AllowHosts[0] != "10.0.0.1" {
		t.Error("a shape shares memory with its VM")
	}
	s.Reshape(Shape{2, 3, 4, "none", nil})
	if got, want := was.Differs(s.Shape()), []string{"cpus", "memory", "disk", "network", "allow_hosts"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := s.Shape().Differs(s.Shape()); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
