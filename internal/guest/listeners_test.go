package guest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/banger-vm/banger/internal/guest/wire"
)

func TestImpossibleListeners(t *testing.T) {
	whole := wire.Listening{Network: "tcp", Address: "127.0.0.1", Port: 80, PID: 1, Process: "nginx", User: "www-data"}
	for name, change := range map[string]func(*wire.Listening){
		"":                func(*wire.Listening) {},
		"a network":       func(l *wire.Listening) { l.Network = "unix" },
		"no address":      func(l *wire.Listening) { l.Address = "localhost" },
		"a zone":          func(l *wire.Listening) { l.Address = "fe80::1%\x1b[2J" },
		"no port":         func(l *wire.Listening) { l.Port = 0 },
		"too great":       func(l *wire.Listening) { l.Port = 1 << 16 },
		"a pid":           func(l *wire.Listening) { l.PID = -1 },
		"a control":       func(l *wire.Listening) { l.Process = "a\x1b[2Jb" },
		"a long name":     func(l *wire.Listening) { l.User = strings.Repeat("x", wire.MaxName+1) },
		"a line's end":    func(l *wire.Listening) { l.User = "a\nb" },
		"direction marks": func(l *wire.Listening) { l.Process = "a\u202eb" },
	} {
		l := whole
		change(&l)
		line, err := json.Marshal(wire.Listeners{All: []wire.Listening{l}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeListeners(line); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
	line, err := json.Marshal(wire.Listeners{All: make([]wire.Listening, wire.MaxListeners+1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeListeners(line); err == nil {
		t.Error("too many are taken")
	}
}

func FuzzListeners(f *testing.F) {
	f.Add([]byte(`{"all":[{"network":"tcp","address":"::1","port":80,"pid":7,"process":"x","user":"y"}],"more":true}`))
	f.Add([]byte(`{"all":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		all, err := decodeListeners(line)
		if err != nil {
			return
		}
		for _, l := range all.All {
			if l.Port < 1 || l.Port > 65535 || !printable(l.Process+l.User, 2*wire.MaxName) || !printable(l.Address, 64) || l.PID < 0 {
				t.Errorf("it takes %+v", l)
			}
		}
	})
}
