// Command report reads the output of go test -json, prints failures whole, the
// skipped tests with their reasons, and a closing count. A skip that
// test/skips.txt does not permit is a failure, and so is a run of no test.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type result struct {
	name   string
	output strings.Builder
}

func main() {
	skips := flag.String("skips", "test/skips.txt", "the permitted skips: PACKAGE TEST reason, a line each")
	flag.Parse()
	if err := report(flag.Arg(0), *skips); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func report(path, skipsPath string) error {
	permitted, err := readSkips(skipsPath)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	outputs := make(map[string]*result)
	var passed, failed int
	var skipped, bad []string
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e event
		if json.Unmarshal(scan.Bytes(), &e) != nil {
			fmt.Println(scan.Text()) // a build error
			continue
		}
		key := strings.TrimPrefix(e.Package, "github.com/banger-vm/banger/") + " " + e.Test
		if outputs[key] == nil {
			outputs[key] = &result{name: key}
		}
		switch e.Action {
		case "output", "build-output":
			outputs[key].output.WriteString(e.Output)
		case "pass":
			if e.Test != "" {
				passed++
			}
		case "fail", "build-fail":
			failed++
			bad = append(bad, key)
		case "skip":
			if e.Test != "" {
				skipped = append(skipped, key)
			}
		}
	}
	if err := scan.Err(); err != nil {
		return err
	}
	for _, key := range bad {
		fmt.Printf("--- FAIL %s\n%s\n", key, outputs[key].output.String())
	}
	sort.Strings(skipped)
	for _, key := range skipped {
		reason, ok := permitted[key]
		if !ok {
			failed++
			reason = "NOT PERMITTED by " + skipsPath
		}
		fmt.Printf("skipped: %s (%s)\n", key, reason)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, len(skipped))
	if failed > 0 {
		return fmt.Errorf("%d failed", failed)
	}
	if passed == 0 {
		return fmt.Errorf("no test ran")
	}
	return nil
}

// readSkips reads "PACKAGE TEST reason" lines; # begins a comment.
func readSkips(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	permitted := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q has no reason", path, strings.TrimSpace(line))
		}
		permitted[fields[0]+" "+fields[1]] = strings.Join(fields[2:], " ")
	}
	return permitted, nil
}
