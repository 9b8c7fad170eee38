// Command confined confines itself to a directory and tries what it may not.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/banger-vm/banger/internal/monitor/sandbox"
)

func main() {
	mine, other := os.Args[1], os.Args[2]
	err := sandbox.NoNewPrivileges()
	if err == nil {
		err = sandbox.Confine([]sandbox.Rule{{Path: mine, Access: sandbox.Write}, {Path: "/usr", Access: sandbox.Exec}, {Path: "/lib", Access: sandbox.Exec}, {Path: "/lib64", Access: sandbox.Exec}, {Path: "/dev/null", Access: sandbox.Write}, {Path: "/nowhere", Access: sandbox.Read}})
	}
	if errors.Is(err, sandbox.ErrUnavailable) {
		os.Exit(3)
	}
	fmt.Println("confine:", err)
	fmt.Println("write mine:", os.WriteFile(filepath.Join(mine, "x"), []byte("x"), 0o600))
	fmt.Println("rename mine:", os.Rename(filepath.Join(mine, "x"), filepath.Join(mine, "y")))
	_, err = os.ReadFile(filepath.Join(other, "secret"))
	fmt.Println("read other:", errors.Is(err, os.ErrPermission))
	err = os.WriteFile(filepath.Join(other, "new"), nil, 0o600)
	fmt.Println("write other:", errors.Is(err, os.ErrPermission))
	err = exec.Command("/usr/bin/cat", filepath.Join(other, "secret")).Run()
	var exit *exec.ExitError
	fmt.Println("child reads other:", errors.As(err, &exit))
}
