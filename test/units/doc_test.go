// Package units tests banger under systemd, in the test host (make test-host):
// the unit of make install, the units of monitors and VMMs, and who may end
// whom. It is root there, and opens login sessions of an ordinary user.
package units
