package service

import (
	"testing"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/fault"
)

func TestAuthOnTheWire(t *testing.T) {
	s, err := sentFrom(api.Auth{
		Git: &api.GitIdentity{Name: "Ada"}, Off: true,
		Files: []api.CredentialFile{{Path: "~/a", Data: []byte("x")}, {Path: "/etc/b", Mode: 0o644}},
	})
	if err != nil || s.Git.Name != "Ada" || !s.Off || s.Asked || s.Files[0].Mode != 0o600 || string(s.Files[0].Data) != "x" || s.Files[1].Mode != 0o644 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, a := range []api.Auth{
		{Files: []api.CredentialFile{{Path: "~/../a"}}},
		{Files: []api.CredentialFile{{Path: "/root/a"}}},
		{SSHKeys: []string{"x"}},
		{Git: &api.GitIdentity{Name: "a\nb"}},
	} {
		if _, err := sentFrom(a); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
