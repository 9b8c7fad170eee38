package install_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/banger-vm/banger/internal/fault"
	"github.com/banger-vm/banger/internal/operation"
)

func (r *rig) awaitStep(rec operation.Record, step string) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		rec, err := r.ops.Get(r.t.Context(), rec.ID)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, s := range rec.Steps {
			if s.Name == step && s.State == operation.StepStarted {
				return
			}
		}
		if time.Now().After(end) || rec.State.Final() {
			r.t.Fatalf("the step %q does not begin: %+v", step, rec)
		}
	}
}

// serve answers with handler on loopback and returns the server's address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func TestInstallFromAddress(t *testing.T) {
	r := newRig(t)
	body := release(t, "1.12.1")
	half, rest := make(chan struct{}), make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v1/x.tgz" {
			http.Redirect(w, req, "/v1/x.tgz", http.StatusFound)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		close(half)
		<-rest
		w.Write(body[len(body)/2:])
	})
	rec := r.begin(url+"/latest?token=secret", body)
	<-half
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		now, err := r.ops.Get(t.Context(), rec.ID)
		if err != nil {
			t.Fatal(err)
		}
		if p := now.Progress; p.Phase == "fetching" && p.Done == int64(len(body)/2) && p.Total == int64(len(body)) && p.Unit == "bytes" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("half of it is there, the progress is %+v", now.Progress)
		}
	}
	close(rest)
	if rec = r.end(rec); rec.State != operation.Succeeded {
		t.Fatalf("%s: %v", rec.State, rec.Error)
	}
	if got := r.files(); got != "testvmm/1.12.1/jailer testvmm/1.12.1/testvmm testvmm/current->1.12.1" {
		t.Errorf("there are %s", got)
	}
}

// A server may claim that what it keeps is compressed: the sum is of what it keeps.
func TestEncodedAnswerIsNotDecoded(t *testing.T) {
	r := newRig(t)
	body := release(t, "1.12.1")
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(body)
	})
	if rec := r.end(r.begin(url, body)); rec.State != operation.Succeeded {
		t.Fatalf("%s: %v", rec.State, rec.Error)
	}
}

func TestFetchesThatFail(t *testing.T) {
	stall := func(w http.ResponseWriter, req *http.Request) {
		w.Write([]byte("some"))
		w.(http.Flusher).Flush()
		<-req.Context().Done()
	}
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		kind    fault.Kind
		want    string
	}{
		"not there": {http.NotFound, fault.Unavailable, `the server answers "404 Not Found"`},
		"in part": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("some"))
		}, fault.Unavailable, "broke off after 4 bytes: unexpected EOF"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, fault.Precondition, "it is larger than 4 MiB"},
		"announced as endless": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999999")
		}, fault.Precondition, "it is larger than 4 MiB"},
		"stalled": {stall, fault.Deadline, "did not arrive within 200ms"},
		"in a circle": {func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "/again", http.StatusFound)
		}, fault.Unavailable, "stopped after 10 redirects"},
		"to a file": {func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "file:///etc/passwd", http.StatusFound)
		}, fault.Unavailable, "unsupported protocol scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if name == "stalled" {
				r.close()
				r.cfg.Timeout = 200 * time.Millisecond
				r.open()
			}
			rec := r.begin(serve(t, tc.handler)+"/x?token=secret", nil)
			r.refused(rec, tc.kind, tc.want)
			if f := r.end(rec).Error; strings.Contains(f.Message+f.Hint, "secret") {
				t.Errorf("the message tells %q", f.Message)
			}
			r.empty()
		})
	}
	r := newRig(t)
	r.refused(r.begin("http://127.0.0.1:1/x", nil), fault.Unavailable, "connection refused")
	r.empty()
}

// A cancel ends the fetch at once and leaves nothing; a second installation
// meanwhile is refused.
func TestCancelledFetch(t *testing.T) {
	r := newRig(t)
	began := make(chan struct{})
	gone := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.Write([]byte("some"))
		w.(http.Flusher).Flush()
		close(began)
		<-req.Context().Done()
		close(gone)
	})
	rec := r.begin(url, nil)
	<-began
	if _, err := r.Install(t.Context(), "testvmm", "/x", strings.Repeat("0", 64), "", r.ops); fault.KindOf(err) != fault.Busy {
		t.Errorf("a second one at the same time: %v", err)
	}
	if _, err := r.ops.Cancel(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.end(rec); rec.State != operation.Canceled {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the connection is still there")
	}
	r.empty()
}

// What is in its place stays there: a cancel comes too late then.
func TestCancelInTheCheck(t *testing.T) {
	r := newRig(t)
	r.block = make(chan struct{})
	body := program(t, "1.12.1")
	rec := r.begin(r.given(body), body)
	r.awaitStep(rec, "check the program")
	if _, err := r.ops.Cancel(context.WithoutCancel(t.Context()), rec.ID); err != nil {
		t.Fatal(err)
	}
	if rec = r.end(rec); rec.State != operation.Canceled {
		t.Errorf("%s: %v", rec.State, rec.Error)
	}
	r.empty()
}
