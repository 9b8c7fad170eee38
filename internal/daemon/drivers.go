//go:build !bangertest

package daemon

// testDrivers are none in what users get.
var testDrivers []driver
