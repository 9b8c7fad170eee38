// Package doctor breaks the test host (make test-host) in one way after another:
// banger doctor must name each, and its command must mend it. It is root there,
// and asks as an ordinary user.
package doctor
