package boot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxTmpfiles bounds what is read of a file that the image wrote.
const maxTmpfiles = 64 << 10

func tidyTmp() error {
	root, err := os.OpenRoot("/")
	if err != nil {
		return err
	}
	defer root.Close()
	return keepTmp(root)
}

// keepTmp empties /tmp where the image's systemd would (tmpfiles.d(5), type D),
// and keeps systemd from doing it again: that comes seconds after the first
// commands may have written there. A file in the image's /etc is left alone,
// and followed by systemd alone.
func keepTmp(root *os.Root) error {
	if _, err := root.Lstat("etc/tmpfiles.d/tmp.conf"); err == nil {
		return nil
	}
	conf, err := keepingConf(root)
	if err != nil || conf == nil {
		return err
	}
	if err := emptyDir(root, "tmp"); err != nil {
		return fmt.Errorf("emptying /tmp: %w", err)
	}
	const dir = "run/tmpfiles.d" // a file here replaces the one of its name in /usr
	if err := root.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making /%s: %w", dir, err)
	}
	return root.WriteFile(dir+"/tmp.conf", conf, 0o644)
}

// keepingConf is the image's tmp.conf without the emptying, nil if it does
// not empty /tmp.
func keepingConf(root *os.Root) ([]byte, error) {
	f, err := root.Open("usr/lib/tmpfiles.d/tmp.conf")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var conf []byte
	empties := false
	scan := bufio.NewScanner(io.LimitReader(f, maxTmpfiles))
	for scan.Scan() {
		line := scan.Text()
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[0], "D") && fields[1] == "/tmp" {
			line, empties = strings.Replace(line, "D", "d", 1), true
		}
		conf = append(append(conf, line...), '\n')
	}
	if err := scan.Err(); err != nil || !empties {
		return nil, err
	}
	return conf, nil
}

func emptyDir(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, entry := range names {
		err = errors.Join(err, root.RemoveAll(name+"/"+entry))
	}
	return err
}
