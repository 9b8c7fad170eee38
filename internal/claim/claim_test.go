package claim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/banger-vm/banger/internal/fault"
)

func TestBusy(t *testing.T) {
	table := NewTable()
	release, err := table.TryClaim("vm/a", Holder{Operation: "op1", Kind: "vm.start"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = table.TryClaim("vm/a", Holder{Operation: "op2", Kind: "vm.stop"})
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Busy || f.Operation != "op1" ||
		!strings.Contains(f.Message, "vm.start") || !strings.Contains(f.Hint, "op1") {
		t.Fatalf("%+v", err)
	}
	if h, ok := table.Holder("vm/a"); !ok || h.Operation != "op1" {
		t.Fatal(h, ok)
	}
	release()
	again, err := table.TryClaim("vm/a", Holder{Operation: "op2"})
	if err != nil {
		t.Fatal(err)
	}
	release() // a second time: it must not release op2's claim
	if h, ok := table.Holder("vm/a"); !ok || h.Operation != "op2" {
		t.Fatal("a second release took another's claim")
	}
	again()
	if _, ok := table.Holder("vm/a"); ok {
		t.Fatal("still held")
	}
}

func TestWaitAndPreempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable()
		ctx, cancel := context.WithCancel(t.Context())
		release, err := table.TryClaim("x", Holder{Operation: "slow", Kind: "start", Cancel: cancel})
		if err != nil {
			t.Fatal(err)
		}
		go func() { // a holder that takes a second to give up
			<-ctx.Done()
			time.Sleep(time.Second)
			release()
		}()
		short, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if err := table.Wait(short, "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		begin := time.Now()
		kill, err := table.Preempt(t.Context(), "x", Holder{Operation: "kill", Kind: "kill", Cancel: func() { t.Error("a kill cancelled a kill") }})
		if err != nil || time.Since(begin) != time.Second {
			t.Fatal(err, time.Since(begin))
		}
		time.AfterFunc(time.Minute, kill)
		second, err := table.Preempt(t.Context(), "x", Holder{Operation: "kill2", Kind: "kill"})
		if err != nil || time.Since(begin) != time.Minute+time.Second {
			t.Fatal(err, time.Since(begin))
		}
		if _, err := table.Preempt(short, "x", Holder{Kind: "delete"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		second()
		if err := table.Wait(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever many callers do, no target has two holders, and all of them end.
func TestExclusion(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		callers := rapid.IntRange(2, 12).Draw(rt, "callers")
		seed := rapid.Uint64().Draw(rt, "seed")
		synctest.Test(t, func(t *testing.T) {
			table := NewTable()
			holders := make([]atomic.Int32, 3)
			for i := range callers {
				go call(t, table, holders, i, rand.New(rand.NewPCG(seed, uint64(i))))
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			for i := range holders {
				if _, held := table.Holder(fmt.Sprint(i)); held || holders[i].Load() != 0 {
					t.Errorf("target %d is still held", i)
				}
			}
		})
	})
}

// call claims things in every way and works a while on each.
func call(t *testing.T, table *Table, holders []atomic.Int32, id int, r *rand.Rand) {
	for range 10 {
		n := r.IntN(len(holders))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+r.IntN(50))*time.Millisecond)
		h := Holder{Operation: fmt.Sprint(id), Kind: fmt.Sprint("kind", r.IntN(3)), Cancel: cancel}
		var release func()
		var err error
		switch r.IntN(3) {
		case 0:
			release, err = table.TryClaim(fmt.Sprint(n), h)
		case 1:
			release, err = table.Preempt(ctx, fmt.Sprint(n), h)
		default:
			err = table.Wait(ctx, fmt.Sprint(n))
		}
		if err == nil && release != nil {
			if holders[n].Add(1) != 1 {
				t.Error("two hold one target")
			}
			<-ctx.Done()
			holders[n].Add(-1)
			release()
		}
		cancel()
	}
}
