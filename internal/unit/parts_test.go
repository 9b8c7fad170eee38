package unit

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestUnitIn(t *testing.T) {
	for groups, want := range map[string]string{
		"0::/user.slice/user-1001.slice/user@1001.service/app.slice/banger-vmm-1.scope\n": "banger-vmm-1.scope",
		"12:pids:/a.slice\n1:name=systemd:/system.slice/b.service\n0::/x.scope\n":         "b.service",
		"12:pids:/a.slice\n0::/system.slice/b.service\n":                                  "b.service",
		"0::/\n":         "",
		"4:cpu:/docker":  "",
		"0::/lxc/nounit": "",
		"":               "",
		"garbage":        "",
	} {
		if got := unitIn(groups); got != want {
			t.Errorf("unitIn(%q) = %q, want %q", groups, got, want)
		}
	}
}

func TestOfAProcessThatIsGone(t *testing.T) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{}).Of(gone.Process.Pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Of = %v", err)
	}
	if _, err := New(Config{}).Of(os.Getpid()); err != nil {
		t.Errorf("Of = %v", err)
	}
}

func TestSocketOf(t *testing.T) {
	for want, cfg := range map[string]Config{
		"/run/systemd/private":           {RuntimeDir: "/run/user/0"},
		"/run/user/1001/systemd/private": {UID: 1001},
		"/x/systemd/private":             {UID: 1001, RuntimeDir: "/x"},
		"/run/user/7/systemd/private":    {UID: 7, RuntimeDir: "relative"},
	} {
		if got := New(cfg).socket; got != want {
			t.Errorf("New(%+v) asks %s, want %s", cfg, got, want)
		}
	}
}

func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv(notifySocket, path)
	n, err := NewNotifier()
	if _, still := os.LookupEnv(notifySocket); err != nil || still {
		t.Fatalf("NewNotifier: %v; the variable is still there: %v", err, still)
	}
	if err := n.Ready("serving"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if k, err := l.Read(b); err != nil || string(b[:k]) != "READY=1\nSTATUS=serving" {
		t.Errorf("it tells %q, %v", b[:k], err)
	}
	l.Close()
	if err := n.Stopping("bye"); err == nil {
		t.Error("nobody was told, and it is no error")
	}
	if err := (Notifier{}).Ready(""); err != nil {
		t.Errorf("without a socket: %v", err)
	}
}
