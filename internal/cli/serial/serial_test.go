package serial

import (
	"bytes"
	"testing"
	"time"

	"github.com/banger-vm/banger/api"
	"github.com/banger-vm/banger/internal/cli/show"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"10m": "2026-03-01T12:20:00+01:00", "15:04": "2026-03-01T15:04:00+01:00", "01:02:03": "2026-03-01T01:02:03+01:00",
		"2026-02-28": "2026-02-28T00:00:00+01:00", "2026-02-28 05:06": "2026-02-28T05:06:00+01:00", "2026-02-28T05:06:07Z": "2026-02-28T05:06:07Z",
	} {
		got, err := parseTime(text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%q is %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-5m", "10", "25:00"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// A line has the time of its first byte, in whatever parts it comes.
func TestTimesOfLines(t *testing.T) {
	var out bytes.Buffer
	var gap uint64
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	p := &printer{out: &out, screen: show.NewScreen(&out), json: true, dropped: func(n uint64) { gap += n }}
	for _, part := range []api.VMLogs{
		{Offset: 10, Data: []byte("a\nb"), Times: []api.VMLogTime{{Offset: 3, Time: at(1)}, {Offset: 12, Time: at(2)}}},
		{Offset: 13, Data: []byte("b\nc\nd"), Times: []api.VMLogTime{{Offset: 12, Time: at(2)}, {Offset: 14, Time: at(3)}, {Offset: 17, Time: at(4)}}},
		{Offset: 30, Data: []byte("\ne"), Times: []api.VMLogTime{{Offset: 30, Time: at(5)}}},
	} {
		if err := p.print(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.finish(); err != nil {
		t.Fatal(err)
	}
	want := `{"time":"1970-01-01T00:00:01Z","line":"a"}
{"time":"1970-01-01T00:00:02Z","line":"bb"}
{"time":"1970-01-01T00:00:03Z","line":"c"}
{"time":"1970-01-01T00:00:04Z","line":"d"}
{"time":"1970-01-01T00:00:05Z","line":"e"}
`
	if out.String() != want || gap != 12 {
		t.Errorf("%s, %d bytes missing", out.String(), gap)
	}
}
