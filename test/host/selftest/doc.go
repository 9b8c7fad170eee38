// Package selftest tests the test host itself, from the inside: that it is the
// real host which banger's tests take it for.
package selftest
