// Package version names this build.
package version

// Version is set by the linker (make build); "dev" otherwise.
var Version = "dev"
