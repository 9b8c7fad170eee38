package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/banger-vm/banger/internal/image"
	"github.com/banger-vm/banger/internal/vm"
)

// A copy shares no memory with the original, whatever fields the record gets.
func TestCloneVM(t *testing.T) {
	var r vm.Record
	fill(reflect.ValueOf(&r).Elem())
	c := cloneVM(r)
	if diff := cmp.Diff(r, c); diff != "" {
		t.Fatal(diff)
	}
	shares(t, "Record", reflect.ValueOf(r), reflect.ValueOf(c))
	if diff := cmp.Diff(vm.Record{}, cloneVM(vm.Record{})); diff != "" {
		t.Fatal(diff)
	}
}

// Images are copied by assignment.
func TestImageHoldsNoReference(t *testing.T) {
	var i image.Image
	fill(reflect.ValueOf(&i).Elem())
	shares(t, "Image", reflect.ValueOf(i), reflect.ValueOf(i))
}

// Lists are copies, and follow what is written.
func TestListCopies(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for i := range 3 {
		if err := s.InsertVM(ctx, record(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		all, err := s.VMs(ctx)
		if err != nil || len(all) != 3 || all[1].Spec.Labels["n"] != "1" || all[1].Boot.Status.Version != 7 {
			t.Fatal(all, err)
		}
		all[1].Spec.Labels["n"] = "changed by the caller"
		all[1].Boot.Status.Version = 99
	}
	if err := s.ChangeVM(ctx, record(1).ID, func(r *vm.Record) bool { r.Boot.Status.Version = 8; return true }); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteVM(ctx, record(0).ID); err != nil {
		t.Fatal(err)
	}
	if all, err := s.VMs(ctx); err != nil || len(all) != 2 || all[0].Boot.Status.Version != 8 {
		t.Fatal(all, err)
	}
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint64, reflect.Uint32:
		v.SetUint(3)
	case reflect.Float64:
		v.SetFloat(3)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("fill knows no " + v.Type().String())
	}
}

// shares fails for every reference that a and b have in common.
func shares(t *testing.T, path string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
		shares(t, path, a.Elem(), b.Elem())
	case reflect.Map, reflect.Slice:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", path)
		}
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range a.NumField() {
			shares(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}
